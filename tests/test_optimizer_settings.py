"""Numbers of optax optimizers as settings: the same moves, in one program, swept, tuned and changed in phases."""

from functools import partial

import jax
import networkx as nx
import numpy as np
import optax
import pytest
from test_program_count import counted

import jaxcoopt as jc

NODES, STEPS = 4, 30
DATA = np.random.default_rng(11)
PROBLEM = jc.Problem(
    training=jc.Training(jc.losses.Linear(0.1), DATA.normal(size=(NODES, 6, 3)), DATA.normal(size=(NODES, 6)))
)
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
RATES = np.array([0.003, 0.03, 0.1])


def method(optimizer):
    return jc.CoOptimizer(training=jc.methods.GradientTracking(optimizer=optimizer))


def trained(optimizer, runs=1, steps=STEPS):
    start = jc.Initial(params={"weights": np.ones((3,)), "bias": np.zeros(())})
    return jc.solve(PROBLEM, NETWORK, method(optimizer), steps, runs=runs, initial=start, optimum=jc.Optimum())


def warming(peak):
    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, STEPS)
    return optax.adam(lambda step: peak * shape(step))


def looking(peak):
    return optax.adam(optax.warmup_cosine_decay_schedule(0.0, peak, 5, STEPS))


@pytest.mark.parametrize(
    ("make", "settings", "fixed"),
    [
        (optax.adam, {"learning_rate": RATES, "b1": 0.8, "eps": 1e-6}, {}),
        (optax.sgd, {"learning_rate": 0.02, "momentum": np.array([0.0, 0.5, 0.9])}, {"nesterov": True}),
        (optax.adamw, {"learning_rate": RATES, "weight_decay": RATES}, {"mask": None}),
        (warming, {"peak": RATES}, {}),
    ],
)
def test_each_run_moves_as_by_its_own_optimizer(make, settings, fixed):
    many = trained(jc.methods.optimizer(make, **settings, **fixed), runs=3)
    for run in range(3):
        own = {name: float(np.broadcast_to(value, 3)[run]) for name, value in settings.items()}
        alone = trained(make(**own, **fixed))
        for leaf, expected in zip(jax.tree.leaves(many.params), jax.tree.leaves(alone.params), strict=True):
            np.testing.assert_allclose(leaf[..., run], expected[..., 0], rtol=1e-6)  # schedules count in float32
    assert len(np.unique(np.asarray(many.trace["training_loss"][-1]))) == 3


def test_other_numbers_need_no_other_program():
    trained(jc.methods.optimizer(optax.adam, learning_rate=0.1))
    with counted() as programs:
        trained(jc.methods.optimizer(optax.adam, learning_rate=0.05))
    assert not programs


def test_phases():
    """Half of the way at each rate, the state kept."""
    schedule = optax.piecewise_constant_schedule(0.1, {10: 0.1})
    phases = jc.methods.Schedule([0.1, 0.01], until=[10])
    found, expected = (
        trained(each) for each in (jc.methods.optimizer(optax.sgd, learning_rate=phases), optax.sgd(schedule))
    )
    np.testing.assert_allclose(found.trace["training_loss"], expected.trace["training_loss"], rtol=1e-9)


def test_swept_in_one_group():
    adam = jc.methods.optimizer(optax.adam, learning_rate=0.1, b1=0.9)
    grid = {"training.optimizer.learning_rate": RATES, "training.optimizer.b1": [0.5, 0.9]}
    table = jc.sweep(PROBLEM, NETWORK, method(adam), grid, steps=STEPS)
    assert table.attrs["tile"] == [3, 2, 1]
    alone = jc.solve(PROBLEM, NETWORK, method(optax.adam(0.03, b1=0.5)), STEPS, record_every=1)
    np.testing.assert_allclose(table["training_loss"][1, 0, 0], alone.trace["training_loss"][:, 0], rtol=1e-9)


def test_the_slope_of_a_rate():
    def end(rate):
        return trained(jc.methods.optimizer(optax.adam, learning_rate=rate)).trace["training_loss"][-1, 0]

    slope, near = jax.jit(jax.grad(end))(0.02), 1e-6
    assert slope == pytest.approx((float(end(0.02 + near)) - float(end(0.02 - near))) / (2 * near), rel=1e-4)


@pytest.mark.filterwarnings("ignore:the objective is better:RuntimeWarning")  # one part of it may get worse
def test_tuned():
    sgd = jc.methods.optimizer(optax.sgd, learning_rate=0.005)
    options = {"steps": 20, "iterations": 5, "progress": False}
    found = jc.tune(PROBLEM, NETWORK, method(sgd), ["training.optimizer.learning_rate"], **options)
    assert found.held_out < found.untuned
    assert found.method.training.optimizer.learning_rate > 0.005


@pytest.mark.parametrize(
    ("made", "error", "words"),
    [
        (lambda: jc.methods.optimizer(optax.adam(0.1)), TypeError, "optimizer: expected a function such as optax.adam"),
        (lambda: jc.methods.optimizer(lambda rate: rate, rate=0.1), TypeError, "expected an optax transformation"),
        (
            lambda: jc.methods.optimizer(optax.adam, learning_rate=-0.1),
            ValueError,
            r"method\.training\.optimizer\.learning_rate: must be at least 0",
        ),
        (
            lambda: jc.methods.optimizer(optax.adam, learning_rate=np.ones(2)),
            ValueError,
            r"method\.training\.optimizer\.learning_rate: expected a scalar or \[runs\]",
        ),
        (lambda: jc.methods.optimizer(looking, peak=0.1), TypeError, "optimizer: looking looks at its numbers"),
        (lambda: partial(optax.adam, 0.1), TypeError, "optimizer: expected an optax transformation, such as"),
    ],
)
def test_what_is_none_is_refused(untyped, made, error, words):
    with pytest.raises(error, match=words):
        trained(made())
