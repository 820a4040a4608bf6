"""Where the nodes stand at iteration 0: feasible, the same model everywhere, or what the user gave, in any layout."""

import math
from typing import Any

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.compensated import Pair
from jaxcoopt.problem.align import aligned
from jaxcoopt.run.initial import given_params, initial_allocation, random_params

N, RUNS, FEATURES = 5, 3, 4
INF = math.inf
rng = np.random.default_rng(0)
LOW, HIGH = rng.uniform(0, 1, N), rng.uniform(2, 3, N)
A = rng.uniform(0.5, 2, N)
BUDGETS = np.array([5.0, 7.5, 10.0])
PRECISIONS = [False] + [True] * bool(jax.config.jax_enable_x64)


def start(
    allocation: jc.Allocation, given: Any = None, nodes: int = N, runs: int = RUNS
) -> tuple[np.ndarray, np.ndarray, Any]:
    """(x as the run sees it, x and what its type cannot hold in long double, the type): [nodes, runs]."""
    found = initial_allocation(given, allocation, nodes, runs)
    high, low = (found.high, found.low) if isinstance(found, Pair) else found
    assert high.shape == low.shape == (nodes, runs)
    assert high.dtype == low.dtype
    return np.asarray(high), np.asarray(high, np.longdouble) + np.asarray(low, np.longdouble), high.dtype


def quadratic(budget: Any, lower: Any, upper: Any) -> jc.Allocation:
    return jc.Allocation(jc.costs.Quadratic(A, 0.0), budget, lower, upper)


BOXES: dict[str, tuple[Any, Any]] = {
    "finite": (LOW, HIGH),
    "scalar": (0.25, 2.75),
    "per run": (LOW[:, None] + np.zeros(RUNS), HIGH[:, None] * np.array([1.0, 1.2, 1.4])),
    "half": (LOW, None),
    "other half": (None, HIGH),
    "none": (None, None),
    "infinite": (np.full(N, -INF), np.full(N, INF)),
    "mixed": (np.array([0, -INF, 1, -INF, 0]), np.array([INF, 2, 1.5, INF, 3])),
    "one point": (np.array([0, 0, 1, 0, 0]), np.array([4, 4, 1, 4, 4])),
    "negative": (np.full(N, -50.0), HIGH),
}


# A budget just below 0 only fits where some node may go there.
CASES = {
    f"{box}-{budget}": (*sides, value)
    for box, sides in BOXES.items()
    for budget, value in {"one": 6.0, "per run": BUDGETS, "near 0": -1e-3}.items()
    if budget != "near 0" or box in ("other half", "none", "infinite", "mixed", "negative")
}


@pytest.mark.parametrize("x64", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_default_start_is_feasible(case, x64):
    lower, upper, budget = CASES[case]
    with jax.enable_x64(x64):
        x, exact, dtype = start(quadratic(budget, lower, upper))
    assert dtype == (np.float64 if x64 else np.float32)
    eps = np.finfo(dtype).eps
    scale = np.abs(x).sum(axis=0)
    low, high = (
        np.broadcast_to(
            absent if side is None else side if np.ndim(side) == 2 else np.reshape(side, (-1, 1)), (N, RUNS)
        )
        for side, absent in ((lower, -INF), (upper, INF))
    )
    assert (np.abs(x.astype(np.longdouble).sum(axis=0) - budget) <= N * eps * scale).all()
    assert (np.abs(exact.sum(axis=0) - budget) <= N * np.finfo(np.float64).eps * scale).all()
    slack = 2 * eps * np.abs(x)
    assert (x >= low - slack).all()
    assert (x <= high + slack).all()
    assert np.isfinite(x).all()


@pytest.mark.fast
def test_default_start_stands_inside_the_box():
    """The same part of every node's box, so that no node starts at a wall without need."""
    x, _, _ = start(quadratic(6.0, LOW, HIGH))
    part = (x - LOW[:, None]) / (HIGH - LOW)[:, None]
    np.testing.assert_allclose(part, (6.0 - LOW.sum()) / (HIGH - LOW).sum(), rtol=1e-5)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("cost", "budget", "lower", "upper"),
    [
        (jc.costs.Latency(A), 5.0, None, None),
        (jc.costs.Latency(A), 5.0, 0.0, 3.0),
        (jc.costs.Latency(A), 0.02, None, None),
        (jc.costs.Queueing(A + 1), 5.0, None, None),
        (jc.costs.Queueing(A + 1), -5.0, None, None),
        (jc.costs.Queueing(A + 1) + jc.costs.Latency(A), 5.0, 0.0, A + 1),
    ],
)
def test_default_start_is_inside_the_domain(cost, budget, lower, upper):
    x, _, _ = start(jc.Allocation(cost, budget, lower, upper))
    low, high = aligned(jc.Problem(jc.Allocation(cost, budget)), N).allocation.cost.domain()
    assert (x > low).all()
    assert (x < high).all()
    np.testing.assert_allclose(x.sum(axis=0), budget, rtol=1e-6)


def test_many_nodes_start_on_the_budget():
    """What float32 loses of 20,000 shares is kept beside them."""
    n = 20_000
    shares = np.random.default_rng(1).uniform(0, 1, n)
    with jax.enable_x64(False):
        x, exact, _ = start(jc.Allocation(jc.costs.Quadratic(1.0, 0.0), 1e4 / 3, 0.0, shares), nodes=n, runs=1)
    assert abs(exact.sum() - 1e4 / 3) < 1e-11 * 1e4
    assert abs(x.astype(np.longdouble).sum() - 1e4 / 3) < 1e-6 * 1e4


@pytest.mark.fast
@pytest.mark.parametrize("layout", ["nodes", "nodes x 1", "nodes x runs"])
def test_given_allocation_in_every_layout(layout):
    shares = np.random.default_rng(2).uniform(0.5, 1.5, (N, RUNS))
    shares *= 6 / shares.sum(axis=0)
    given = {"nodes": shares[:, 0], "nodes x 1": shares[:, :1], "nodes x runs": shares}[layout]
    x, _, _ = start(quadratic(6.0, 0.0, 3.0), given)
    np.testing.assert_allclose(x, np.broadcast_to(given.reshape(N, -1), (N, RUNS)), rtol=1e-6)


@pytest.mark.fast
def test_given_allocation_per_run_for_budgets_per_run():
    given = np.tile(BUDGETS / N, (N, 1))
    x, exact, _ = start(quadratic(BUDGETS, 0.0, 3.0), given)
    np.testing.assert_allclose(x, given, rtol=1e-6)
    np.testing.assert_allclose(exact.sum(axis=0).astype(float), BUDGETS, rtol=1e-15)


@pytest.mark.fast
def test_given_allocation_may_miss_by_rounding_only():
    given = np.full(N, 6 / N, np.float32)
    _, exact, _ = start(quadratic(6.0, 0.0, 3.0), given)
    assert abs(float(exact.sum(axis=0)[0]) - 6) < 1e-14  # the rest is spread over the nodes
    for wrong in (given * (1 + 1e-5), given + 0.1):
        with pytest.raises(ValueError, match=r"initial\.allocation: it sums to .* the budget is 6"):
            start(quadratic(6.0, 0.0, 3.0), wrong)


@pytest.mark.fast
def test_the_run_that_misses_its_budget_is_named():
    given = np.array([[1.2, 1.0]] * N)
    with pytest.raises(ValueError, match=r"initial\.allocation: it sums to 5\b"):
        start(quadratic(6.0, 0.0, 3.0), given, runs=2)


# ---------------------------------------------------------------- parameters


def fit(loss: Any = None) -> jc.Training:
    data = np.random.default_rng(3).normal(size=(N, 6, FEATURES))
    training = jc.Training(jc.losses.Linear(l2=0.1) if loss is None else loss, data, data[..., 0])
    found = aligned(jc.Problem(training=training), N).training
    assert found is not None
    return found


def params(given: Any = None, training: Any = None, runs: Any = range(RUNS), seed: int = 0) -> Any:
    training = fit() if training is None else training
    if given is not None:
        return given_params(given, training, N, len(runs))
    return random_params(training, N, jax.numpy.asarray(runs), jax.random.key(seed))


LOSSES = {
    "linear": jc.losses.Linear(),
    "network": jc.losses.MLP((3,)),
    "custom": jc.losses.Custom(lambda p, x, y: p[0] @ x + p[1], lambda key: (jax.random.normal(key, (FEATURES,)), 0.0)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_random_start_is_equal_at_all_nodes_and_different_between_runs(name):
    found = params(training=fit(LOSSES[name]))
    drawn = 0
    for leaf in jax.tree.leaves(found):
        assert leaf.dtype == jax.numpy.zeros(()).dtype
        assert leaf.shape[0] == N
        assert leaf.shape[-1] == RUNS
        np.testing.assert_array_equal(leaf, np.broadcast_to(np.asarray(leaf)[:1], leaf.shape))
        if np.abs(leaf).max() > 0:
            drawn += 1
            for one, other in ((0, 1), (0, 2), (1, 2)):
                assert np.abs(leaf[..., one] - leaf[..., other]).max() > 1e-3
    assert drawn


@pytest.mark.fast
def test_random_start_of_a_run_comes_from_the_seed_and_its_number():
    together = params()["weights"]
    np.testing.assert_array_equal(params(runs=[2])["weights"][..., 0], together[..., 2])
    np.testing.assert_array_equal(params()["weights"], together)
    assert np.abs(params(seed=1)["weights"] - together).max() > 1e-3


VALUES = np.random.default_rng(4).normal(size=(N, FEATURES, RUNS))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("weights", "bias"),
    [
        (VALUES[0, :, 0], 0.5),
        (VALUES[0, :, 0], np.arange(N)),
        (VALUES[..., 0], np.arange(N)),
        (VALUES, np.arange(N * RUNS).reshape(N, RUNS)),
        (VALUES, 0.5),
        (jax.numpy.asarray(VALUES[0, :, 0]), np.float32(0.5)),
    ],
    ids=["shape", "mixed", "nodes", "nodes and runs", "mixed again", "jax"],
)
def test_given_parameters_in_every_layout(weights, bias):
    found = params({"weights": weights, "bias": bias})
    for name, given, shape in (("weights", weights, (N, FEATURES, RUNS)), ("bias", bias, (N, RUNS))):
        array = np.asarray(given)
        wide = [array, array[..., None], array[None, ..., None]][len(shape) - array.ndim]
        assert found[name].shape == shape
        np.testing.assert_allclose(found[name], np.broadcast_to(wide, shape), rtol=1e-6)


@pytest.mark.fast
def test_as_many_nodes_as_features_is_no_trouble():
    """[*shape] and [nodes, *shape] differ in the number of axes, never in their sizes alone."""
    square = aligned(
        jc.Problem(training=jc.Training(jc.losses.Linear(), np.ones((N, 2, N)), np.ones((N, 2)))), N
    ).training
    found = params({"weights": np.arange(N), "bias": 0.0}, square)["weights"]
    np.testing.assert_array_equal(found[..., 0], np.tile(np.arange(N), (N, 1)))


def test_solve_starts_there():
    """The record of iteration 0 is the start's."""
    training = jc.Training(jc.losses.Linear(l2=0.1), np.ones((N, 2, FEATURES)), np.ones((N, 2)))
    problem = jc.Problem(quadratic(6.0, 0.0, 3.0), training)
    shares, weights = np.full(N, 1.2), np.arange(N * FEATURES, dtype=float).reshape(N, FEATURES)
    given = jc.Initial(allocation=shares, params={"weights": weights, "bias": np.zeros(N)})
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(step=0.01), jc.methods.GradientTracking(step=0.01))
    found = jc.solve(problem, jc.Network.from_graphs(nx.cycle_graph(N)), method, 1, initial=given, optimum=jc.Optimum())
    spread = np.sqrt(((weights - weights.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert float(found.trace["consensus_error"][0, 0]) == pytest.approx(spread, rel=1e-5)
    assert float(found.trace["allocation_cost"][0, 0]) == pytest.approx((A / 2 * shares**2).sum(), rel=1e-5)
    assert float(found.trace["budget_residual"][0, 0]) < 1e-6
