"""What users reported: input that was refused, or taken, for no good reason."""

import jaxtyping
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.run.status import worse_than_start

NODES = 4
NETWORK = jc.Network.from_graphs([nx.cycle_graph(NODES)])
SHARES = jc.Problem(allocation=jc.Allocation(jc.costs.Quadratic(1.0, np.arange(NODES)), budget=4.0))
METHOD = jc.CoOptimizer(allocation=jc.methods.DualFlow())


@pytest.fixture(autouse=True)
def untyped():
    """As for a user, who has no type checker at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_an_array_of_length_one_does_not_say_how_many_nodes():
    cost = jc.costs.Quadratic(1.0, 2.0)
    problem = jc.Problem(allocation=jc.Allocation(cost, budget=6.0, lower=np.array([0.0])))
    with pytest.raises(ValueError, match="say how many nodes share it"):
        jc.reference(problem)
    np.testing.assert_allclose(jc.reference(problem, 3).allocation, 2.0, rtol=1e-12)


@pytest.mark.parametrize("budget", [0.1 + 0.2 - 0.3, -1e-12, 0.0])
def test_optimum_far_from_a_tiny_equal_share(budget):
    """Only the costs say how far out it lies."""
    center = np.array([1.0, 2.0, 3.0])
    optimum = jc.reference(jc.Problem(allocation=jc.Allocation(jc.costs.Quadratic(1.0, center), budget)))
    np.testing.assert_allclose(optimum.allocation, center - 2, atol=1e-11)


def test_what_is_no_method_is_named():
    with pytest.raises(TypeError, match=r"method: expected a jaxcoopt\.CoOptimizer, got NoneType"):
        jc.solve(SHARES, NETWORK, None, steps=5)


def test_memory_of_no_runs_is_refused():
    with pytest.raises(ValueError, match="runs: expected 1 or more, got 0"):
        jc.memory(SHARES, NETWORK, METHOD, runs=0)


def labelled(rng, samples=8):
    """Features [nodes, samples, 2] and labels -1 and +1."""
    features = rng.normal(size=(NODES, samples, 2))
    return features, np.sign(features[..., 0] + rng.normal(size=(NODES, samples)))


def test_a_single_class_is_named_where_it_leaves_no_optimum(rng):
    features, targets = labelled(rng)
    with pytest.raises(RuntimeError, match=r"only 1 of 2 classes .*intercept=False"):
        jc.reference(jc.Problem(training=jc.Training(jc.losses.Logistic(l2=0.01), features, np.ones_like(targets))))
    with pytest.raises(RuntimeError, match=r"only 2 of 3 classes .*intercept=False"):
        jc.reference(jc.Problem(training=jc.Training(jc.losses.Softmax(3, l2=0.01), features, targets > 0)))


@pytest.mark.parametrize("loss", [jc.losses.Logistic(l2=0.1), jc.losses.Linear(), jc.losses.Softmax(2, l2=0.1)])
@pytest.mark.parametrize("at", [0, -1])
def test_padding_may_hold_anything(rng, loss, at):
    """The first sample, too, as the last."""
    features, targets = labelled(rng)
    if isinstance(loss, jc.losses.Softmax):
        targets = (targets > 0).astype(float)
    mask = np.ones(targets.shape, bool)
    mask[:, at] = False
    method = jc.CoOptimizer(training=jc.methods.GradientTracking(step=0.05))

    def ending(padding):
        x, y = np.where(mask[..., None], features, padding), np.where(mask, targets, padding)
        return jc.solve(jc.Problem(training=jc.Training(loss, x, y, mask)), NETWORK, method, steps=20).trace

    filled, left = ending(0.0), ending(np.nan)
    np.testing.assert_array_equal(filled["training_gap"], left["training_gap"])


def test_what_is_no_number_among_the_samples_is_still_refused(rng):
    features, targets = labelled(rng)
    features[0, 0, 0], mask = np.nan, np.ones(targets.shape, bool)
    mask[:, -1] = False
    with pytest.raises(ValueError, match=r"training\.features: 1 of 64 .* at index \(0, 0, 0\)"):
        jc.solve(
            jc.Problem(training=jc.Training(jc.losses.Linear(), features, targets, mask)),
            NETWORK,
            jc.CoOptimizer(training=jc.methods.GradientTracking(step=0.05)),
            steps=1,
        )


def test_a_run_that_ends_far_worse_than_it_began_is_told():
    gap = np.array([[1e-2, 1e-2, 1e-6], [2e-2, 5.0, 1e-4]])
    status = np.full(3, int(jc.Status.MAX_STEPS))
    (words,) = worse_than_start(gap, status)
    assert words.startswith("1 of 3 runs ended much further from the optimum than they began, the worst went from")
    assert "1.0e-02 to 5.0e+00" in words
    assert not worse_than_start(gap[:, [0, 2]], status[:2])
