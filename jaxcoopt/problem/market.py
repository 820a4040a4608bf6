"""The allocation's optimum: the price at which the nodes' answers add up to the budget, found by bisection."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.arrays import there
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import box, feasible_point, finite_box, share_scale
from jaxcoopt.problem.costs import Cost, curvature, marginal
from jaxcoopt.problem.problem import Allocation

ITERATIONS = 200  # halvings: enough to bring any float64 interval down to neighbouring numbers
RADII = 10.0 ** np.arange(1, 13, 2)  # how far an unbounded node may stand from the equal share, in all shares or 1's


def clear_market(allocation: Allocation, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x* [nodes, runs], price [runs], cost [runs]) in float64; call under jax.enable_x64.

    At price p node i answers x_i(p) = the point of its box where f_i' = p, or the end nearer to it. sum_i x_i(p) grows
    with p, so bisection finds the price of the budget. Unbounded sides are cut, ever further out until no cut binds.
    """
    allocation = aligned_allocation(allocation)
    cost, budget = allocation.cost, allocation.budget
    lower, upper = box(allocation)
    x = price = jnp.zeros(0)
    scale = nodes * float(share_scale(allocation, nodes))
    # Where shares are tiny it may be the costs alone that say how far out the optimum lies.
    near, far = scale * RADII, nodes * RADII
    for radius in [*near, *far[far > near[-1]]]:
        first, last = finite_box(allocation, nodes, radius)
        x, price = _bisect_price(cost, budget, first, last)
        cut = ((x <= first) & ~there(lower)) | ((x >= last) & ~there(upper))
        if not bool(jnp.any(cut)):
            break
    else:
        most = max(near[-1], far[-1])
        raise ValueError(f"allocation: the optimum lies beyond {most:.0e} CPU units of the equal share; give bounds")
    missed = jnp.abs(x.sum(axis=0) - budget) > 1e-9 * jnp.maximum(jnp.abs(budget), jnp.abs(x).sum(axis=0))
    if bool(jnp.any(missed)):
        raise ValueError("allocation: no price brings the nodes' answers to the budget; is every cost convex?")
    start = cost.value(feasible_point(allocation, nodes)).sum(axis=0)
    return np.asarray(x), np.asarray(price), zero_if_rounding(cost.value(x).sum(axis=0), start)


def zero_if_rounding(best: Array, start: Array) -> np.ndarray:
    """The optimal value, 0 where it is only the rounding of a sum as large as at the start: gaps are relative to it."""
    return np.where(np.abs(np.asarray(best)) <= 1e-15 * np.abs(np.asarray(start)), 0.0, np.asarray(best))


@jax.jit
def _bisect_price(
    cost: Cost, budget: Array, first: Float[Array, "nodes runs"], last: Float[Array, "nodes runs"]
) -> tuple[Float[Array, "nodes runs"], Float[Array, " runs"]]:
    answer = partial(_answer, cost, first, last)
    low, high = marginal(cost, first).min(axis=0), marginal(cost, last).max(axis=0)
    shape = jnp.broadcast_shapes(low.shape, budget.shape)

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        short = answer(middle).sum(axis=0) < budget
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    ends = jnp.broadcast_to(low, shape), jnp.broadcast_to(high, shape)
    low, high = lax.fori_loop(0, ITERATIONS, halve, ends)
    # Between the last two prices the answers are interpolated, so that the budget is met even where f' is flat.
    below, above = answer(low), answer(high)
    gain = above.sum(axis=0) - below.sum(axis=0)
    part = jnp.where(gain > 0, (budget - below.sum(axis=0)) / jnp.where(gain > 0, gain, 1), 0)
    return below + jnp.clip(part, 0, 1)[None] * (above - below), 0.5 * (low + high)


def _answer(cost: Cost, first: Array, last: Array, price: Array) -> Float[Array, "nodes runs"]:
    """x(p): Newton's method on f'(x) = p inside a bracket that bisection would keep, until no digit moves."""
    price = price[None]
    shape = jnp.broadcast_shapes(first.shape, price.shape)

    def moving(state: tuple[Array, ...]) -> Array:
        *_, moved, count = state
        return moved & (count < ITERATIONS)

    def narrow(state: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, x, _, count = state
        excess = marginal(cost, x) - price
        low, high = jnp.where(excess < 0, x, low), jnp.where(excess < 0, high, x)
        newton = x - excess / curvature(cost, x)
        inside = (newton > low) & (newton < high)
        closer = jnp.abs(newton - x) < 0.5 * (high - low)
        new = jnp.where(inside & closer, newton, 0.5 * (low + high))
        return low, high, new, jnp.any(new != x), count + 1

    low, high = jnp.broadcast_to(first, shape), jnp.broadcast_to(last, shape)
    start = (low, high, 0.5 * (low + high), jnp.asarray(True), jnp.asarray(0))
    x = lax.while_loop(moving, narrow, start)[2]
    at_low, at_high = marginal(cost, low) >= price, marginal(cost, high) <= price
    return jnp.where(at_low, low, jnp.where(at_high, high, x))
