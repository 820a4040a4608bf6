"""Costs whose curvature varies by orders of magnitude, or is 0: the optimum, and what `solve` says before it runs."""

import importlib.util
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxcoopt as jc

PATH = Path(__file__).parents[1] / "benchmarks" / "hard_costs.py"
FAST = {"x^8, path of 8": 2000, "nearly linear, ring of 10": 6000, "flat stretches, path of 8": 3000}
NODES = 6
RING = jc.Network.from_graphs(nx.cycle_graph(NODES))


@pytest.fixture(scope="module")
def bench():
    """benchmarks/hard_costs.py, a script of no package."""
    spec = importlib.util.spec_from_file_location("hard_costs", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def groups():
    """The names in GROUPS, without importing the script."""
    lines = PATH.read_text().split("GROUPS: dict", 1)[1].split("\n}\n", 1)[0].splitlines()
    return [line.split('"')[1] for line in lines if line.startswith('    "')]


def check(bench, name, steps, seed, method="dual"):
    row = bench.measure(name, method, steps, seed)
    assert row["missed"] == 0, (row, seed)
    assert row["budget_residual"] <= 1e-13, (row, seed)
    assert row["box_violation"] == 0, (row, seed)


@pytest.mark.parametrize("name", FAST)
def test_the_optimum_of_hard_costs(bench, rng, name):
    check(bench, name, FAST[name], int(rng.integers(1 << 30)))


@pytest.mark.slow
@pytest.mark.parametrize("name", groups())
def test_the_optimum_of_every_kind_of_hard_costs(bench, name):
    check(bench, name, 20_000, seed=0)


def test_the_optimum_of_the_benchmark_is_that_of_a_linear_program(bench):
    problem, network = bench.drawn("linear, tied prices, ring of 10", 1)
    allocation = problem.allocation
    found = bench.water_filling(allocation, network.nodes)
    for run in range(bench.RUNS):
        box = np.stack([allocation.lower[:, run], allocation.upper[:, run]], axis=1)
        prices, budget = allocation.cost.coefficient[:, run], [allocation.budget[run]]
        best = linprog(prices, A_eq=np.ones((1, len(box))), b_eq=budget, bounds=box).fun
        np.testing.assert_allclose(found.allocation_cost[run], best, rtol=1e-9)


def test_the_curvature_estimates_come_to_rest(bench):
    """Also where a cost is flat: from then on it is ADMM with weights that stay."""
    problem, network = bench.drawn("linear, tied prices, ring of 10", 0)
    optimum = bench.water_filling(problem.allocation, network.nodes)
    method, options = jc.CoOptimizer(jc.methods.DualFlow()), {"runs": bench.RUNS, "record_every": 3000}
    codes = []
    for steps in (6000, 9000):
        with pytest.warns(RuntimeWarning, match="allocation.cost: Power is flat"):
            result = jc.solve(problem, network, method, steps, optimum=optimum, **options)
        codes.append(np.asarray(result.state.allocation.estimate))
    np.testing.assert_array_equal(*codes)


def flat_part(x, where):
    """0 up to `where`, then a parabola."""
    return jnp.maximum(x - where, 0) ** 2


LINEAR = jc.costs.Power(np.linspace(1.0, 2.0, NODES), 1.0)
STRETCH = jc.costs.Custom(flat_part, np.linspace(1.0, 2.0, NODES))
CURVED = {
    "quadratic": jc.costs.Quadratic(1e-9, 1.0),
    "x^8": jc.costs.Power(1.0, 8.0),
    "x^1.02": jc.costs.Power(1.0, 1.02),
    "latency": jc.costs.Latency(1.0),
    "linear and quadratic": LINEAR + jc.costs.Quadratic(1e-3, 1.0),
}
WEIGHS = {
    "dual": jc.methods.DualFlow(),
    "memoryless": jc.methods.MemorylessDualFlow(),
    "limit": jc.methods.CurvatureFlow(),
    "multiplier": jc.methods.CurvatureFlow(bounds=jc.bounds.Multiplier(0.1)),
    "penalty": jc.methods.CurvatureFlow(momentum=0.3, bounds=jc.bounds.Penalty()),
    "flow with multipliers": jc.methods.LaplacianFlow(0.01, bounds=jc.bounds.Multiplier(0.1)),
}


def run(cost, name):
    known = jc.Optimum(allocation_cost=1.0)
    problem = jc.Problem(jc.Allocation(cost, 12.0, 0.0, 5.0))
    return jc.solve(problem, RING, jc.CoOptimizer(WEIGHS[name]), 2, optimum=known)


@pytest.mark.parametrize("name", WEIGHS)
def test_costs_that_are_flat_all_over_are_refused_or_warned_of(name):
    if name in ("dual", "memoryless"):
        with pytest.warns(RuntimeWarning, match=r"allocation.cost: Power is flat.* all over .* 6 nodes"):
            run(LINEAR, name)
        return
    with pytest.raises(ValueError, match=r"allocation.cost: Power is flat.*use methods.DualFlow"):
        run(LINEAR, name)


@pytest.mark.parametrize("name", WEIGHS)
def test_flat_stretches_are_warned_of(name):
    with pytest.warns(RuntimeWarning, match=r"allocation.cost: Custom is flat.* in part of"):
        run(STRETCH, name)


@pytest.mark.parametrize("cost", CURVED)
def test_costs_that_are_curved_everywhere_are_not(cost):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(CURVED[cost], "dual")


def test_methods_that_do_not_weigh_by_curvature_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = jc.Problem(jc.Allocation(LINEAR, 12.0, 0.0, 5.0))
        jc.solve(problem, RING, jc.CoOptimizer(jc.methods.DualConsensusADMM(1.0)), 2, optimum=jc.Optimum())


RARE = jc.Network.from_graphs([nx.compose(nx.empty_graph(NODES), nx.Graph([(i, i + 1)])) for i in range(NODES - 1)])


def spread(decades):
    cost = jc.costs.Quadratic(np.logspace(0, decades, NODES), 1.0)
    return jc.Problem(jc.Allocation(cost, 12.0, 0.0, 5.0))


def solved(problem, network, method):
    return jc.solve(problem, network, jc.CoOptimizer(method), 2, optimum=jc.Optimum(allocation_cost=1.0))


@pytest.mark.parametrize("name", ["dual", "memoryless"])
def test_curvatures_of_many_decades_over_links_that_are_seldom_up_are_warned_of(name):
    with pytest.warns(RuntimeWarning, match=r"allocation.cost: its curvatures differ by 8 decades, and 20% .* diverge"):
        solved(spread(8), RARE, WEIGHS[name])


def test_fewer_decades_other_methods_and_links_that_stay_are_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solved(spread(4), RARE, WEIGHS["dual"])
        solved(spread(8), RING, WEIGHS["dual"])
        solved(spread(8), RARE, jc.methods.DualConsensusADMM(1.0))
