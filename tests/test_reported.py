"""What users reported: input that was refused, or taken, for no good reason."""

import jaxtyping
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

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
