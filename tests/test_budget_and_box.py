"""Our flows on 1,000 random problems each: the budget to rounding and the box exactly, at every iteration."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxcoopt as jc

NODES, RUNS, EXAMPLES, STEPS = 7, 20, 50, 40  # problems: RUNS x EXAMPLES
FLOWS = {
    "dual_flow": jc.methods.DualFlow(),
    "dual_flow_memoryless": jc.methods.DualFlow(3.0, None),
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
)
def test_sum_and_box_at_every_iteration(name, placement, seed, size, decades, pinned, tight, failing):
    problem, start, rng = problem_of(seed, size, decades, pinned, tight)
    channel = jc.channels.LogQuantizer(rng.uniform(0.05, 1.5, RUNS), placement=placement)
    method = jc.CoOptimizer(FLOWS[name], channel=channel)
    options = {"initial": jc.Initial(start), "optimum": jc.Optimum(), "record_every": 1, "seed": seed % 1000}
    result = jc.solve(problem, network(failing * rng.random(RUNS)), method, STEPS, runs=RUNS, **options)
    assert result.trace["budget_residual"].shape == (STEPS + 1, RUNS)
    assert np.asarray(result.trace["budget_residual"]).max() <= 1e-13
    assert np.asarray(result.trace["box_violation"]).max() == 0
    x, given = np.asarray(result.allocation), problem.allocation
    assert np.all((x >= given.lower) & (x <= given.upper))
