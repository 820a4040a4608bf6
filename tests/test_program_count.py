"""How many programs a solve compiles: JAX makes one of each operation that is run outside of jit."""

import contextlib

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

COMPILED = "/jax/core/compile/backend_compile_duration"  # once for each program, from the cache folder or not

# Each case has a number of nodes that no other test has, so that none of its programs is there before.
CASES = {
    "both, dual": (31, jc.methods.DualFlow(), True, {}, 5),
    "both, laplacian": (32, jc.methods.LaplacianFlow(0.01), True, {}, 5),
    "allocation": (33, jc.methods.DualFlow(), False, {}, 5),
    "training": (34, None, True, {}, 3),
    "runs": (35, jc.methods.LaplacianFlow(0.01), True, {"runs": 3}, 5),
    "tolerance": (36, jc.methods.LaplacianFlow(0.01), True, {"tol": 1e-3}, 5),
    "curvature that changes, dual": (37, jc.methods.DualFlow(), False, {}, 6),
    "curvature that changes, laplacian": (38, jc.methods.LaplacianFlow(0.01), False, {}, 6),
}


@contextlib.contextmanager
def counted():
    """A list that grows by an entry with each program."""
    found = []

    def listen(name, seconds, **_):
        if name == COMPILED:
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def solved(rng, case, seed):
    nodes, flow, trains, settings, _ = CASES[case]
    constant = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(1, 5, nodes))
    cost = jc.costs.Latency(rng.uniform(0.5, 2, nodes)) if "changes" in case else constant
    allocation = jc.Allocation(cost, 3.0 * nodes, np.full(nodes, 0.5), np.full(nodes, 10.0))
    labels = np.where(rng.random((nodes, 9)) < 0.5, -1, 1)
    training = jc.Training(jc.losses.Logistic(l2=1e-2), rng.normal(size=(nodes, 9, 3)), labels)
    problem = jc.Problem(None if flow is None else allocation, training if trains else None)
    network = jc.Network.from_graphs([nx.cycle_graph(nodes), nx.star_graph(nodes - 1)], failure_rate=0.1)
    fit = jc.methods.GradientTracking(0.05) if trains else None
    method = jc.CoOptimizer(flow, fit, jc.channels.LogQuantizer())
    return jc.solve(problem, network, method, 3, seed=seed, **settings)


@pytest.mark.parametrize("case", CASES)
def test_a_first_solve_compiles_few_programs_and_the_next_none(rng, case):
    """The check of the cost, the price, the start, the loop and the estimate; training alone has the last three."""
    with counted() as first:
        solved(rng, case, 0)
    assert 0 < len(first) <= CASES[case][-1]
    with counted() as second:  # other numbers of the same shapes
        solved(rng, case, 7)
    assert not second
