"""The parts of dual flow's curvature estimate, and a link's first use, by hand."""

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.curvature_estimate import AWAY, PRESSED, mean_nearby, own_curvature

FLOWS = {"dual": jc.methods.DualFlow(), "memoryless": jc.methods.MemorylessDualFlow()}


def rows(*values):
    return jnp.asarray(values)[:, None]


@pytest.mark.fast
def test_a_pressed_node_never_raises_its_estimate():
    """Five nodes in [0, 1]: free; pressed a little; much; as hard, but w away from its bound; soft, and pressed."""
    cost = jc.costs.Quadratic(rows(1.0, 1.0, 1.0, 1.0, 1e-3), 0.0)
    box = rows(0.0, 0.0, 0.0, 0.0, 0.0), rows(1.0, 1.0, 1.0, 1.0, 1.0)
    best, wanted = rows(0.5, 0.0, 0.0, 0.0, 0.0), rows(0.5, 0.0, 0.0, 1.0, 0.0)
    price, last = rows(0.5, -2 * PRESSED, -100 * PRESSED, -3.0, -9.0), rows(7.0, 7.0, 7.0, 7.0, 7.0)
    found = own_curvature(cost, best, wanted, price, box, jnp.ones((5, 1)), jnp.ones((1, 1)), last)
    np.testing.assert_allclose(found[:, 0], [1.0, 2.0, 7.0, 3.0, 7.0], rtol=1e-12)


@pytest.mark.fast
def test_an_estimate_rises_where_w_is_further_away_than_shares_can_move():
    """Whether X is at a bound or not, by how many times it is too far; and it is never below the rounding of prices."""
    cost = jc.costs.Quadratic(rows(1e-9, 1e-9, 1e-9, 1e-9), 0.0)
    box = rows(0.0, 0.0, 0.0, 0.0), rows(1.0, 1.0, 1.0, 1.0)
    best, wanted = rows(0.5, 1.0, 0.5, 0.5), rows(0.5 + 20 * AWAY, 1 - 4 * AWAY, 0.5 + AWAY, 0.5)
    price, last, longest = rows(3.0, 3.0, 3.0, 3.0), rows(0.5, 0.25, 0.5, 0.5), jnp.full((1, 1), 2.0)
    found = own_curvature(cost, best, wanted, price, box, jnp.ones((4, 1)), longest, last)
    np.testing.assert_allclose(found[:, 0], [5.0, 0.5, 0.25, 3e-5], rtol=1e-12)


@pytest.mark.fast
def test_neighbours_heard_in_turn_are_averaged():
    """1 and 9, one at a time: half way to each. Both at once: their mean. Nobody: as it was."""
    one, both, ever = rows(1.0), rows(2.0), rows(2.0)
    first = mean_nearby(rows(0.0), rows(1.0), one, one)
    second = mean_nearby(first, rows(9.0), one, ever)
    third = mean_nearby(second, rows(1.0), one, ever)
    assert (float(first[0, 0]), float(second[0, 0]), float(third[0, 0])) == (1, 5, 3)
    assert float(mean_nearby(third, rows(10.0), both, ever)[0, 0]) == 5
    assert float(mean_nearby(third, rows(0.0), rows(0.0), ever)[0, 0]) == 3
    assert float(mean_nearby(None, rows(10.0), both, both)[0, 0]) == 5


@pytest.mark.parametrize("name", FLOWS)
def test_the_first_use_of_a_link_settles_a_price_and_moves_nothing(name):
    """Where one node's price moves a million times as much as the other's, both meet near the soft one's."""
    cost = jc.costs.Quadratic(np.array([1e6, 1.0]), np.array([0.0, 2.0]))
    problem = jc.Problem(jc.Allocation(cost, 2.0, 0.0, 5.0))
    network, known = jc.Network.from_graphs(nx.path_graph(2)), jc.Optimum(allocation_cost=1.0)
    states = [
        jc.solve(problem, network, jc.CoOptimizer(FLOWS[name]), steps, optimum=known).state.allocation
        for steps in (1, 2, 3)
    ]
    start = np.ones((2, 1))
    np.testing.assert_array_equal(states[0].x.exact, start)
    np.testing.assert_array_equal(states[0].wanted.value, start)
    # From 1e6 and -1 to where they meet, and (w - X) / 2C away from that, C = gain / 1000 in codes rounded up.
    assert np.all(np.abs(states[0].price) < 520 / FLOWS[name].gain + 1)
    assert np.all(states[1].wanted.value != start)
    assert np.abs(states[2].backlog).max() < 5  # thousands without


@pytest.mark.parametrize("name", FLOWS)
def test_prices_pass_through_many_full_nodes_in_a_row(rng, name):
    """What stood between 1e-7 and 1e-4 when pressed nodes counted as stiff: nothing passed through them."""
    nodes, full, runs = 36, slice(0, 14), 8
    curvature, center = 10 ** rng.uniform(-1, 1, (nodes, runs)), rng.uniform(0, 4, (nodes, runs))
    lower = rng.uniform(0, 1, (nodes, runs))
    upper = lower + rng.uniform(1, 6, (nodes, runs))
    center[full], upper[full] = 9.0, lower[full] + 0.5
    budget = (lower + 0.45 * (upper - lower)).sum(axis=0)
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(curvature, center), budget, lower, upper))
    ring = jc.Network.from_graphs(nx.cycle_graph(nodes))
    result = jc.solve(problem, ring, jc.CoOptimizer(FLOWS[name]), 3000, runs=runs)
    assert np.abs(result.trace["allocation_gap"][-1]).max() <= 1e-9
    assert result.trace["box_violation"].max() == 0
