"""Our flows: the budget to rounding and the box exactly at every iteration, on 1,000 random problems each; and the
optimum where full nodes cut the graph.
"""

from dataclasses import replace

import jax
import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quick import others_slow

import jaxcoopt as jc

NODES, RUNS, EXAMPLES, STEPS = 7, 20, 50, 40  # problems: RUNS x EXAMPLES
FLOWS = {
    "dual_flow": jc.methods.DualFlow(),
    "dual_flow_memoryless": jc.methods.MemorylessDualFlow(),
    "curvature_flow": jc.methods.CurvatureFlow(momentum=0.3),
}


def network(failure_rate):
    """A ring with a chord, a path and a star in turn; each run with a failure rate of its own."""
    ring = nx.cycle_graph(NODES)
    ring.add_edge(0, 3)
    graphs = [ring, nx.path_graph(NODES), nx.star_graph(NODES - 1)]
    return replace(jc.Network.from_graphs(graphs, failure_rate=0.5), failure_rate=failure_rate)


def problem_of(seed, size, decades, pinned, tight):
    """RUNS problems with numbers of 10^size, curvatures over so many decades, a part of the nodes with no room at all
    (lo = hi), a budget that leaves `tight` of all room free, and starts at random, many of them at bounds.
    """
    rng, shape, unit = np.random.default_rng(seed), (NODES, RUNS), 10.0**size
    lower = unit * rng.uniform(0, 1, shape)
    room = np.where(rng.random(shape) < pinned, 0, unit * rng.uniform(0, 3, shape))
    part = np.where(rng.random(shape) < 0.5, rng.integers(0, 2, shape), rng.random(shape))
    lower[0], room[0], part[0] = 0.1 * unit, unit, 0.5  # one node has room, or rounding alone would lead out of the box
    start = np.minimum(lower + room * (part * (1 - tight)), lower + room)
    cost = jc.costs.Quadratic(10 ** rng.uniform(-decades, decades, shape), unit * rng.uniform(-2, 6, shape))
    given = jc.Allocation(cost, start.sum(axis=0), lower, np.maximum(lower + room, start))
    return jc.Problem(given), start, rng


@pytest.mark.parametrize("placement", ["innovation", "difference"])
@pytest.mark.parametrize("name", FLOWS)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=False, suppress_health_check=[HealthCheck.differing_executors]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.floats(-6, 6),
    decades=st.floats(0, 3),
    pinned=st.floats(0, 0.8),
    tight=st.sampled_from([0.0, 1e-9, 0.1, 0.5]),
    failing=st.floats(0, 0.9),
    every=st.sampled_from([1, 7, STEPS]),
)
def test_sum_and_box_at_every_iteration(name, placement, seed, size, decades, pinned, tight, failing, every):
    problem, start, rng = problem_of(seed, size, decades, pinned, tight)
    channel = jc.channels.LogQuantizer(rng.uniform(0.05, 1.5, RUNS), placement=placement)
    method = jc.CoOptimizer(FLOWS[name], channel=channel)
    options = {"initial": jc.Initial(start), "optimum": jc.Optimum(), "record_every": every, "seed": seed % 1000}
    result = jc.solve(problem, network(failing * rng.random(RUNS)), method, STEPS, runs=RUNS, **options)
    assert result.iterations[-1] == STEPS
    assert np.asarray(result.trace["budget_residual"]).max() <= 1e-13
    assert np.asarray(result.trace["box_violation"]).max() == 0
    x, given = np.asarray(result.allocation), problem.allocation
    assert np.all((x >= given.lower) & (x <= given.upper))
    if pinned < 0.3 and failing < 0.3 and tight == 0.5:
        assert np.mean(np.any(x != start, axis=0)) > 0.5


@pytest.mark.parametrize("name", FLOWS)
def test_sum_and_box_in_float32(rng, float32, name):
    """One node is to get several times the mean share; one side of the box is open, another one in each run."""
    nodes = 200
    wanting = np.arange(nodes) == 3
    lower = np.column_stack([np.full(nodes, -np.inf), np.zeros(nodes)])
    upper = np.column_stack([np.where(wanting, 9.0, 3.0), np.full(nodes, np.inf)])
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), np.where(wanting, 6.0, 0.5))
    allocation = jc.Allocation(cost, float(nodes), lower, upper)
    net = jc.Network.from_graphs(nx.random_regular_graph(6, nodes, seed=1), failure_rate=0.1)
    method = jc.CoOptimizer(FLOWS[name], channel=jc.channels.LogQuantizer(0.5))
    result = jc.solve(jc.Problem(allocation), net, method, 400, runs=2, record_every=400)
    assert result.allocation.dtype == np.float32
    assert np.asarray(result.trace["budget_residual"]).max() <= 1e-6
    assert np.asarray(result.trace["box_violation"]).max() == 0
    assert np.all(np.asarray(result.allocation)[3] > 2)


# ---------------------------------------------------------------- full nodes in the way

LOG = jc.channels.LogQuantizer
SIZE = 10
CUT = {  # as many nodes in each: which graph is in use, and how often its links fail, are numbers to one program
    "star": (nx.star_graph(SIZE - 1), 0.0, [0]),
    "path": (nx.path_graph(SIZE), 0.0, [4, 5]),
    "failing ring": (nx.cycle_graph(SIZE), 0.2, [2]),
}


def cut_network(case):
    """All three graphs, of which one is used throughout."""
    graphs = [graph for graph, _, _ in CUT.values()]
    net = jc.Network.from_graphs(graphs, failure_rate=0.5, switching=[list(CUT).index(case)])
    return replace(net, failure_rate=np.asarray(CUT[case][1]))


def cut_problem(rng, full, latency):
    """The nodes in the way are full at the optimum, as their costs would have much more."""
    nodes, runs = SIZE, 4
    lower, room = rng.uniform(0.2, 0.5, (nodes, runs)), rng.uniform(1, 3, (nodes, runs))
    cost = jc.costs.Quadratic(rng.uniform(0.5, 3, (nodes, runs)), rng.uniform(0.5, 2, (nodes, runs)))
    room[full], cost.center[full] = 0.3, 9.0
    if latency:
        cost = cost + jc.costs.Latency(rng.uniform(0.2, 1, nodes))
    budget = (lower + 0.45 * room).sum(axis=0)
    return jc.Problem(jc.Allocation(cost, budget, lower, lower + room)), runs


@pytest.mark.parametrize(
    "channel",
    others_slow(
        [jc.channels.Ideal(), LOG(0.5), LOG(0.5, placement="difference")], kept=lambda channel: channel == LOG(0.5)
    ),
    ids=str,
)
@pytest.mark.parametrize("case", CUT)
@pytest.mark.parametrize("name", ["dual_flow", "dual_flow_memoryless"])
def test_the_optimum_behind_full_nodes(rng, name, case, channel):
    full = CUT[case][2]
    problem, runs = cut_problem(rng, full, latency=channel.placement == "innovation")
    net = cut_network(case)
    optimum = jc.reference(problem)
    assert np.all(np.asarray(optimum.allocation)[full] >= problem.allocation.upper[full] - 1e-9)
    options = {"runs": runs, "optimum": optimum, "record_every": 100}
    result = jc.solve(problem, net, jc.CoOptimizer(FLOWS[name], channel=channel), 4000, **options)
    assert np.asarray(result.trace["budget_residual"]).max() <= 1e-13
    assert np.asarray(result.trace["box_violation"]).max() == 0
    assert np.abs(np.asarray(result.trace["allocation_gap"])[-1]).max() <= 1e-6


@pytest.mark.parametrize("case", ["star", "path"])
def test_limit_alone_stalls_there(case):
    problem, runs = cut_problem(np.random.default_rng(0), CUT[case][2], latency=False)
    net = cut_network(case)
    flow = jc.CoOptimizer(FLOWS["curvature_flow"])
    result = jc.solve(problem, net, flow, 4000, runs=runs, record_every=1000)
    assert np.median(np.asarray(result.trace["allocation_gap"])[-1]) > 1e-4


@pytest.mark.parametrize("name", others_slow(FLOWS, kept=lambda name: name == "dual_flow"))
def test_derivatives_where_a_side_of_the_box_is_open(rng, name):
    allocation = jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.uniform(0, 2, NODES)), 5.0, 0.0, None)
    problem, net = jc.Problem(allocation), jc.Network.from_graphs(nx.cycle_graph(NODES))
    optimum = jc.reference(problem)

    def gap(gain):
        method = jc.CoOptimizer(replace(FLOWS[name], gain=gain))
        return jc.solve(problem, net, method, 20, optimum=optimum).trace["allocation_gap"][-1, 0]

    quick = {"xla_backend_optimization_level": 0}  # it runs once, and whether a NaN leaks is no matter of rounding
    assert np.isfinite(jax.jit(jax.grad(gap), compiler_options=quick)(0.8))


def hard_costs(seed):
    """Costs without a bound on their curvature at an end of their domain, with the budget and box of each, 32 draws."""
    work = np.random.default_rng(seed).uniform(1, 9, (10, 32))
    return {
        "latency, no bounds": (jc.costs.Latency(work), 20.0, None, None),
        "latency up to its pole": (jc.costs.Latency(work), 20.0, 0.0, 10.0),
        "queues at 90 % load": (jc.costs.Queueing(work), 0.9 * work.sum(axis=0), 0.0, None),
        "nearly linear": (jc.costs.Power(work, 1.1), 20.0, 0.0, 5.0),
        "power 1.5": (jc.costs.Power(work, 1.5), 20.0, 0.0, 5.0),
    }


@pytest.mark.parametrize("name", hard_costs(0))
def test_dual_flow_reaches_the_optimum_of_costs_whose_curvature_has_no_bound(name, rng):
    seed = int(rng.integers(1 << 30))
    allocation = jc.Allocation(*hard_costs(seed)[name])
    ring = jc.Network.from_graphs(nx.cycle_graph(10))
    method = jc.CoOptimizer(jc.methods.DualFlow())
    result = jc.solve(jc.Problem(allocation), ring, method, 1000, runs=32, record_every=500)
    assert result.trace["budget_residual"].max() <= 1e-13, seed
    assert result.trace["box_violation"].max() == 0, seed
    middle, end = result.trace["allocation_gap"][1:]
    assert np.all(end <= np.maximum(middle, 1e-13)), seed
    assert end.max() <= 1e-4, seed


def test_dual_flow_goes_around_a_node_that_cannot_move(rng):
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, 8), rng.uniform(1, 5, 8))
    lower, upper = np.where(np.arange(8) == 3, 2.0, 0.0), np.where(np.arange(8) == 3, 2.0, 10.0)
    ring = jc.Network.from_graphs(nx.cycle_graph(8))  # a path without node 3
    problem = jc.Problem(jc.Allocation(cost, 20.0, lower, upper))
    result = jc.solve(problem, ring, jc.CoOptimizer(jc.methods.DualFlow()), 1000)
    assert result.trace["allocation_gap"][-1].max() <= 1e-10
    assert result.trace["box_violation"].max() == 0
