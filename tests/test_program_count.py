"""How many programs a solve compiles: JAX makes one of each operation that is run outside of jit."""

import contextlib

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

COMPILED = "/jax/core/compile/backend_compile_duration"  # once for each program, from the cache folder or not
N = 11  # nodes that no other test has

HALVES = {
    "both": ("allocation", "training"),
    "allocation": ("allocation",),
    "training": ("training",),
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


def problem(rng, halves, cost=None):
    curved = jc.costs.Quadratic(rng.uniform(0.5, 2, N), rng.uniform(1, 5, N))
    features = rng.normal(size=(N, 9, 3))
    labels = np.where(rng.random((N, 9)) < 0.5, -1, 1)
    allocation = jc.Allocation(curved if cost is None else cost, 3.0 * N, np.full(N, 0.5), np.full(N, 10.0))
    training = jc.Training(jc.losses.Logistic(l2=1e-2), features, labels)
    return jc.Problem(allocation if "allocation" in halves else None, training if "training" in halves else None)


def solved(rng, method, halves=HALVES["both"], cost=None, **settings):
    network = jc.Network.from_graphs([nx.cycle_graph(N), nx.star_graph(N - 1)], failure_rate=0.1)
    return jc.solve(problem(rng, halves, cost), network, method, 3, **settings)


def optimizer(flow, halves=HALVES["both"]):
    return jc.CoOptimizer(
        flow if "allocation" in halves else None,
        jc.methods.GradientTracking(0.05) if "training" in halves else None,
        jc.channels.LogQuantizer(),
    )


@pytest.mark.parametrize("halves", HALVES)
@pytest.mark.parametrize("flow", [jc.methods.DualFlow(), jc.methods.LaplacianFlow(0.01)], ids=["dual", "laplacian"])
def test_a_first_solve_compiles_five_programs_and_the_next_none(rng, flow, halves):
    """The check of the cost, the price, the start, the loop and the estimate; training alone has the last three."""
    halves = HALVES[halves]
    jax.clear_caches()
    with counted() as first:
        solved(rng, optimizer(flow, halves), halves)
    assert 0 < len(first) <= (5 if "allocation" in halves else 3)
    with counted() as second:
        solved(rng, optimizer(flow, halves), halves, seed=7)
    assert not second


def test_costs_without_constant_curvature_take_one_more(rng):
    cost = jc.costs.Latency(np.full(N, 2.0))
    jax.clear_caches()
    for flow in (jc.methods.DualFlow(), jc.methods.LaplacianFlow(0.01)):
        with counted() as first:
            solved(rng, optimizer(flow), cost=cost)
        assert len(first) <= 6
        with counted() as second:
            solved(rng, optimizer(flow), cost=cost)
        assert not second


@pytest.mark.parametrize("settings", [{"runs": 3}, {"tol": 1e-3}, {"record_every": 1}], ids=str)
def test_settings_take_no_more(rng, settings):
    jax.clear_caches()
    with counted() as first:
        solved(rng, optimizer(jc.methods.LaplacianFlow(0.01)), **settings)
    assert 0 < len(first) <= 5
