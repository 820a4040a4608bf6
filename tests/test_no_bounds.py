"""Costs without bounds: shares may end up as many times the equal share as the optimum asks for."""

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES

EXACT = [entry for entry in ENTRIES if entry.half == "allocation" and entry.exact]
NODES, FAR = 4, 1e4


@pytest.fixture(scope="module")
def far():
    """One node is to have 30,000 shares of a budget of 4, the other three -10,000 each, to a unit or so."""
    center = np.array([3 * FAR, 1 - FAR, 2 - FAR, 1 - FAR])
    return jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), center), float(NODES)))


@pytest.mark.parametrize("entry", EXACT, ids=lambda entry: entry.name)
def test_a_side_without_bound_is_none(entry):
    """Run 0 has no upper bound, run 1 no lower one, run 2 none: in each the optimum lies far out there."""
    center = np.array([3 * FAR, 1 - FAR, 2 - FAR, 1 - FAR])[:, None] * np.array([1.0, -1.0, 1.0])
    lower, upper = np.array([[-2 * FAR, -np.inf, -np.inf]]), np.array([[np.inf, 2 * FAR, np.inf]])
    bounds = {"lower": np.broadcast_to(lower, (NODES, 3)), "upper": np.broadcast_to(upper, (NODES, 3))}
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), center), float(NODES), **bounds))
    method = jc.CoOptimizer(entry.make(**entry.settings))
    result = jc.solve(
        problem, jc.Network.from_graphs(nx.complete_graph(NODES)), method, 4000, runs=3, record_every=4000
    )
    first, last = np.asarray(result.trace["allocation_gap"], float)[[0, -1]]
    assert np.all(first > 1e7)
    assert np.all(last < 1e-6 * first)


@pytest.mark.parametrize("entry", EXACT, ids=lambda entry: entry.name)
def test_the_optimum_is_reached_far_from_the_equal_share(far, entry):
    network = jc.Network.from_graphs(nx.complete_graph(NODES))
    result = jc.solve(far, network, jc.CoOptimizer(entry.make(**entry.settings)), 4000, record_every=4000)
    start, end = np.abs(np.asarray(result.trace["allocation_gap"], float)[[0, -1], 0])
    assert start > 1e8
    assert end < 1e-6 * start
    np.testing.assert_allclose(np.asarray(result.allocation)[0], 3 * FAR, rtol=1e-3)
