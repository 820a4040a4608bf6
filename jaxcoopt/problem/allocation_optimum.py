"""The allocation's optimum: the price at which the nodes' answers add up to the budget, found by bisection."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcoopt.arrays import there
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.host import as_jax
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.bisection import at_rank, middle, rank
from jaxcoopt.problem.box import box, domain, feasible_point, finite_box, share_scale
from jaxcoopt.problem.costs import Cost, curvature, marginal
from jaxcoopt.problem.problem import Allocation

RADII = 10.0 ** np.arange(1, 13, 2)  # how far an unbounded node may stand from the equal share, in all shares or 1's
MOST = 200  # steps to one node's answer: halvings alone take 64, a Newton step is kept where it is twice as short
INSIDE = 1e-60  # of the equal share's distance: the step from the end of a cost's domain, which is open

Shares = Float[Array, "nodes runs"]


class _Cleared(NamedTuple):
    """The optimum in a cut box; what its cost's rounding is seen against; which shares are at a cut, or no optimum."""

    x: Shares
    price: Float[Array, " runs"]
    cost: Float[Array, " runs"]
    bound_price: Float[Array, " runs"]
    large: Float[Array, " runs"]
    cut: Any
    wrong: Any


def dual_bisection(allocation: Allocation, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x* [nodes, runs], price [runs], cost [runs], `bound_price` [runs]) in float64; call under jax.enable_x64.

    At price p node i answers x_i(p) = the point of its box where f_i' = p, or the end nearer to it. sum_i x_i(p) grows
    with p, so bisection finds the price of the budget. Where f_i' = p on a whole stretch, what the others leave of the
    budget is shared as evenly as the stretches allow. Unbounded sides are cut, ever further out until no cut binds.
    """
    allocation = aligned_allocation(allocation)
    scale = nodes * float(share_scale(allocation, nodes))
    # Where shares are tiny it may be the costs alone that say how far out the optimum lies.
    near, far = scale * RADII, nodes * RADII
    radii = [*near, *far[far > near[-1]]]
    for radius in radii:
        found = jax.device_get(_clear(as_jax(allocation), nodes, radius))
        if not found.cut.any():
            break
    else:
        raise ValueError(
            f"allocation: no optimum within {radii[-1]:.0e} CPU units of the equal share: the cost falls ever further "
            "out, where no bound stops it; give bounds, or costs that grow"
        )
    if found.wrong.any():
        node, run = np.argwhere(found.wrong)[0]
        raise ValueError(
            f"allocation.cost: at node {node} (run {run}) no price has an answer near x = {found.x[node, run]:g}: its "
            "slope falls there, or is NaN; use a convex cost or tighten the bounds"
        )
    best = zero_if_rounding(found.cost, found.large, 1e-15)
    return found.x, found.price, best, found.bound_price


def zero_if_rounding(best: ArrayLike, large: ArrayLike, part: float) -> np.ndarray:
    """The optimal value, 0 where it is no more than a part of what it is the rounding of: gaps are relative to it."""
    return np.where(np.abs(np.asarray(best)) <= part * np.abs(np.asarray(large)), 0.0, np.asarray(best))


@partial(compiled_soon, static=("nodes",))
def _clear(allocation: Allocation, nodes: int, radius: Array) -> _Cleared:
    cost = allocation.cost
    first, last = as_jax(finite_box(allocation, nodes, radius, INSIDE))
    least, most = first.sum(axis=0), last.sum(axis=0)
    budget = jnp.clip(allocation.budget, least, most)  # which it may miss by the rounding of the bounds' sum
    price, below, above = _bisect_price(cost, budget, first, last)
    x, flat = _share(cost, budget, first, below, above)
    price = jnp.where(flat.any(axis=0), price[0], price[1])
    lower, upper = box(allocation)
    start, end = domain(allocation)
    endless_low, endless_high = ~there(jnp.maximum(lower, start)), ~there(jnp.minimum(upper, end))
    cut = ((x <= first) & endless_low) | ((x >= last) & endless_high)
    terms = cost.value(x)
    start = cost.value(as_jax(feasible_point(allocation, nodes))).sum(axis=0)
    size = jnp.abs(terms) + jnp.abs(x * marginal(cost, x)) + x**2 * jnp.abs(curvature(cost, x))
    large = jnp.fmin(jnp.abs(start), size.sum(axis=0))
    wrong = _no_optimum(cost, x, price, first, last)
    return _Cleared(x, price, terms.sum(axis=0), bound_price(cost, x, price), large, cut, wrong)


@compiled_soon
def bound_price(cost: Cost, x: Shares, price: Float[Array, " runs"]) -> Float[Array, " runs"]:
    """sum_i |f_i'(x_i) - price|: the multipliers of the bounds."""
    return jnp.abs(marginal(cost, x) - price[None]).sum(axis=0)


def _bisect_price(cost: Cost, budget: Array, first: Shares, last: Shares) -> tuple[tuple[Array, Array], Shares, Shares]:
    """Two neighbouring prices, and the answers to them: below the budget, and not below it."""
    at_first, at_last = marginal(cost, first), marginal(cost, last)
    free = first < last
    largest = jnp.finfo(first.dtype).max
    low = jnp.where(free.any(axis=0), jnp.where(free, at_first, largest).min(axis=0), at_first.min(axis=0))
    high = jnp.where(free.any(axis=0), jnp.where(free, at_last, -largest).max(axis=0), at_last.max(axis=0))
    low, high = (
        jnp.nan_to_num(end, nan=far, posinf=largest, neginf=-largest)
        for end, far in ((jnp.minimum(low, high), -largest), (jnp.maximum(low, high), largest))
    )

    def apart(state: tuple[Array, ...]) -> Array:
        low, high, *_ = state
        return jnp.any(middle(low, high) > low)

    def halve(state: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, below, above = state
        between = middle(low, high)
        price = at_rank(between)[None]
        x = _answer(cost, below, above, price)
        x = jnp.where(at_first >= price, first, jnp.where(at_last < price, last, x))
        short = x.sum(axis=0) < budget
        low, high = jnp.where(short, between, low), jnp.where(short, high, between)
        return low, high, jnp.where(short[None], x, below), jnp.where(short[None], above, x)

    low, high, below, above = lax.while_loop(apart, halve, (rank(low) - 1, rank(high) + 1, first, last))
    return (_no_denormal(at_rank(low)), _no_denormal(at_rank(high))), below, above


def _no_denormal(price: Array) -> Array:
    """0 for the neighbours of 0, of which the processor takes most for 0."""
    return jnp.where(jnp.abs(price) <= 2 * jnp.finfo(price.dtype).tiny, 0, price)


def _answer(cost: Cost, low: Shares, high: Shares, price: Float[Array, "1 runs"]) -> Shares:
    """The least x in [low, high] with f'(x) >= p, else high: Newton's method inside of a bisection.

    A node is done when its last two x are the same to rounding. This is read from the stored x: if it were carried
    along as a flag, flag and x could be compiled apart, round differently, and contradict each other.
    """
    rounding = 2 * jnp.finfo(low.dtype).eps

    def still(x: Shares, before: Shares) -> Array:
        return jnp.abs(x - before) <= rounding * jnp.abs(x)

    def moving(state: tuple[Array, ...]) -> Array:
        *_, x, before, count = state
        return ~still(x, before).all() & (count < MOST)

    def narrow(state: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, x, before, count = state
        slope, bend = jax.jvp(lambda at: marginal(cost, at), (x,), (jnp.ones_like(x),))
        excess, done = slope - price, still(x, before)
        low, high = jnp.where((excess < 0) & ~done, x, low), jnp.where((excess < 0) | done, high, x)
        newton = x - excess / bend
        halfway = middle(rank(low), rank(high))
        quick = (newton > low) & (newton < high) & (jnp.abs(newton - x) < 0.5 * jnp.abs(x - before))
        reached = jnp.isfinite(bend) & still(newton, x)
        new = jnp.where(quick, newton, at_rank(halfway))
        new = jnp.where(halfway <= rank(low), high, jnp.where(reached, jnp.clip(newton, low, high), new))
        return low, high, jnp.where(done, x, new), x, count + 1

    x = at_rank(middle(rank(low), rank(high)))
    return lax.while_loop(moving, narrow, (low, high, x, jnp.full_like(x, jnp.inf), jnp.asarray(0)))[2]


def _share(cost: Cost, budget: Array, first: Shares, below: Shares, above: Shares) -> tuple[Shares, Array]:
    """What meets the budget between the answers to two neighbouring prices, and which nodes are indifferent.

    These take what the others leave, as evenly as their stretches allow; the others stand between their answers, so
    that the budget is met to rounding even where f' hardly grows.
    """
    inside = below + 0.5 * (above - below)
    flat = (above > below) & (curvature(cost, inside) == 0)
    # A share at an end of its stretch stands just outside of it, where f' grows again, so that derivatives hold it.
    below = jnp.where(flat, jnp.maximum(at_rank(rank(below) - 1), first), below)
    left = budget - jnp.where(flat, 0, below).sum(axis=0)

    def filled(level: Array) -> Array:
        return jnp.where(flat, jnp.clip(at_rank(level)[None], below, above), 0)

    def apart(ends: tuple[Array, Array]) -> Array:
        return jnp.any(middle(*ends) > ends[0])

    def halve(ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        level = middle(low, high)
        short = filled(level).sum(axis=0) < left
        return jnp.where(short, level, low), jnp.where(short, high, level)

    ends = rank(jnp.where(flat, below, 0).min(axis=0)), rank(jnp.where(flat, above, 0).max(axis=0))
    low, high = lax.while_loop(apart, halve, ends)
    shared = _between(filled(low), filled(high), left)
    x = jnp.where(flat, shared, below)
    return _between(x, jnp.where(flat, shared, above), budget), flat


def _between(low: Shares, high: Shares, total: Float[Array, " runs"]) -> Shares:
    """The point of the line from low to high whose sum is the total, or the end nearer to it."""
    room = (high - low).sum(axis=0)
    part = jnp.where(room > 0, (total - low.sum(axis=0)) / jnp.where(room > 0, room, 1), 0)
    return low + jnp.clip(part, 0, 1)[None] * (high - low)


def _no_optimum(cost: Cost, x: Shares, price: Float[Array, " runs"], first: Shares, last: Shares) -> Array:
    """Where the slope just left of x lies above the price, or just right of it below; and where the cost is NaN."""
    reach = 1e-7 * (jnp.abs(x) + jnp.abs(x).mean(axis=0, keepdims=True)) + 1e-12 * (last - first)
    left, right = (marginal(cost, jnp.clip(x + move, first, last)) for move in (-reach, reach))
    size = 1e-9 * (jnp.abs(price)[None] + jnp.abs(left) + jnp.abs(right))
    wrong = ((x > first) & (left - price[None] > size)) | ((x < last) & (price[None] - right > size))
    return wrong | jnp.isnan(cost.value(x))
