"""The budget where shares grow by orders of magnitude, shrink again or have both signs: hubs without bounds, starts far
from the optimum, steps too large for a while. However far records are apart.
"""

import math
import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from by_run import ByRun

import jaxcoopt as jc
from jaxcoopt.compensated import Pair, split, total_of
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.methods.schedule import Schedule
from jaxcoopt.problem.align import aligned
from jaxcoopt.run.statistics import observe

NODES, RUNS, STEPS = 40, 6, 1500
pytestmark = pytest.mark.usefixtures("optimised")
LIMITS = {"float32": 1e-6, "float64": 1e-13}
LOG, SIGN = jc.channels.LogQuantizer(0.7), jc.channels.Sign(0.5)


def left_out(x, budget):
    """|sum x - b| / max(|b|, sum |x|) of each run, the sums exact."""
    columns = np.asarray(x, np.float64).T
    budgets = np.broadcast_to(budget, len(columns))
    size = np.maximum(np.abs(budgets), np.abs(columns).sum(axis=1))
    return np.array([abs(math.fsum([*x, -b])) for x, b in zip(columns, budgets, strict=True)]) / size


def star_problem(rng, bounded=False):
    """Six runs by what the nodes of a star want: the hub 3,901 of 40, or all of 40, or nothing, which the leaves want;
    all 1e5 on both sides of a budget of 0, or of nearly 0; nothing much. Runs 3 and 5 are kicked out of their places by
    a step that is too large for 4 iterations.
    """
    center = rng.normal(size=(NODES, RUNS))
    center[0, :3] = 4000.0, 80.0, -4000.0
    center[:, 3:5] *= 1e5
    budget = np.array([40.0, 40.0, 40.0, 0.0, 1e-6, 40.0])
    sides = (-budget.max(), budget.max()) if bounded else (None, None)
    return jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, center), budget, *sides))


KICK = np.array([1.0, 1.0, 1.0, 30.0, 1.0, 40.0])


def kicked(step):
    return Schedule([step * KICK, step * np.ones(RUNS)], until=[4])


def channels(placement):
    """Ideal links, the log quantizer and one bit in turn."""
    return ByRun((jc.channels.Ideal(), LOG, SIGN, LOG, LOG, LOG), placement)


FLOWS = {  # whether the hub may have any share, and the method
    "flow": (False, jc.CoOptimizer(jc.methods.LaplacianFlow(kicked(0.8)), channel=channels("difference"))),
    "momentum": (
        False,
        jc.CoOptimizer(
            jc.methods.LaplacianFlow(kicked(0.4), np.array([0.0, 0.3, 0.9, 0.5, 0.7, 0.6])),
            channel=channels("innovation"),
        ),
    ),
    "one bit": (False, jc.CoOptimizer(jc.methods.SingleBitFlow(kicked(3.0)))),
    "uniform": (False, jc.CoOptimizer(jc.methods.UniformFlow(kicked(0.8), level=0.01, bits=24))),
    "curvature": (False, jc.CoOptimizer(jc.methods.CurvatureFlow(0.9, 0.5), channel=channels("difference"))),
    "multiplier": (
        True,
        jc.CoOptimizer(jc.methods.CurvatureFlow(bounds=jc.bounds.Multiplier()), channel=channels("innovation")),
    ),
    "dual": (True, jc.CoOptimizer(jc.methods.DualFlow(), channel=channels("difference"))),
    "dual, no bounds": (False, jc.CoOptimizer(jc.methods.MemorylessDualFlow(), channel=channels("innovation"))),
}


def solved(rng, name, steps, failure_rate=0.3, **options):
    bounded, method = FLOWS[name]
    network = jc.Network.from_graphs(nx.star_graph(NODES - 1), failure_rate=failure_rate)
    problem = star_problem(rng, bounded)
    result = jc.solve(problem, network, method, steps, runs=RUNS, optimum=jc.Optimum(), **options)
    return result, problem.allocation.budget


def check(result, budget, precision):
    """The exact sum, and what was recorded of it."""
    assert np.isfinite(result.allocation).all()
    assert left_out(result.allocation, budget).max() <= LIMITS[precision]
    assert result.trace["budget_residual"].max() <= LIMITS[precision]


@pytest.mark.parametrize("name", FLOWS)
def test_budget_while_shares_grow_and_shrink(rng, float32, name):
    result, budget = solved(rng, name, STEPS, record_every=STEPS)
    check(result, budget, "float32")
    grown = np.abs(np.asarray(result.allocation)).max(axis=0)
    assert np.all(grown > [10, 10, 2, 10, 10, 0] if name != "one bit" else grown > 0)


@pytest.mark.parametrize("name", [name for name in FLOWS if name != "multiplier"])  # which diverges there
def test_budget_where_shares_move_late(rng, float32, name):
    """Hardly a link is up: the first step, and with it the units' growth, may come at any iteration."""
    result, budget = solved(rng, name, STEPS, failure_rate=0.97, record_every=STEPS)
    check(result, budget, "float32")


@pytest.mark.parametrize("name", ["flow", "momentum", "dual"])
def test_the_same_shares_however_far_records_are_apart(rng, float32, name):
    state = rng.bit_generator.state
    ends = []
    for every in (1, 7, 400):
        rng.bit_generator.state = state
        result, _ = solved(rng, name, 400, record_every=every)
        assert result.trace["budget_residual"].max() <= LIMITS["float32"]
        ends.append(np.asarray(result.allocation))
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0], ends[2])


SMALL = {  # steps that hardly move what is there
    "flow": jc.methods.LaplacianFlow(1e-6),
    "momentum": jc.methods.LaplacianFlow(1e-7, 0.9),
    "saturated": jc.methods.SaturatedFlow(1e-8),
    "one bit": jc.methods.SingleBitFlow(1e-9),
    "curvature": jc.methods.CurvatureFlow(0.1, bounds=jc.bounds.Penalty()),
}


@pytest.mark.parametrize("name", SMALL)
def test_budget_where_a_penalty_is_large_beside_small_shares(rng, float32, name):
    """Its slope of 10 at x = 0 leads 1e6 times as far as shares are, or 1e20, if only the cost's curvature is seen."""
    exponent, budget = np.array([2.0, 2.0, 4.0, 4.0]), np.array([1e-4, 0.1, 1e-4, 0.1])
    cost = jc.costs.Power(rng.uniform(0.1, 10, (NODES, 4)), exponent[None] * np.ones((NODES, 1)))
    network = jc.Network.from_graphs(nx.wheel_graph(NODES), failure_rate=0.5)
    method = jc.CoOptimizer(SMALL[name], channel=LOG)
    problem = jc.Problem(jc.Allocation(cost, budget, 0.0))
    result = jc.solve(problem, network, method, 100, runs=4, record_every=1, optimum=jc.Optimum())
    check(result, budget, "float32")


def steep(x, p):
    return 1e7 * x + 0.5 * p * x**2


def test_budget_where_all_prices_are_large_alike(rng, float32):
    """What they have in common moves nothing, and its room made units so coarse that momentum's rounding was seen."""
    cost = jc.costs.Custom(steep, rng.uniform(0.1, 10, (NODES, 3)))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.01, 0.9))
    network = jc.Network.from_graphs(nx.wheel_graph(NODES))
    problem = jc.Problem(jc.Allocation(cost, float(NODES)))
    check(jc.solve(problem, network, method, 400, runs=3, optimum=jc.Optimum()), float(NODES), "float32")


@pytest.mark.parametrize("name", ["flow", "momentum"])
def test_budget_in_float64(rng, name):
    result, budget = solved(rng, name, STEPS, record_every=STEPS)
    check(result, budget, "float64")


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("precision", LIMITS)
def test_budget_for_a_million_iterations(rng, precision, name):
    """A quarter of a million of the dual flows in float64, of which a million take 90 s of CPU."""
    steps = 250_000 if "dual" in name and precision == "float64" else 1_000_000
    with jax.enable_x64(precision == "float64"):
        result, budget = solved(rng, name, steps, record_every=steps)
        check(result, budget, precision)


@jax.jit
def wander(x, flows):
    """x after each of the flows, which the first half of the nodes gives to the second."""

    def move(x, flow):
        x = x.in_units_for(jnp.abs(x.value).max(axis=0, keepdims=True))
        part = split(flow, x.grid)
        x = x.plus(Pair(*(jnp.concatenate([side, -side]) for side in (part.high, part.low))))
        return x, (x.high, x.low, x.dust)

    return jax.lax.scan(move, total_of(x), flows)[1]


@pytest.mark.fast
@pytest.mark.parametrize("precision", LIMITS)
def test_totals_lose_nothing_while_they_grow_and_shrink(rng, precision):
    """From 1 up to 2^20 and back, by up to 2^8 in an iteration: the sum of all parts, in fractions, stays the same."""
    size = 2.0 ** np.array([0, 0, 8, 8, 16, 20, 20, 20, 17, 12, 6, 3, 0, 0, -2, -5, 0, 6, 13, 20, 14, 8, 2, 0])
    with jax.enable_x64(precision == "float64"):
        start = jnp.asarray(rng.uniform(0.5, 1, (2 * NODES, 1)))
        target = size[:, None, None] * rng.normal(size=(len(size), NODES, 1))
        flows = np.diff(target, axis=0, prepend=target[:1])
        after = wander(Pair(start, 1e-9 * start), jnp.asarray(flows, start.dtype))
    parts = np.stack([np.asarray(side, np.float64) for side in after])
    sums = [sum(map(Fraction, each.ravel())) for each in parts.swapaxes(0, 1)]
    given = np.concatenate([np.asarray(start, np.float64), np.asarray(1e-9 * start, np.float64)])
    peak = np.maximum.accumulate(np.abs(parts.sum(axis=0)).max(axis=(1, 2)))
    assert peak.max() > 2**20
    for total, most in zip(sums, peak, strict=True):  # what is lost is rounding of dust
        assert abs(total - sum(map(Fraction, given.ravel()))) <= most * {"float32": 2e-17, "float64": 1e-40}[precision]


@pytest.mark.fast
@pytest.mark.parametrize("budget", [0.0, 1e-6, 40.0])
def test_residual_is_relative_to_what_was_added_up(budget):
    """Shares of both signs miss the budget by their own rounding: it is |sum x - b| / max(|b|, sum |x|)."""
    x = np.array([3e5, -3e5 + budget + 0.25, 1.0, -1.0])
    problem = aligned(jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, x), budget)), 4)
    record = observe(problem, Estimate(jnp.asarray(x)[:, None], None), jc.Optimum())
    np.testing.assert_allclose(record["budget_residual"], 0.25 / np.abs(x).sum(), rtol=1e-9)


@pytest.mark.fast
def test_residual_of_nothing_is_nothing():
    problem = aligned(jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, np.zeros(4)), 0.0)), 4)
    assert observe(problem, Estimate(jnp.zeros((4, 1)), None), jc.Optimum())["budget_residual"] == 0


@pytest.mark.parametrize("flow", [jc.methods.DualFlow(), jc.methods.LaplacianFlow(0.002)], ids=["dual", "laplacian"])
def test_nearly_linear_costs_move(rng, float32, flow):
    """Prices over curvatures lead 1e9 times too far: units for that would be larger than all that flows."""
    prices = rng.permutation(np.linspace(1.0, 10.0, 10))
    cost = jc.costs.Sum((jc.costs.Power(prices, 1.0), jc.costs.Quadratic(np.full(10, 1e-9), 0.0)))
    problem = jc.Problem(jc.Allocation(cost, 12.0, np.zeros(10), np.full(10, 3.0)))
    network = jc.Network.from_graphs(nx.cycle_graph(10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # costs without curvature are told, where that is seen
        trace = jc.solve(problem, network, jc.CoOptimizer(flow), 4000, record_every=1000).trace
    assert trace["budget_residual"].max() <= 1e-6
    assert trace["allocation_gap"][-1, 0] < 0.1 * trace["allocation_gap"][0, 0]


@pytest.mark.parametrize("momentum", [None, 0.5])
def test_budget_where_a_later_graph_is_much_stronger(rng, float32, momentum):
    """The first graph tells of a room that the first iteration over the second has not."""
    weak, strong = nx.star_graph(11), nx.star_graph(11)
    nx.set_edge_attributes(weak, 1e-8, "weight")
    nx.set_edge_attributes(strong, 0.05, "weight")
    network = jc.Network.from_graphs([weak, strong], "weight", switching=[0] * 7 + [1] * 3)
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, 1e7 * rng.uniform(0, 1, 12)), 1.0))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.3, momentum))
    trace = jc.solve(problem, network, method, 600, record_every=1).trace
    assert trace["budget_residual"].max() <= LIMITS["float32"]
    assert trace["allocation_gap"][-1, 0] < 0.1 * trace["allocation_gap"][0, 0]
