"""`step="auto"` beside the longest step that works."""

import os

import numpy as np
import pytest
from test_theory_steps import M, ring

import jaxcoopt as jc
from benchmarks.auto_steps import CASES, beside_the_longest


def test_auto_on_a_ring_with_the_default_penalty(rng):
    """A penalty is stiff in a narrow band only: the bound that is proved counts that band everywhere."""
    nodes = 10
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(0.9, 1.1, nodes))
    problem = jc.Problem(jc.Allocation(cost, float(nodes), np.zeros(nodes), np.full(nodes, 3.0)))
    method = jc.CoOptimizer(M.LaplacianFlow("auto"))
    assert jc.theory.step_bound(M.LaplacianFlow(1.0), problem, ring(nodes)).value < 0.006
    result = jc.solve(problem, ring(nodes), method, 1000)
    assert result.method.allocation.step > 0.3
    assert np.abs(result.trace["allocation_gap"][-1, 0]) < 1e-9


HALVES = pytest.mark.parametrize("half", CASES)


@HALVES
def test_auto_is_near_the_longest_step_that_works(half):
    """On one problem, always the same."""
    rng = np.random.default_rng(1)
    found = beside_the_longest(half, *CASES[half](rng), int(rng.integers(1000)))
    assert found.stable
    assert found.works
    assert found.ratio <= 3


@pytest.mark.parametrize(("half", "index"), [("allocation", 14), ("allocation", 46), ("training", 92)])
def test_auto_on_problems_that_are_hard_to_tell(half, index):
    """One draw of link failures let a step pass with which every second run left the domain of its cost (46); a single
    long step happens to work among those that do not (14); 400 iterations were too few to see what settles (92).
    """
    rng = np.random.default_rng([0, list(CASES).index(half), index])
    found = beside_the_longest(half, *CASES[half](rng), int(rng.integers(1000)))
    assert found.stable
    assert found.works
    assert found.ratio <= 3


@pytest.mark.slow
@HALVES
def test_auto_is_near_the_longest_step_that_works_at_random(rng, half):
    """25 problems: no run is unstable, no step slower, and none shorter than a third of the longest that works."""
    turn = {} if half == "allocation" else {"turn": int(os.environ["JAXCOOPT_TEST_SEED"])}
    found = [beside_the_longest(half, *CASES[half](rng, **turn), int(rng.integers(1000))) for _ in range(25)]
    print(found)
    assert all(each.stable and each.works for each in found)
    ratios = [each.ratio for each in found]
    assert np.median(ratios) <= 2
    assert max(ratios) <= 3
