"""A node's own problem: its cost plus a parabola, over its box."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.derivative import derivative_from
from jaxcoopt.platform import choices
from jaxcoopt.problem.costs import Cost, curvature, marginal

NEWTON_STEPS = 40  # at most as many halvings of the bracket; Newton's own steps need about six

Shares = Float[Array, "nodes runs"]


class _Own(NamedTuple):
    """f_i(x) + slope x + stiffness/2 (x - center)^2."""

    cost: Cost
    slope: Shares
    stiffness: Shares
    center: Shares

    def derivative(self, x: Shares) -> Shares:
        return marginal(self.cost, x) + self.slope + self.stiffness * (x - self.center)

    def curvature(self, x: Shares) -> Shares:
        return curvature(self.cost, x) + self.stiffness


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
    own = _Own(cost, slope, stiffness, center)
    x = _argmin(*lax.stop_gradient((own, box, start)), steps)
    for _ in range(2):  # a Newton step from what has one derivative right has the next one right, too
        inside = x - own.derivative(x) / own.curvature(x)
        x = derivative_from(x, jnp.where(x <= box[0], box[0], jnp.where(x >= box[1], box[1], inside)))
    return x


def _argmin(own: _Own, box: tuple[Shares, Shares], start: Shares, steps: int) -> Shares:
    start = jnp.clip(start, *box)
    reach = jnp.abs(own.derivative(start)) / own.stiffness  # the derivative grows by at least the stiffness
    low, high = jnp.maximum(box[0], start - reach), jnp.minimum(box[1], start + reach)

    def halve(_: Array | int, at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, x = at
        value = own.derivative(x)
        low, high = jnp.where(value <= 0, x, low), jnp.where(value > 0, x, high)
        newton = x - value / own.curvature(x)
        return low, high, jnp.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))

    # The ends first: an optimum there is met exactly.
    at_low, at_high = own.derivative(low) >= 0, own.derivative(high) <= 0
    unroll = steps if choices().newton_written_out else 1
    _, _, x = lax.fori_loop(0, steps, halve, (low, high, start), unroll=unroll)
    return jnp.where(at_low, low, jnp.where(at_high, high, x))
