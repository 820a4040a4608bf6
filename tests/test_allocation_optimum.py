"""The optimal allocation against water-filling in NumPy, written from the mathematics, and a linear program; its edges.

A family gives, for price p, the least and the largest x that minimises f_i(x) - p x; random problems are the runs axis.
"""

import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxcoopt as jc

NODES, RUNS, MANY = 6, 40, 1000
ACCURACY = 1e-9  # of the cost


@dataclass
class Family:
    """A cost, its value and its answers to a price without bounds, and what bounds it can take."""

    cost: Any
    value: Any
    answers: Any
    positive: bool
    capacity: Any = np.inf


def decades(rng, shape, low, high):
    return 10.0 ** rng.uniform(low, high, shape)


def quadratic(rng, shape):
    a, c = decades(rng, shape, -2, 2), rng.normal(size=shape) * decades(rng, (1, shape[1]), -2, 2)
    point = lambda p: c + p / a  # noqa: E731
    return Family(
        jc.costs.Quadratic(a, c), lambda x: a / 2 * (x - c) ** 2, lambda p: (point(p), point(p)), positive=False
    )


def latency(rng, shape):
    w = decades(rng, shape, -2, 2)
    point = lambda p: np.where(p < 0, np.sqrt(w / np.maximum(-p, 1e-300)), np.inf)  # noqa: E731
    return Family(jc.costs.Latency(w), lambda x: w / x, lambda p: (point(p), point(p)), positive=True)


def power(rng, shape, exponents=(1.05, 1.5, 2.0, 4.0, 8.0)):
    c, e = decades(rng, shape, -1, 1), rng.choice(exponents, shape)

    def answers(p):
        with np.errstate(all="ignore"):
            curved = (np.maximum(p, 0) / (c * e)) ** (1 / np.where(e > 1, e - 1, 1))
        return (
            np.where(e > 1, curved, np.where(p > c, np.inf, 0)),
            np.where(e > 1, curved, np.where(p >= c, np.inf, 0)),
        )

    return Family(jc.costs.Power(c, e), lambda x: c * x**e, answers, positive=True)


def linear(rng, shape):
    """Tied prices in every second problem."""
    family = power(rng, shape, (1.0,))
    tied = rng.choice([1.0, 2.0, 3.0], shape)
    c = np.where(np.arange(shape[1]) % 2, tied, family.cost.coefficient)
    return Family(
        jc.costs.Power(c, 1.0),
        lambda x: c * x,
        lambda p: (np.where(p > c, np.inf, 0), np.where(p >= c, np.inf, 0)),
        positive=True,
    )


def mixed_power(rng, shape):
    return power(rng, shape, (1.0, 1.05, 2.0, 8.0))


def queueing(rng, shape):
    capacity = decades(rng, shape, -1, 2)
    point = lambda p: np.where(p > 0, capacity - 1 / np.sqrt(np.maximum(p, 1e-300)), -np.inf)  # noqa: E731
    return Family(
        jc.costs.Queueing(capacity), lambda x: 1 / (capacity - x), lambda p: (point(p), point(p)), True, capacity
    )


def flat(x, constants):
    a, low, high, price = (constants[name] for name in ("a", "low", "high", "price"))
    return price * x + a * (jnp.maximum(x - high, 0) ** 2 + jnp.maximum(low - x, 0) ** 2)


def custom(rng, shape):
    """Slope p on [low, high], and growing outside of it; three prices, so that stretches are tied."""
    a, price, low = decades(rng, shape, -1, 1), rng.choice([-1.0, 0.0, 2.0], shape), rng.uniform(-2, 2, shape)
    high = low + rng.uniform(0, 2, shape)
    value = lambda x: (  # noqa: E731
        price * x + a * (np.maximum(x - high, 0) ** 2 + np.maximum(low - x, 0) ** 2)
    )

    def answers(p):
        past = (p - price) / (2 * a)
        return (np.where(p > price, high, low) + past, np.where(p >= price, high, low) + past)

    cost = jc.costs.Custom(flat, {"a": a, "low": low, "high": high, "price": price})
    return Family(cost, value, answers, positive=False)


def total(rng, shape):
    """A sum, whose answers are found by bisection, too."""
    parts = [family(rng, shape) for family in (quadratic, latency, queueing)]
    a, c = parts[0].cost.curvature, parts[0].cost.center
    w, capacity = parts[1].cost.work, parts[2].capacity
    value = lambda x: sum(part.value(x) for part in parts)  # noqa: E731

    def answers(p):
        low, high = np.zeros(shape), capacity * np.ones(shape)
        with np.errstate(all="ignore"):
            for _ in range(120):
                x = (low + high) / 2
                short = a * (x - c) - w / x**2 + 1 / (capacity - x) ** 2 < p
                low, high = np.where(short, x, low), np.where(short, high, x)
        return low, low

    return Family(sum((part.cost for part in parts[1:]), parts[0].cost), value, answers, True, capacity)


FAMILIES = {
    "quadratic": quadratic,
    "latency": latency,
    "power": power,
    "linear": linear,
    "mixed power": mixed_power,
    "queueing": queueing,
    "custom": custom,
    "sum": total,
}


def limits(rng, family, shape):
    """(lower, upper, budget): open and fixed nodes among them; budgets from 0.1 % of the room to almost all of it."""
    size = np.where(np.isfinite(family.capacity), family.capacity, decades(rng, (1, shape[1]), -1, 1) * np.ones(shape))
    lower = np.where(rng.random(shape) < 0.5, 0, rng.uniform(0, 0.3, shape)) * size - (0 if family.positive else size)
    upper = lower + rng.uniform(0.05, 0.6, shape) * size
    upper = np.where(rng.random(shape) < 0.1, np.maximum(lower, 1e-3 * size), upper)
    part = rng.choice([0.001, 0.01, 0.3, 0.7, 0.999], shape[1])
    budget = (np.maximum(lower, 0 if family.positive else -np.inf) + part * (upper - lower)).sum(axis=0)
    if not family.positive:
        budget = np.where((rng.random(shape[1]) < 0.2) & (lower.sum(axis=0) < 0) & (upper.sum(axis=0) > 0), 0, budget)
    endless = rng.random(shape[1]) < 0.3
    upper = np.where(endless & np.isinf(family.capacity), np.inf, upper)
    lower = np.where(endless & (not family.positive), -np.inf, lower)
    return lower, upper, budget


def water_filling(family, lower, upper, budget):
    """The least cost: bisection on the price, then the point between the two answers that meets the budget."""
    far = 1e4 * (np.abs(budget) + 1) * len(lower)
    first = np.maximum(lower, 0 if family.positive else -far)
    last = np.minimum(np.minimum(upper, family.capacity), np.maximum(budget, 0) if family.positive else far)
    last = np.maximum(first, last)
    answer = lambda p, side: np.clip(family.answers(p[None])[side], first, last)  # noqa: E731
    low, high = np.full(budget.shape, -300.0), np.full(budget.shape, 300.0)  # of arsinh p: fine at 0, and far
    for _ in range(300):
        middle = (low + high) / 2
        short = answer(np.sinh(middle), 1).sum(axis=0) < budget
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    low, high = np.sinh(low), np.sinh(high)
    below, above = answer(low, 0), answer(high, 1)
    room = (above - below).sum(axis=0)
    part = np.where(room > 0, (budget - below.sum(axis=0)) / np.where(room > 0, room, 1), 0)
    x = below + np.clip(part, 0, 1) * (above - below)
    with np.errstate(all="ignore"):
        return x, family.value(x)


def check(name, rng, runs):
    family = FAMILIES[name](rng, (NODES, runs))
    lower, upper, budget = limits(rng, family, (NODES, runs))
    found = jc.reference(jc.Problem(jc.Allocation(family.cost, budget, lower, upper)))
    wanted, values = water_filling(family, lower, upper, budget)
    size = np.maximum(np.abs(budget), np.abs(found.allocation).sum(axis=0))
    assert np.all(np.abs(wanted.sum(axis=0) - budget) <= 1e-9 * size), "the oracle misses the budget"
    assert np.all(np.abs(found.allocation.sum(axis=0) - budget) <= 1e-13 * size)
    assert np.all((found.allocation >= lower) & (found.allocation <= upper))
    off = np.abs(found.allocation_cost - values.sum(axis=0)) / np.abs(values).sum(axis=0)
    assert off.max() <= ACCURACY, f"run {off.argmax()}: off by {off.max():.1e} of the cost"


@pytest.mark.parametrize("name", FAMILIES)
def test_as_water_filling(rng, name):
    check(name, rng, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_thousand_as_water_filling(rng, name):
    check(name, rng, MANY)


def test_linear_costs_as_a_linear_program(rng):
    family = linear(rng, (NODES, RUNS))
    lower, upper, budget = limits(rng, family, (NODES, RUNS))
    found = jc.reference(jc.Problem(jc.Allocation(family.cost, budget, lower, upper)))
    prices = family.cost.coefficient
    for run in range(RUNS):
        box = list(zip(lower[:, run], np.where(np.isinf(upper[:, run]), None, upper[:, run]), strict=True))
        best = scipy.optimize.linprog(prices[:, run], A_eq=np.ones((1, NODES)), b_eq=budget[run : run + 1], bounds=box)
        assert found.allocation_cost[run] == pytest.approx(best.fun, rel=ACCURACY)


# ---------------------------------------------------------------- edges


def shares(cost, budget, lower=None, upper=None, nodes=NODES):
    return jc.reference(jc.Problem(jc.Allocation(cost, budget, lower, upper)), nodes)


@pytest.mark.parametrize("bounds", [(None, None), (-5.0, 5.0)])
@pytest.mark.parametrize("budget", [0.0, np.array([1.0, 0.0, 2.0])])
def test_a_budget_of_zero(rng, bounds, budget):
    a = rng.uniform(0.5, 2, NODES)
    part = 1 / a / (1 / a).sum()  # of the budget: at a common price, each node stands at its center and price / a more
    for curvature, center in ((np.ones(NODES), 1.0), (a, 1 / a), (a, 0.0)):
        found = shares(jc.costs.Quadratic(curvature, center), budget, *bounds)
        share = np.full(NODES, 1 / NODES) if curvature is not a else part
        np.testing.assert_allclose(found.allocation, np.multiply.outer(share, budget), atol=1e-14)


def test_answers_do_not_hang_on_which_rounding_a_flag_was_compiled_with():
    """Newton's last step is within rounding or not, by how it is compiled; with these numbers it was both at once."""
    a = [0.620722957338861, 0.6919518468621607, 0.6668717130483889]
    a = np.array([*a, 1.1158936752169588, 0.9067620906713711, 0.6116195805933817])
    budget = np.array([1.0, 0.0, 2.0])
    found = shares(jc.costs.Quadratic(a, 1 / a), budget, -5.0, 5.0)
    np.testing.assert_allclose(found.allocation, np.multiply.outer(1 / a / (1 / a).sum(), budget), atol=1e-14)
    np.testing.assert_allclose(found.price, budget / (1 / a).sum() - 1, atol=1e-14)


def test_what_linear_costs_leave_open_is_shared_as_evenly_as_bounds_allow():
    found = shares(jc.costs.Power(np.ones(4), 1.0), 10.0, 0.0, np.array([1.0, 5, 5, 5]), 4)
    np.testing.assert_allclose(found.allocation, [1, 3, 3, 3], rtol=1e-14)
    assert found.price == 1
    found = shares(jc.costs.Power(np.array([3.0, 1, 2, 1]), 1.0), 2.0, None, None, 4)  # without bounds
    np.testing.assert_allclose(found.allocation, [0, 1, 0, 1], atol=1e-20)
    unlike = shares(jc.costs.Power(np.arange(1.0, 7), 1.0), 29.9, 0.0, 5.0)
    np.testing.assert_allclose(unlike.allocation, [5, 5, 5, 5, 5, 4.9], rtol=1e-14)


def test_derivatives_where_linear_costs_tie():
    """A growing budget goes to the nodes that are not full, in equal parts, as the optimum itself does."""
    upper = np.array([1.0, 5, 5, 5])
    part = lambda b, hi: jc.reference(jc.Problem(jc.Allocation(jc.costs.Power(np.ones(4), 1.0), b, 0.0, hi)))  # noqa: E731
    with pytest.warns(RuntimeWarning, match="node 0"):  # at its bound, with a marginal cost equal to the price
        slope = jax.jacfwd(lambda b: part(b, upper).allocation)(10.0)
    with pytest.warns(RuntimeWarning, match="node 0"):
        by_bound = jax.jacfwd(lambda hi: part(10.0, hi).allocation)(upper)[:, 0]
    h = 1e-3
    np.testing.assert_allclose(slope, (part(10 + h, upper).allocation - part(10 - h, upper).allocation) / (2 * h))
    np.testing.assert_allclose(by_bound, [1, -1 / 3, -1 / 3, -1 / 3])


def test_fixed_nodes(rng):
    lower = rng.uniform(1, 2, NODES)
    upper = np.where(np.arange(NODES) < 3, lower, lower + 1)
    cost = jc.costs.Quadratic(np.ones(NODES), 0.0)
    found = shares(cost, lower.sum() + 1, lower, upper)
    np.testing.assert_array_equal(found.allocation[:3], lower[:3])
    np.testing.assert_allclose(shares(cost, lower.sum(), lower, lower).allocation, lower, rtol=1e-15)


def one_after_the_other(values):
    return np.cumsum(values, dtype=values.dtype)[-1]


@pytest.mark.parametrize("add", [np.sum, one_after_the_other])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_budgets_that_are_sums_in_single_precision(rng, side, add):
    """They miss the exact sum by its rounding; all shares are then at their bounds. Two nodes' worth is too much."""
    cost = jc.costs.Quadratic(np.ones(200), 1.0)
    for _ in range(25):
        bound = rng.uniform(1, 10, 200).astype(np.float32)
        box = {"lower": bound, "upper": bound + np.float32(1)} if side == "lower" else {"lower": 0.0, "upper": bound}
        for budget in (add(bound), float(add(bound))):
            found = jc.reference(jc.Problem(jc.Allocation(cost, budget, **box)))
            np.testing.assert_allclose(found.allocation, bound, rtol=0, atol=1e-2)
            np.testing.assert_allclose(found.allocation.sum(), budget, rtol=1e-5)
        wrong = add(bound) * np.float32(1.001 if side == "upper" else 0.999)
        with pytest.raises(ValueError, match="no allocation can meet it"):
            jc.reference(jc.Problem(jc.Allocation(cost, wrong, **box)))


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_budget_just_out_of_reach_is_told_with_digits_that_differ(unit):
    """Whatever the unit: what is within rounding is taken, and nothing else."""
    upper = unit * np.ones(NODES)
    cost = jc.costs.Quadratic(np.ones(NODES), 0.0)
    shares(cost, upper.sum() * (1 + 1e-10), 0.0, upper)
    with pytest.raises(ValueError, match="lies outside") as told:
        shares(cost, upper.sum() * (1 + 1e-8), 0.0, upper)
    given, most = re.search(r"budget: (\S+) .*, (\S+)\]", str(told.value)).groups()
    assert float(given) > float(most) > 0


def test_a_small_optimum_is_not_taken_for_nothing():
    """The even start costs 1e19 times as much as the optimum, all of it on the node with the power of 8."""
    found = shares(jc.costs.Power(np.ones(2), np.array([1.0, 8.0])), 1e-3, 0.0, 1.0, 2)
    assert found.allocation_cost == pytest.approx(1e-24, rel=1e-9)
    assert shares(jc.costs.Quadratic(np.ones(2), np.array([1 / 3, 2 / 3])), 1.0, 0.0, 1.0, 2).allocation_cost == 0


def falling(x, p):
    return p * x


def test_costs_that_fall_for_ever_are_refused_in_words():
    with pytest.raises(ValueError, match=r"no optimum within .*give bounds"):
        shares(jc.costs.Custom(falling, np.arange(1.0, NODES + 1)), 1.0)
    tied = shares(jc.costs.Custom(falling, 2.0), 1.0)
    np.testing.assert_allclose(tied.allocation, 1 / NODES)
    assert tied.price == 2


def dented(x, p):
    return p * (0.5 * x**2 - 1e-3 * jnp.exp(-1e6 * (x - 0.3) ** 2))


def test_a_cost_that_is_not_convex_is_refused_or_told():
    """Its dent lies between the points at which curvature is looked at; the optimum would be in it."""
    with pytest.raises(ValueError, match="convex"):
        jc.reference(jc.Problem(jc.Allocation(jc.costs.Custom(dented, np.ones(NODES)), 1.8, 0.0, 1.0)))
