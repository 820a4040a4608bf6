"""Numbers beside the price, sent as 8-bit codes: levels 2^(k/4)."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.channel.log_levels import level_value, nearest_level
from jaxcoopt.derivative import derivative_from

BITS = 8  # 2^8 levels reach over 19 decades
STEP = math.log(2) / 4

Values = Float[Array, "nodes #runs"]


def nearest(u: Values) -> Values:
    """The nearest level of a positive number; a constant for derivatives."""
    return lax.stop_gradient(level_value(nearest_level(u, _step(u)), _step(u)))


def below(u: Values) -> Values:
    """The level at or below a number in [0, 1]; 0 and 1 stand for themselves.

    Derivative: straight-through. That of a constant would miss that a node near its bound comes to rest there.
    """
    code = nearest_level(u, _step(u))
    level = level_value(code, _step(u))
    level = jnp.where(level > u, level_value(code - 1, _step(u)), level)
    tiny = jnp.finfo(u.dtype).tiny ** 0.5
    return derivative_from(jnp.where(u >= 1, 1, jnp.where(u > tiny, jnp.minimum(level, u), 0)), u)


def _step(u: Values) -> Array:
    return jnp.asarray(STEP, u.dtype)
