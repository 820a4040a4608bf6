"""Bisection over the float64 numbers themselves: their ranks are whole numbers, so 64 halvings end at neighbours."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def rank(x: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The place of x among all float64 numbers, 0 for 0; it grows with x."""
    bits = lax.bitcast_convert_type(x, jnp.int64)
    return jnp.where(bits < 0, -(bits & jnp.iinfo(jnp.int64).max), bits)


def at_rank(place: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The number at a place."""
    size = lax.bitcast_convert_type(jnp.abs(place), jnp.float64)
    return jnp.where(place < 0, -size, size)


def middle(low: Int[Array, "*shape"], high: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The place halfway, rounded down: low itself where the two are neighbours. Their sum could overflow."""
    return (low & high) + ((low ^ high) >> 1)
