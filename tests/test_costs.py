"""Costs and penalties, number by number, against formulas written out here."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import jaxcoopt as jc
from jaxcoopt.methods.flow_state import price_at
from jaxcoopt.problem.align import aligned
from jaxcoopt.problem.costs import Sum, curvature, marginal

N, RUNS = 4, 3
X64 = bool(jax.config.jax_enable_x64)
RTOL = 1e-10 if X64 else 2e-5
A, C = np.array([0.5, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, -1.0, 2.0])
SHARES = np.random.default_rng(0).uniform(0.4, 2.0, (N, RUNS))


def aligned_cost(cost: jc.costs.Cost) -> jc.costs.Cost:
    """Constants as solve lays them out: scalar, [nodes, 1] or [nodes, runs]."""
    half = aligned(jc.Problem(jc.Allocation(cost, 1.0)), N).allocation
    assert half is not None
    return half.cost


a, c = A[:, None], C[:, None]
PER_RUN = np.linspace(1, 2, N * RUNS).reshape(N, RUNS)
# cost, f(x), f'(x), f''(x)
COSTS: dict[str, tuple[Any, Any, Any, Any]] = {
    "quadratic": (
        jc.costs.Quadratic(A, C, 0.7),
        lambda x: a / 2 * (x - c) ** 2 + 0.7,
        lambda x: a * (x - c),
        lambda x: a + 0 * x,
    ),
    "quadratic per run": (
        jc.costs.Quadratic(PER_RUN, C),
        lambda x: PER_RUN / 2 * (x - c) ** 2,
        lambda x: PER_RUN * (x - c),
        lambda x: PER_RUN + 0 * x,
    ),
    "coefficients": (
        jc.costs.Quadratic.from_coefficients(A, C, 0.3),
        lambda x: a * x**2 + c * x + 0.3,
        lambda x: 2 * a * x + c,
        lambda x: 2 * a + 0 * x,
    ),
    "latency": (jc.costs.Latency(A), lambda x: a / x, lambda x: -a / x**2, lambda x: 2 * a / x**3),
    "power": (
        jc.costs.Power(A, 2.5),
        lambda x: a * x**2.5,
        lambda x: 2.5 * a * x**1.5,
        lambda x: 3.75 * a * x**0.5,
    ),
    "linear power": (jc.costs.Power(A, 1.0), lambda x: a * x, lambda x: a + 0 * x, lambda x: 0 * x),
    "queueing": (
        jc.costs.Queueing(A + 3),
        lambda x: 1 / (a + 3 - x),
        lambda x: 1 / (a + 3 - x) ** 2,
        lambda x: 2 / (a + 3 - x) ** 3,
    ),
    "sum": (
        jc.costs.Latency(A) + jc.costs.Quadratic(A, C) + jc.costs.Queueing(4.0),
        lambda x: a / x + a / 2 * (x - c) ** 2 + 1 / (4 - x),
        lambda x: -a / x**2 + a * (x - c) + 1 / (4 - x) ** 2,
        lambda x: 2 * a / x**3 + a + 2 / (4 - x) ** 3,
    ),
    "custom": (
        jc.costs.Custom(lambda x, p: p["k"] * jnp.exp(x), {"k": A}),
        lambda x: a * np.exp(x),
        lambda x: a * np.exp(x),
        lambda x: a * np.exp(x),
    ),
}


@jax.jit
def evaluated(cost: jc.costs.Cost, x: jax.Array) -> Any:
    return cost.value(x), marginal(cost, x), curvature(cost, x)


@pytest.mark.fast
@pytest.mark.parametrize("name", COSTS)
def test_costs_against_closed_forms(name):
    cost, value, slope, bend = COSTS[name]
    cost, x = aligned_cost(cost), jnp.asarray(SHARES)
    for found, wanted in zip(evaluated(cost, x), (value, slope, bend), strict=True):
        assert found.shape == (N, RUNS)
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, wanted(SHARES), rtol=RTOL, atol=RTOL)


@pytest.mark.parametrize("name", COSTS)
def test_costs_against_finite_differences(name):
    with jax.enable_x64(True):
        cost, x, h = aligned_cost(COSTS[name][0]), jnp.asarray(SHARES, jnp.float64), 1e-5
        ahead, here, behind = (evaluated(cost, at) for at in (x + h, x, x - h))
        for order in (0, 1):  # the value's slope, the slope's own
            difference = np.asarray(ahead[order] - behind[order]) / (2 * h)
            np.testing.assert_allclose(here[order + 1], difference, rtol=1e-7, atol=1e-7)


@pytest.mark.fast
def test_sums_flatten_and_add():
    one, two, three = jc.costs.Latency(A), jc.costs.Power(A), jc.costs.Quadratic(A, C)
    for total in (one + two + three, one + (two + three), (one + two) + three):
        assert isinstance(total, Sum)
        assert [type(term) for term in total.terms] == [type(one), type(two), type(three)]
    x = jnp.asarray(SHARES)
    parts = sum(aligned_cost(term).value(x) for term in (one, two, three))
    np.testing.assert_allclose(aligned_cost(one + two + three).value(x), parts, rtol=RTOL)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("cost", "lower", "upper"),
    [
        (jc.costs.Quadratic(A, C), -math.inf, math.inf),
        (jc.costs.Latency(A), 0, math.inf),
        (jc.costs.Power(A), 0, math.inf),
        (jc.costs.Queueing(A), -math.inf, a),
        (jc.costs.Custom(lambda x, p: x**2), -math.inf, math.inf),
        (jc.costs.Latency(A) + jc.costs.Queueing(A), 0, a),
        (jc.costs.Queueing(A) + jc.costs.Queueing(1.5), -math.inf, np.minimum(a, 1.5)),
    ],
)
def test_domains(cost, lower, upper):
    start, end = aligned_cost(cost).domain()
    np.testing.assert_allclose(np.broadcast_to(start, (N, 1)), np.broadcast_to(lower, (N, 1)), rtol=1e-6)
    np.testing.assert_allclose(np.broadcast_to(end, (N, 1)), np.broadcast_to(upper, (N, 1)), rtol=1e-6)


def test_constants_per_run_are_runs_of_their_own():
    """The optimum of a batch is that of each run alone, whichever constant has the runs axis."""
    centers = np.linspace(0, 2, N * RUNS).reshape(N, RUNS)
    batch = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, centers), 5.0, 0.0, 3.0)))
    assert batch.allocation.shape == (N, RUNS)
    for run in range(RUNS):
        alone = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, centers[:, run]), 5.0, 0.0, 3.0)))
        np.testing.assert_allclose(batch.allocation[:, run], alone.allocation, rtol=1e-12)
        np.testing.assert_allclose(batch.price[run], alone.price, rtol=1e-9)
        np.testing.assert_allclose(batch.allocation_cost[run], alone.allocation_cost, rtol=1e-12)


# ---------------------------------------------------------------- penalties

LOWER, UPPER = np.array([[0.5], [-math.inf], [0.0], [-1.0]]), np.array([[1.0], [2.0], [math.inf], [1.5]])
OUT = np.random.default_rng(4).uniform(-1.5, 3.0, (N, RUNS))


def penalty(x: np.ndarray, form: str, weight: Any, sharpness: Any) -> np.ndarray:
    """The formulas of `Penalty`'s docstring."""
    over, under = x - UPPER, LOWER - x
    if form == "square":
        return weight * (np.maximum(over, 0) ** 2 + np.maximum(under, 0) ** 2)
    return weight * (np.logaddexp(0, sharpness * over) + np.logaddexp(0, sharpness * under)) / sharpness


@pytest.mark.fast
@pytest.mark.parametrize("per_run", [False, True])
@pytest.mark.parametrize("form", ["softplus", "square"])
def test_penalty_slopes_against_finite_differences(form, per_run):
    weight, sharpness = (np.array([2.0, 5.0, 1.0]), np.array([4.0, 2.0, 9.0])) if per_run else (3.0, 6.0)
    h = 1e-6
    wanted = (penalty(OUT + h, form, weight, sharpness) - penalty(OUT - h, form, weight, sharpness)) / (2 * h)
    with jax.enable_x64(True):
        bounds = jc.bounds.Penalty(jnp.asarray(weight), jnp.asarray(sharpness), form)
        found = bounds.slope(None, jnp.asarray(OUT), jnp.asarray(LOWER), jnp.asarray(UPPER))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert np.abs(wanted).max() > 1


@pytest.mark.fast
@pytest.mark.parametrize("form", ["softplus", "square"])
def test_absent_bounds_add_nothing(form):
    bounds, x = jc.bounds.Penalty(form=form), jnp.asarray(OUT)
    for lower, upper in ((None, None), (-jnp.inf, jnp.inf), (None, jnp.full((N, 1), jnp.inf))):
        slope = bounds.slope(
            None, x, None if lower is None else jnp.asarray(lower), None if upper is None else jnp.asarray(upper)
        )
        np.testing.assert_array_equal(slope, 0)
        assert slope.shape == x.shape
    one_sided = bounds.slope(None, x, jnp.asarray(0.0), None)
    np.testing.assert_array_equal(one_sided, bounds.slope(None, x, jnp.asarray(0.0), jnp.asarray(jnp.inf)))
    assert float(one_sided.min()) < 0 <= float(-one_sided.max())


@pytest.mark.fast
def test_penalty_slope_has_a_derivative_at_infinite_bounds():
    """No NaN leaks through the branch that is not taken."""
    bounds = jc.bounds.Penalty()
    total = jax.jit(jax.grad(lambda x: bounds.slope(None, x, jnp.asarray(LOWER), jnp.asarray(UPPER)).sum()))
    slope = total(jnp.asarray(OUT))
    assert bool(jnp.isfinite(slope).all())


@pytest.mark.fast
def test_price_is_marginal_cost_plus_slope():
    half = aligned(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, C), 1.0, LOWER[:, 0], UPPER[:, 0])), N).allocation
    bounds = jc.bounds.Penalty(3.0, 6.0)
    x = jnp.asarray(OUT)
    push = np.where(np.isfinite(UPPER), expit(6 * (OUT - UPPER)), 0) - np.where(
        np.isfinite(LOWER), expit(6 * (LOWER - OUT)), 0
    )
    np.testing.assert_allclose(price_at(bounds, None, half, x), a * (OUT - c) + 3 * push, rtol=10 * RTOL, atol=RTOL)
