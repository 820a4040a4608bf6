"""When a run with a tolerance stops: soon after it has converged, and whatever is recorded."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.run.loop import next_look
from jaxcoopt.run.prepare import prepare

NODES, RUNS, TOL = 6, 2, 1e-6
DATA = np.random.default_rng(3)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)), float(NODES), -3.0, 5.0),
    jc.Training(jc.losses.Linear(0.5), DATA.normal(size=(NODES, 5, 2)), DATA.normal(size=(NODES, 5))),
)
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
METHOD = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.EXTRA(np.array([0.05, 0.2])))
OPTIMUM = jc.reference(PROBLEM)


def run(steps=5000, every=None, tol=TOL, method=METHOD):
    return jc.solve(PROBLEM, NETWORK, method, steps, runs=RUNS, record_every=every, tol=tol, optimum=OPTIMUM)


def converged(trace):
    watched = ("allocation_gap", "training_gap", "budget_residual", "consensus_error")
    return np.all([np.abs(np.asarray(trace[name])) <= TOL for name in watched], axis=0)


@pytest.fixture(scope="module")
def usual():
    return run()


def test_looks_are_few_and_near():
    """Every tenth iteration at first, a 32nd to a 64th part of them later."""
    k, seen = 0, []
    while k < 200_000:
        seen.append(k := int(next_look(jnp.asarray(k, np.int32))))
    assert seen[:64] == list(range(10, 641, 10))
    gaps = np.diff(seen)
    assert (gaps[64:] * 32 <= np.array(seen)[64:-1]).all()
    assert (gaps[64:] * 65 >= np.array(seen)[64:-1]).all()
    assert len(seen) < 400
    assert int(next_look(jnp.asarray(2**31 - 2, np.int32))) == 2**31 - 1  # no overflow


@pytest.mark.parametrize("every", [1, 7, 5000])
def test_what_is_recorded_does_not_matter(usual, every):
    result = run(every=every)
    assert result.status.tolist() == usual.status.tolist() == [jc.Status.CONVERGED] * RUNS
    assert result.iterations[-1] == usual.iterations[-1]
    ends = [(r.allocation, r.params, {name: rows[-1] for name, rows in r.trace.items()}) for r in (usual, result)]
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_run_stops_soon_after_it_has_converged(usual):
    """At the first look with all within the tolerance; bits and seconds are counted to there, in each run."""
    open_end = run(steps=2000, every=10, tol=None).trace
    first = converged(open_end).argmax(axis=0)
    assert (first < 64).all()  # up to iteration 640, looks are where these records are
    assert first[0] != first[1]
    assert usual.iterations[-1] == 10 * first.max()
    for name in ("bits", "seconds"):
        np.testing.assert_allclose(usual.trace[name][-1], np.asarray(open_end[name])[first, [0, 1]], rtol=1e-12)


def test_many_steps_cost_nothing_more(usual):
    assert run(steps=10**6).iterations[-1] == usual.iterations[-1]


def test_the_end_is_looked_at():
    """Though it is no iteration in which runs are looked at otherwise."""
    within = converged(run(steps=640, every=1, tol=None).trace)
    steps = int(within[:, 0].argmax())
    steps += steps % 10 == 0
    assert run(steps=steps, every=50).status[0] == jc.Status.CONVERGED


def test_inside_jit(usual):
    """There a run of known length goes on, and what has converged stands still."""
    steps = int(usual.iterations[-1]) + 40
    inside = jax.jit(lambda: run(steps=steps, every=50))()
    assert inside.status.tolist() == usual.status.tolist()
    for a, b in zip(*map(jax.tree.leaves, [(r.allocation, r.params) for r in (usual, inside)]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for name in ("bits", "seconds", "training_gap"):
        np.testing.assert_allclose(inside.trace[name][-1], usual.trace[name][-1], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("tol", [None, 1e-12])
def test_a_run_that_left_the_domain_between_records_has_diverged(tol):
    """Steps at the edge, by which some shares pass a queue's capacity and come back: the same status and cost, with a
    record of each iteration and with the start's and the end's alone.
    """
    allocation = jc.Allocation(jc.costs.Queueing(np.array([1.0, 1.5, 3.0, 6.0])), 3.0, 0.02, 0.95)
    ring, steps = jc.Network.from_graphs(nx.cycle_graph(4)), np.geomspace(0.03, 0.08, 60)
    flow = jc.CoOptimizer(jc.methods.LaplacianFlow(steps), channel=jc.channels.Ideal())
    options = {"runs": len(steps), "tol": tol}
    often, seldom = (jc.solve(jc.Problem(allocation), ring, flow, 200, record_every=n, **options) for n in (1, 200))
    np.testing.assert_array_equal(often.status, seldom.status)
    lost = np.asarray(often.status) == jc.Status.DIVERGED
    assert 0 < lost.sum() < len(steps)
    x = np.asarray(seldom.allocation)[:, lost]
    assert (x < np.array([[1.0], [1.5], [3.0], [6.0]])).all(axis=0).any()  # some are back where they have a cost
    np.testing.assert_array_equal(np.isnan(seldom.trace["allocation_cost"][-1]), lost)


def test_costs_without_an_end_take_nothing_along():
    for cost, watched in ((jc.costs.Quadratic(1.0, 0.0), False), (jc.costs.Latency(1.0), True)):
        given = jc.Problem(jc.Allocation(cost, 4.0, 0.1, 4.0))
        ring = jc.Network.from_graphs(nx.cycle_graph(4))
        _, carry = prepare(given, ring, jc.CoOptimizer(jc.methods.DualFlow()), 1, 0, None, None, jc.Optimum())
        assert (carry.strayed is not None) == watched
