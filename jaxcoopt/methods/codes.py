"""Numbers beside the price, sent as 8-bit codes: powers of the root of 2, or of its own root."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.channel.log_levels import level_value, nearest_level
from jaxcoopt.derivative import derivative_from

COARSE, FINE = math.log(2) / 2, math.log(2) / 4
LEAST, MOST = -128, 127  # codes of positive numbers: 2^-64 to 2^63.5
LEAST_SHARE = 2.0**-63  # of shares: 253 levels, 0 and 1

Values = Float[Array, "nodes #runs"]


@jax.jit  # one sub-program, however often it is called
def above(u: Values) -> Values:
    """The level 2^(k/2) at or above a number, at least 2^-64 and at most 2^63.5; a constant for derivatives.

    To rounding: products and means of levels often are levels, and must not be lifted to the next.
    """
    step = jnp.asarray(COARSE, u.dtype)
    code = nearest_level(jnp.clip(u, 2.0 ** (LEAST / 2), 2.0 ** (MOST / 2)), step)
    code = jnp.where(level_value(code, step) * (1 + 16 * jnp.finfo(u.dtype).eps) < u, code + 1, code)
    return lax.stop_gradient(level_value(jnp.clip(code, LEAST, MOST), step))


def held(u: Values, last: Values, more: Values) -> Values:
    """`above`, but the last level while u is within the two levels below it, or `more` levels beyond either of these.

    Else neighbours' levels may swing.
    """
    slack, wider = 1 + 16 * jnp.finfo(u.dtype).eps, jnp.exp2(0.5 * more)
    stays = (u <= last * slack * wider) & (u * wider > 0.5 * slack * last)
    return lax.stop_gradient(jnp.where(stays, last, above(u)))


def next_to(level: Values, last: Values) -> Values:
    """The level, or the one beside the last on the way to it."""
    return above(jnp.clip(level, 0.6 * last, 1.3 * last))  # both are lifted to the level above them


@jax.jit
def below(u: Values) -> Values:
    """The level 2^(k/4) at or below a number in [0, 1]; 0 and 1 stand for themselves, and below 2^-63 it is 0.

    Derivative: straight-through. That of a constant would miss that a node near its bound comes to rest there.
    """
    step = jnp.asarray(FINE, u.dtype)
    code = nearest_level(u, step)
    level = level_value(code, step)
    level = jnp.where(level > u, level_value(code - 1, step), level)
    return derivative_from(jnp.where(u >= 1, 1, jnp.where(u > LEAST_SHARE, jnp.minimum(level, u), 0)), u)
