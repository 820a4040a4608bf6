"""Curvatures that neighbours relay: a node among stiffer ones is stiffer itself."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.methods import codes
from jaxcoopt.methods.round import Round

Shares = Float[Array, "nodes runs"]


def tempo(stiffness: Shares, degree: Float[Array, "nodes #runs"], now: Round) -> Shares:
    """1 / sqrt(k_i d_i), of the code of k_i d_i that is sent; degree: d_i, the links that count, at least 1."""
    return now.stored(1 / jnp.sqrt(codes.above(stiffness * jnp.maximum(degree, 1))))


def relayed(stiffness: Shares, curvature: Shares, around: Shares, degree: Float[Array, "nodes #runs"]) -> Shares:
    """ln k_i = (ln f_i'' + mean_j ln k_j) / 2 as it is sent; around: sum of ln k_i + ln k_j over `degree` live links.

    On a graph that stays, with constant f_i'', the codes settle (benchmarks/NOTES.md).
    """
    nearby = (around - degree * jnp.log(stiffness)) / jnp.maximum(degree, 1)
    own = jnp.log(jnp.maximum(curvature, jnp.finfo(curvature.dtype).tiny))
    new = codes.held_above(jnp.exp(0.5 * (own + nearby)), stiffness)
    return jnp.where(degree > 0, new, stiffness)
