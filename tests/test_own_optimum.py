"""An optimum of another problem, of shapes that fit, is refused: gaps to it would mean nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

N = 6
RING = jc.Network.from_graphs(nx.cycle_graph(N))
METHOD = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.GradientTracking(0.1))
RNG = np.random.default_rng(0)
CURVATURE, FEATURES = RNG.uniform(0.5, 2, N), RNG.normal(size=(N, 5, 2))
TARGETS = np.sign(FEATURES[..., 0] + RNG.normal(size=(N, 5)))


def problem(budget=6.0, curvature=1.0, upper=2.0, l2=0.1, features=FEATURES):
    cost = jc.costs.Quadratic(curvature * CURVATURE, 3.0)
    training = jc.Training(jc.losses.Logistic(l2), features, TARGETS)
    return jc.Problem(jc.Allocation(cost, budget, np.zeros(N), np.full(N, upper)), training)


OWN = jc.reference(problem())


def run(optimum, given=None):
    return jc.solve(problem() if given is None else given, RING, METHOD, 1, optimum=optimum)


OTHERS = {
    "budget": (lambda: jc.reference(problem(budget=7.0)), r"allocation: it adds up to 7 where the budget is 6"),
    "costs": (lambda: jc.reference(problem(curvature=2.0)), r"allocation_cost: .*, where the shares cost"),
    "l2": (lambda: jc.reference(problem(l2=1.0)), r"training_loss: .*, where the parameters' is"),
    "data": (lambda: jc.reference(problem(features=FEATURES[::-1])), r"training_loss: .*, where the parameters' is"),
    "features": (
        lambda: jc.reference(problem(features=np.ones((N, 5, 3)) * FEATURES[..., :1])),
        r"params\['weights'\]: shape \(3,\) where \(2,\) is expected",
    ),
    "structure": (lambda: replace(OWN, params={"weights": np.zeros(2)}), r"params: PyTreeDef"),
    "outside": (lambda: replace(OWN, allocation=-OWN.allocation), r"allocation: it adds up to -6"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_problems_optimum_is_refused(other):
    make, told = OTHERS[other]
    with pytest.raises(ValueError, match=rf"optimum\.{told}.*another problem's.*jaxcoopt\.reference"):
        run(make())


def test_shares_outside_of_the_bounds_are_refused():
    with pytest.raises(ValueError, match=r"optimum\.allocation: it stands .* outside of the bounds"):
        run(OWN, given=problem(upper=1.1))


@pytest.mark.fast
def test_its_own_is_taken_rounded_and_in_part():
    rounded = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), OWN)
    for mine in (OWN, rounded, replace(OWN, price=None), jc.Optimum(allocation_cost=OWN.allocation_cost)):
        gap = run(mine).trace["allocation_gap"]
        np.testing.assert_allclose(gap, run(None).trace["allocation_gap"], rtol=1e-4, atol=1e-6)
    assert "training_gap" not in run(jc.Optimum()).trace


def test_the_run_that_differs_is_named():
    budgets = np.array([6.0, 5.0])
    both = jc.reference(problem(budget=budgets))
    jc.solve(problem(budget=budgets), RING, METHOD, 1, runs=2, optimum=both)
    with pytest.raises(ValueError, match=r"adds up to 5 where the budget is 6 \(run 1\)"):
        jc.solve(problem(budget=np.array([6.0, 6.0])), RING, METHOD, 1, runs=2, optimum=both)


@pytest.mark.parametrize("budget", [0.0, 18.0])
def test_an_optimum_that_is_only_rounding_is_its_own(budget):
    """Cost and price, or all shares, are 0 there but for rounding."""
    given = jc.Problem(jc.Allocation(jc.costs.Quadratic(CURVATURE, 3.0 if budget else 0.0), budget))
    assert jc.reference(given).allocation_cost == pytest.approx(0, abs=1e-12)
    jc.solve(given, RING, jc.CoOptimizer(jc.methods.DualFlow()), 1, optimum=jc.reference(given))


@pytest.mark.parametrize("name", ["allocation", "allocation_cost", "price", "bound_price", "training_loss"])
def test_numbers_that_are_none_are_refused(name):
    for wrong in ({}, {"a": 1.0}, RING):
        with pytest.raises(TypeError, match=rf"optimum\.{name}: expected a number or an array of them"):
            run(replace(jc.Optimum(), **{name: wrong}))
