"""JAX's debugging flags: what is right passes with each of them, absent bounds, idle nodes and all. Strict promotion of
dtypes and ranks is on throughout the suite.
"""

from contextlib import contextmanager

import jax
import method_cases as cases
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES

NODES = cases.NODES
HALF = np.where(np.arange(NODES) > 2, np.inf, 4.0)
ALLOCATION = [row for row in ENTRIES if row.half == "allocation"]
TRAINING = [row for row in ENTRIES if row.half == "training"]
COSTS = {
    "quadratic": jc.costs.Quadratic(1.0, np.linspace(0.8, 1.2, NODES)),
    "latency": jc.costs.Latency(np.linspace(1.0, 2.0, NODES)),
    "power": jc.costs.Power(np.linspace(1.0, 2.0, NODES), 1.5),
    "queueing": jc.costs.Queueing(np.full(NODES, 5.0)),
    "sum": jc.costs.Latency(1.0) + jc.costs.Quadratic(1.0, 0.5),
}
BOXES = {"open": (None, None), "half open": (0.0, HALF), "infinite": (np.full(NODES, -np.inf), np.inf)}
BOUNDS = [jc.bounds.Penalty(), jc.bounds.Penalty(form="square"), jc.bounds.Multiplier(), jc.bounds.Limit()]


@contextmanager
def flag(name):
    before = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)


def solved(problem, method, steps=4, **options):
    network = jc.Network.from_graphs(cases.graph(), failure_rate=0.2)
    return jc.solve(problem, network, method, steps, **{"runs": 2, "record_every": 2, **options})


def shares(cost="quadratic", box="half open", budget=5.0):
    return jc.Problem(jc.Allocation(COSTS[cost], budget, *BOXES[box]))


def test_bounds_without_an_end_are_no_infinities_to_debug():
    with flag("jax_debug_infs"):
        for box in BOXES:
            for bounds in BOUNDS:
                solved(shares(box=box), jc.CoOptimizer(jc.methods.CurvatureFlow(momentum=0.3, bounds=bounds)))
            solved(shares(box=box), jc.CoOptimizer(jc.methods.LaplacianFlow(0.05)))


@pytest.mark.parametrize("name", ["jax_debug_infs", "jax_debug_nans"])
def test_costs_and_references_under_debugging(name):
    with flag(name):
        for cost in COSTS:
            for box in BOXES:
                if box == "infinite" and cost in ("latency", "power", "sum", "queueing"):
                    continue  # a bound of minus infinity where the cost ends at 0
                jc.reference(shares(cost, box), NODES)
            solved(shares(cost), jc.CoOptimizer(jc.methods.DualFlow()))


@pytest.mark.parametrize("name", ["jax_debug_infs", "jax_debug_nans"])
def test_methods_under_debugging(rng, name):
    """Two rows of the registry at a time: each allocation method with a training method."""
    with flag(name):
        for pair in cases.PAIRS:
            problem, initial = cases.case(rng, pair)
            solved(problem, cases.method_of(pair), initial=initial, runs=cases.RUNS)


def test_seconds_without_an_end_are_infinite_in_the_result():
    """Half of the shares are negative, at which no work is ever done."""
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, np.linspace(-1, 1, NODES)), 0.0))
    with flag("jax_debug_infs"):
        result = solved(problem, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)))
    assert np.all(np.isposinf(result.trace["seconds"][-1]))
    assert np.all(result.trace["seconds"][0] == 0)


@pytest.mark.parametrize("allocation", ["dual_flow", "laplacian_flow", "curvature_flow"])
def test_without_compiling_the_numbers_are_the_same(rng, allocation):
    row = next(row for row in ALLOCATION if row.name == allocation)
    method = jc.CoOptimizer(row.build(), channel=jc.channels.LogQuantizer(0.5, placement="difference"))
    problem = shares()
    compiled = solved(problem, method)
    with flag("jax_disable_jit"):
        plain = solved(problem, method, optimum=compiled.optimum)
    np.testing.assert_allclose(plain.allocation, compiled.allocation, rtol=1e-12, atol=1e-12)


def test_without_compiling_memory_and_steps_are_the_same(rng, unchecked):
    """What is asked of a compiled program is asked of one all the same; trials of steps are compiled."""
    data = jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 5, 2)), rng.normal(size=(NODES, 5)))
    problem, network = jc.Problem(shares().allocation, data), jc.Network.from_graphs(nx.cycle_graph(NODES))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow("auto"), jc.methods.GradientTracking("auto"))
    need, result = jc.memory(problem, network, method, runs=2), solved(problem, method, steps=2)
    with flag("jax_disable_jit"):
        plain_need = jc.memory(problem, network, method, runs=2)
        plain = solved(problem, method, steps=2, optimum=result.optimum)
    for half in ("allocation", "training"):
        steps = [getattr(each.method, half).step for each in (plain, result)]
        np.testing.assert_allclose(*steps, rtol=1e-12)
    np.testing.assert_allclose(plain.allocation, result.allocation, rtol=1e-9)
    assert (plain_need.state, plain_need.setup) == (need.state, need.setup)
    np.testing.assert_allclose(plain_need.working, need.working, rtol=0.2)


def test_derivatives_sweep_and_tune_under_debugging(tmp_path):
    problem, network = shares(box="half open"), jc.Network.from_graphs(nx.cycle_graph(NODES))
    flow = jc.CoOptimizer(jc.methods.LaplacianFlow(0.002))
    optimum = jc.reference(problem)

    def gap(step):
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(step))
        return jc.solve(problem, network, method, 4, optimum=optimum).trace["allocation_gap"][-1, 0]

    with flag("jax_debug_infs"), flag("jax_debug_nans"):
        assert np.isfinite(jax.grad(gap)(0.05))
        jc.tune(problem, network, flow, ["allocation.step"], steps=4, iterations=2)
        jc.sweep(problem, network, flow, {"allocation.step": [0.01, 0.05]}, steps=4, store=tmp_path / "swept")
