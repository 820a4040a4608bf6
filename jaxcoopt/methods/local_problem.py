"""A node's own problem: its cost plus a parabola, over its box."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.derivative import derivative_from
from jaxcoopt.problem.box import finite_box
from jaxcoopt.problem.costs import Cost, curvature, marginal
from jaxcoopt.problem.problem import Allocation

NEWTON_STEPS = 40  # at most as many halvings of the bracket; Newton's own steps need about six

Shares = Float[Array, "nodes runs"]


def own_box(allocation: Allocation, like: Shares) -> tuple[Shares, Shares]:
    """The box inside the cost's domain, both [nodes, runs], finite."""
    lower, upper = finite_box(allocation, like.shape[0])
    return jnp.broadcast_to(lower, like.shape), jnp.broadcast_to(upper, like.shape)


def least_cost(
    cost: Cost,
    slope: Shares,
    stiffness: Shares,
    center: Shares,
    box: tuple[Shares, Shares],
    start: Shares,
    steps: int = NEWTON_STEPS,
) -> Shares:
    """argmin over the box of f_i(x) + slope x + stiffness/2 (x - center)^2, stiffness > 0, from a point inside.

    Newton's method on the derivative, which grows, held to a bracket that a halving shrinks where Newton leaves it. The
    answer's own derivative is that of the optimality condition: a bound's where it is at one.
    """
    x = _found(*lax.stop_gradient((cost, slope, stiffness, center, box, start)), steps)
    force = marginal(cost, x) + slope + stiffness * (x - center)
    inside = x - force / lax.stop_gradient(curvature(cost, x) + stiffness)
    return derivative_from(x, jnp.where(x <= box[0], box[0], jnp.where(x >= box[1], box[1], inside)))


def _found(
    cost: Cost,
    slope: Shares,
    stiffness: Shares,
    center: Shares,
    box: tuple[Shares, Shares],
    start: Shares,
    steps: int,
) -> Shares:
    def derivative(x: Shares) -> Shares:
        return marginal(cost, x) + slope + stiffness * (x - center)

    start = jnp.clip(start, *box)
    reach = jnp.abs(derivative(start)) / stiffness  # the derivative grows by at least the stiffness
    low, high = jnp.maximum(box[0], start - reach), jnp.minimum(box[1], start + reach)

    def halve(_: Array, at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, x = at
        value = derivative(x)
        low, high = jnp.where(value <= 0, x, low), jnp.where(value > 0, x, high)
        newton = x - value / (curvature(cost, x) + stiffness)
        return low, high, jnp.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))

    # The ends first: an optimum there is met exactly.
    at_low, at_high = derivative(low) >= 0, derivative(high) <= 0
    _, _, x = lax.fori_loop(0, steps, halve, (low, high, start))
    return jnp.where(at_low, low, jnp.where(at_high, high, x))
