"""Flows whose link weights follow the curvature of the costs, so that no step need be tuned."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.channel.log_levels import level_value, nearest_level

CODE_BITS = 8  # a curvature is sent as one of 2^8 levels, 2^(1/4) apart, each at least the curvature itself
LEVEL = math.log(2) / 4


def coarse(stiffness: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
    """The next level above, as it is sent; a constant for derivatives."""
    rho = jnp.asarray(LEVEL, stiffness.dtype)
    return lax.stop_gradient(level_value(nearest_level(stiffness, rho) + 1, rho))
