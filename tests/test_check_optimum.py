"""An optimum of another problem, of shapes that fit, is refused: gaps to it would mean nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.run.check_optimum import check_optimum

N = 6
RING = jc.Network.from_graphs(nx.cycle_graph(N))
METHOD = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.GradientTracking(0.1))
RNG = np.random.default_rng(0)
CURVATURE, FEATURES = RNG.uniform(0.5, 2, N), RNG.normal(size=(N, 5, 2))
TARGETS = np.sign(FEATURES[..., 0] + RNG.normal(size=(N, 5)))


def problem(budget=6.0, curvature=1.0, upper=2.0, l2=0.1, features=FEATURES, lower=0.0, weights=None):
    cost = jc.costs.Quadratic(curvature * CURVATURE, 3.0)
    training = jc.Training(jc.losses.Logistic(l2), features, TARGETS, weights=weights)
    return jc.Problem(jc.Allocation(cost, budget, np.full(N, lower), np.full(N, upper)), training)


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
    "tighter box": (
        lambda: jc.reference(problem(upper=1.1)),
        r"allocation: the marginal cost is -1",
    ),
    "tighter from below": (lambda: jc.reference(problem(lower=0.8)), r"allocation: the marginal cost is"),
    "shares alone": (
        lambda: jc.Optimum(allocation=jc.reference(problem(upper=1.1)).allocation),
        r"allocation: the marginal cost is",
    ),
    "l2 nearby": (
        lambda: replace(jc.reference(problem(l2=0.102)), training_loss=None),
        r"params: the loss has a slope",
    ),
    "data weights": (
        lambda: replace(jc.reference(problem(weights=np.linspace(1, 1.1, N))), training_loss=None),
        r"params: the loss has a slope of .* there",
    ),
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


def test_runs_in_another_order_are_refused():
    """Of costs whose optima add up alike, and of the losses' l2."""
    curvature, l2 = np.stack([CURVATURE, CURVATURE[::-1]], axis=1), np.array([0.1, 0.2])

    def both(curvature, l2):
        given = problem(l2=l2)
        return replace(given, allocation=replace(given.allocation, cost=jc.costs.Quadratic(curvature, 3.0)))

    jc.solve(both(curvature, l2), RING, METHOD, 1, runs=2, optimum=jc.reference(both(curvature, l2)))
    for other, told in ((both(curvature[:, ::-1], l2), "marginal"), (both(curvature, l2[::-1]), "slope")):
        optimum = replace(jc.reference(other), training_loss=None, allocation_cost=None)
        with pytest.raises(ValueError, match=rf"{told}.* \(run 0\)"):
            jc.solve(both(curvature, l2), RING, METHOD, 1, runs=2, optimum=optimum)


COSTS = {
    "quadratic": lambda rng: jc.costs.Quadratic(10.0 ** rng.uniform(-3, 3, N), rng.normal(size=N)),
    "eighth": lambda rng: jc.costs.Power(10.0 ** rng.uniform(-2, 2, N), 8.0),
    "latency": lambda rng: jc.costs.Latency(10.0 ** rng.uniform(-3, 1, N)),
    "queueing": lambda rng: jc.costs.Queueing(rng.uniform(2.1, 9, N)),
    "linear": lambda rng: jc.costs.Custom(lambda x, p: p * x, rng.choice([1.0, 1.0001, 2.0], N)),
}


@pytest.mark.parametrize("cost", COSTS)
def test_their_own_optima_are_taken_whatever_the_costs(rng, cost):
    """Rounded, too, on its bounds, near the ends of the domain, and with curvatures over six decades."""
    for budget in rng.uniform(0.01, 1.99, 5) * N:
        given = jc.Problem(jc.Allocation(COSTS[cost](rng), budget, 1e-3, 2.0))
        own = jc.reference(given, N)
        for mine in (own, jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), own)):
            check_optimum(mine, given, N)


def test_parameters_that_are_only_rounding_are_their_own(float32):
    """Samples that cancel: the slope is the rounding of its terms."""
    half = np.asarray(FEATURES, np.float32)
    for loss in (jc.losses.Linear(1e-3), jc.losses.Logistic(1e-3)):
        targets = np.tile(TARGETS, (1, 2)) * np.repeat([1, -1], 5)
        training = jc.Training(loss, np.concatenate([half, half], axis=1), targets)
        given = jc.Problem(training=training)
        check_optimum(jc.reference(given), given, N)


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
