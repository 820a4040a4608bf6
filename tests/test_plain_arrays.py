"""Arrays as users have them: every door takes what holds the same numbers, and refuses masked and unreal entries."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from bad_calls import CENTER, NETWORK, ONES, RING, SAMPLES, N, X, Y, cost, cpu, fit, flow, ring_weights, run, track

import jaxcoopt as jc
from jaxcoopt import datasets
from jaxcoopt.arrays import plain, plain_tree
from jaxcoopt.problem.align import aligned

pytestmark = pytest.mark.usefixtures("untyped")
NUMBERS = np.array([[0.5, 1.0, 2.0], [3.0, 0.25, 1.5]])  # in every kind of float, exactly


class Tensor:
    """What other libraries' arrays have in common."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


def read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


SAME: dict[str, Callable[[np.ndarray], Any]] = {
    "big-endian": lambda a: a.astype(">f8"),
    "big-endian floats of 32 bits": lambda a: a.astype(">f4"),
    "longdouble": lambda a: a.astype(np.longdouble),
    "float16": lambda a: a.astype(np.float16),
    "bfloat16": lambda a: np.asarray(jnp.asarray(a, jnp.bfloat16)),
    "objects": lambda a: a.astype(object),
    "decimals": lambda a: np.vectorize(Decimal, otypes=[object])(a),
    "table": lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a) if a.ndim == 1 else Tensor(a),
    "nullable column": lambda a: pd.Series(a, dtype="Float64") if a.ndim == 1 else a,
    "JAX": jnp.asarray,
    "tensor": Tensor,
    "read-only": read_only,
    "not contiguous": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "Fortran's order": np.asfortranarray,
    "matrix": lambda a: np.asmatrix(a) if a.ndim == 2 else a,
    "masked, none of it": lambda a: np.ma.masked_array(a, mask=np.zeros(a.shape, bool)),
}


@pytest.mark.fast
@pytest.mark.parametrize("kind", SAME)
def test_the_same_numbers_in_another_form(kind):
    found = plain("x", SAME[kind](NUMBERS))
    np.testing.assert_array_equal(np.asarray(found, np.float64), NUMBERS)
    assert type(found) is np.ndarray or isinstance(found, jnp.ndarray)
    assert found.dtype.isnative
    assert found.dtype in (np.float32, np.float64)


def test_a_file_that_is_mapped(tmp_path):
    np.save(tmp_path / "a.npy", NUMBERS.astype(">f4"))
    found = plain("x", np.load(tmp_path / "a.npy", mmap_mode="r"))
    np.testing.assert_array_equal(found, NUMBERS)


@pytest.mark.fast
def test_whole_numbers_and_truth_values_stay_what_they_are():
    for given in (
        np.array([1, 2], ">i4"),
        np.array([1, 2], object),
        pd.Series([1, 2], dtype="Int64"),
        [1, 2],
        range(1, 3),
    ):
        assert plain("x", given).tolist() == [1, 2]
        assert plain("x", given).dtype.kind == "i"
    assert plain("x", np.array([True, False], object)).dtype == bool
    assert plain("x", np.array([1, 2.5], object)).dtype == np.float64
    assert plain("x", [2**70, 1]).dtype == np.float64


def settings(array: Callable[[np.ndarray], Any]) -> tuple[jc.Problem, jc.CoOptimizer, jc.Initial]:
    """Every array that a run takes, in another form; rounded so that all forms hold the same numbers."""
    allocation = jc.Allocation(
        jc.costs.Quadratic(array(ONES * 0.5), array(CENTER)), array(np.array(6.0)), array(0 * ONES), array(3 * ONES)
    )
    features, targets = np.round(4 * X) / 4, (Y > 0).astype(float)
    training = jc.Training(jc.losses.Logistic(0.125), array(features), array(targets), weights=array(ONES * 2))
    method = jc.CoOptimizer(flow(step=array(np.array([0.125]))), track(step=array(np.array(0.25))))
    start = jc.Initial(array(ONES * 1.5), {"weights": array(np.array([0.5, 0.25, 1.0])), "bias": 0.0})
    return jc.Problem(allocation, training, array(ONES * 2)), method, start


@pytest.mark.parametrize("kind", SAME)
def test_a_run_takes_every_form(kind):
    """One compiled program for all forms: what differs is gone before it."""
    plainly, formed = (settings(form) for form in (np.asarray, SAME[kind]))
    results = [
        jc.solve(problem, NETWORK, method, 3, initial=start, optimum=jc.Optimum())
        for problem, method, start in (plainly, formed)
    ]
    for name, values in results[0].trace.items():
        np.testing.assert_array_equal(results[1].trace[name], values, err_msg=name)
    optima = [jc.reference(each[0]) for each in (plainly, formed)]
    np.testing.assert_array_equal(optima[1].allocation, optima[0].allocation)
    assert jc.memory(*plainly[:1], NETWORK, plainly[1]).state == jc.memory(*formed[:1], NETWORK, formed[1]).state


@pytest.mark.parametrize("kind", SAME)
def test_splits_and_maps_take_every_form(kind):
    features, targets = np.round(4 * X.reshape(-1, 3)) / 4, (Y.ravel() > 0).astype(float)
    shards, other = (
        datasets.split(form(features), form(targets), 3, "shards", seed=1) for form in (np.asarray, SAME[kind])
    )
    np.testing.assert_array_equal(other.assignment, shards.assignment)
    np.testing.assert_array_equal(other.features, shards.features)
    mapped = jc.features.quadratic(SAME[kind](features))
    np.testing.assert_allclose(mapped, jc.features.quadratic(features), rtol=1e-6)
    weights = ring_weights() * 0.8333333333333334  # 0.25 on every link
    net = jc.Network.from_graphs(RING, weights=SAME[kind](np.round(weights * 4) / 4))
    np.testing.assert_array_equal(net.edges.weights, np.full((1, N), 0.25))


HOLED = np.ma.masked_equal([1.0, 2.0, 9999.0, 1.5], 9999.0)
ROWS = np.ma.masked_less(np.where(np.arange(60).reshape(N, SAMPLES, 3) == 7, -9999.0, X), -999)
TABLE = np.ma.masked_less(np.array([[1.0], [-9999.0], [2.0], [3.0]]), -999)
LABELS = np.ma.masked_equal([[0, 1, 0, 1, 9]] * N, 9)
DOORS: dict[str, tuple[Callable[[], Any], str]] = {
    "cost": (lambda: run(cpu(cost(ONES, HOLED))), "allocation.cost.center"),
    "a term": (lambda: run(cpu(cost() + jc.costs.Latency(HOLED), lower=0.1)), "work"),
    "budget": (lambda: run(cpu(budget=np.ma.masked)), "allocation.budget"),
    "lower": (lambda: run(cpu(lower=HOLED)), "allocation.lower"),
    "upper": (lambda: run(cpu(upper=HOLED)), "allocation.upper"),
    "features": (lambda: run(training=fit(features=ROWS)), "training.features"),
    "targets": (lambda: run(training=fit(targets=LABELS)), "training.targets"),
    "mask": (lambda: run(training=fit(mask=LABELS == 0)), "training.mask"),
    "weights": (lambda: run(training=fit(weights=HOLED)), "training.weights"),
    "rows of features": (lambda: run(training=fit(features=list(ROWS))), "training.features"),
    "work": (lambda: run(cpu(), work=HOLED), "work"),
    "start": (lambda: run(cpu(), initial=jc.Initial(HOLED)), "initial.allocation"),
    "parameters": (
        lambda: run(training=fit(), initial=jc.Initial(params={"weights": HOLED[:3], "bias": 0.0})),
        "initial.params",
    ),
    "optimum": (lambda: run(cpu(), optimum=jc.Optimum(allocation=HOLED)), "optimum.allocation"),
    "step": (lambda: run(cpu(), by=flow(step=HOLED), runs=4), "method.allocation.step"),
    "phases": (lambda: run(cpu(), by=flow(step=jc.methods.Schedule(HOLED, [1, 2, 3]))), "step.values"),
    "channel": (lambda: run(cpu(), via=jc.channels.LogQuantizer(HOLED), runs=4), "channel.rho"),
    "failure rate": (lambda: jc.Network.from_graphs(RING, failure_rate=HOLED / 1e5), "failure_rate"),
    "link weights": (lambda: jc.Network.from_graphs(RING, weights=np.ma.masked_equal(ring_weights(), 0)), "weights"),
    "other weights": (lambda: NETWORK.with_weights(HOLED[None]), "weights"),
    "reference": (lambda: jc.reference(jc.Problem(cpu(cost(ONES, HOLED)))), "allocation.cost.center"),
    "memory": (lambda: jc.memory(jc.Problem(cpu(upper=HOLED)), NETWORK, jc.CoOptimizer(flow())), "allocation.upper"),
    "sweep": (
        lambda: jc.sweep(
            jc.Problem(cpu()), NETWORK, jc.CoOptimizer(flow()), {"allocation.upper": {"a": HOLED}}, steps=2
        ),
        "allocation.upper",
    ),
    "numbers of a sweep": (
        lambda: jc.sweep(jc.Problem(cpu()), NETWORK, jc.CoOptimizer(flow()), {"allocation.step": HOLED}, steps=2),
        "allocation.step",
    ),
    "tune": (
        lambda: jc.tune(
            jc.Problem(cpu(cost(ONES, HOLED))), NETWORK, jc.CoOptimizer(flow()), ["allocation.step"], steps=2
        ),
        "allocation.cost.center",
    ),
    "split": (lambda: datasets.split(TABLE, [0, 1, 0, 1], 2), "features"),
    "labels": (lambda: datasets.split(TABLE.filled(0), np.ma.masked_equal([0, 1, 9, 1], 9), 2), "targets"),
    "train and test": (lambda: datasets.train_test(datasets.Dataset(TABLE, np.arange(4) % 2, "a", "b")), "features"),
    "standardize": (lambda: datasets.standardize(datasets.Dataset(TABLE, np.arange(4), "a", "b")), "features"),
    "map": (lambda: jc.features.quadratic(TABLE), "features"),
    "bound": (
        lambda: jc.theory.step_bound(flow(), jc.Problem(cpu(upper=HOLED)), NETWORK),
        "allocation.upper",
    ),
    "rate": (lambda: jc.theory.fit_rate(np.arange(4), HOLED), "values"),
    "eigenvalue": (lambda: jc.theory.lambda_2(np.ma.masked_equal(np.eye(4), 0)), "laplacian"),
    "coefficients": (lambda: jc.costs.Quadratic.from_coefficients(HOLED, ONES), "a"),
}


@pytest.mark.parametrize("door", DOORS)
def test_masked_entries_are_refused_at_every_door(door):
    call, name = DOORS[door]
    with pytest.raises(ValueError, match=rf"\b{name}\b.*masked"):
        call()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (scipy.sparse.eye_array(N), "sparse matrix"),
        (np.array(["2020-01-01"] * N, "datetime64[D]"), "real number"),
        (ONES + 1j, "real number"),
        (np.array(["a"] * N), "real number"),
        (np.array([1.0, None, 1.0, 1.0], object), r"None at index \(1,\)"),
        (nx.path_graph(N), "real number"),
        (np.ones(N, "i4, f8"), "real number"),
    ],
)
def test_what_holds_no_real_numbers_is_refused(given, words):
    with pytest.raises(TypeError, match=f"allocation.upper: .*{words}"):
        jc.reference(jc.Problem(cpu(upper=given)))


def test_a_sparse_array_of_jax_is_not_taken_apart():
    from jax.experimental import sparse

    with pytest.raises(TypeError, match=r"allocation.upper: got a sparse matrix"):
        run(cpu(upper=sparse.BCOO.fromdense(jnp.ones(N))))


def test_whole_numbers_beyond_32_bits_are_not_cut(float32):
    large = np.array([[3_000_000_000, -5_000_000_000, 2**53]] * 2)
    problem = jc.Problem(
        training=jc.Training(jc.losses.Linear(0.1), large[..., None], large, weights=np.array([1, 2**40]))
    )
    half = aligned(plain_tree(problem), 2).training
    for found in (half.targets, half.features[..., 0]):
        np.testing.assert_allclose(found, large, rtol=1e-7)
    assert half.weights.tolist() == [1, 2.0**40]
    budget = plain_tree(jc.Problem(jc.Allocation(cost(), 2**40))).allocation.budget
    assert jnp.asarray(budget, jnp.float32) == 2.0**40


def test_an_optimum_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"optimum.price: must be a finite number, got nan"):
        run(cpu(), optimum=jc.Optimum(price=np.nan))
    with pytest.raises(ValueError, match=r"optimum.allocation: expected \[nodes\] = \(4,\).* got \(5,\)"):
        run(cpu(), optimum=jc.Optimum(allocation=np.ones(5)))
    with pytest.raises(ValueError, match=r"optimum.allocation_cost: expected a scalar or .* got shape \(3,\)"):
        run(cpu(), optimum=jc.Optimum(allocation_cost=np.ones(3)))


def test_true_is_no_number():
    for call, name in (
        (lambda: run(training=fit(jc.losses.Logistic(l2=True))), "training.loss.l2"),
        (lambda: run(cpu(), by=jc.methods.DualFlow(gain=True)), "method.allocation.gain"),
        (lambda: run(cpu(budget=True)), "allocation.budget"),
    ):
        with pytest.raises(TypeError, match=f"{name}: expected a real number"):
            call()


def test_a_class_that_jax_does_not_know_is_named():
    class Round1(jc.channels.Ideal):
        pass

    with pytest.raises(TypeError, match=r"method.channel: Round1 is not registered with JAX.*jaxcoopt.pytrees.pytree"):
        run(cpu(), via=Round1())
