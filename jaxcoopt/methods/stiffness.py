"""How stiff a node is: its cost's curvature over a stretch, which neighbours relay."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.methods import codes
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.costs import Cost, curvature, marginal

Shares = Float[Array, "nodes runs"]


def felt(cost: Cost, x: Shares, box: tuple[Shares, Shares], reach: Float[Array, "1 runs"]) -> Shares:
    """The slope of f_i' over `reach` to either side, the smaller one of those that lie in the box; f_i'' if none does.

    f_i'' itself for quadratic costs. Others have no bound on it at an end of their domain, where a node may stand for
    a while: as stiff as that, it would move no more.
    """
    low, high = jnp.maximum(x - reach, box[0]), jnp.minimum(x + reach, box[1])
    at, below, above = marginal(cost, x), marginal(cost, low), marginal(cost, high)
    sides = ((at - below, x - low), (above - at, high - x))
    steep = jnp.finfo(x.dtype).max
    slopes = [jnp.where(run > 0.5 * reach, rise / jnp.where(run > 0, run, 1), steep) for rise, run in sides]
    least = jnp.minimum(*slopes)
    return jnp.where(least < steep, least, curvature(cost, x))


def tempo(stiffness: Shares, degree: Float[Array, "nodes #runs"], now: Round) -> Shares:
    """1 / sqrt(k_i d_i), of the code of k_i d_i that is sent; degree: d_i, the links that count, at least 1."""
    return now.stored(1 / jnp.sqrt(codes.above(stiffness * jnp.maximum(degree, 1))))


def relayed(stiffness: Shares, own: Shares, around: Shares, degree: Float[Array, "nodes #runs"]) -> Shares:
    """ln k_i = (ln f_i'' + mean_j ln k_j) / 2 as it is sent; around: sum of ln k_i + ln k_j over `degree` live links.

    No more than a level up or down at once, as the flows follow the weights; without a live link it stays. On a graph
    that stays, with constant f_i'', the codes settle (benchmarks/NOTES.md).
    """
    nearby = (around - degree * jnp.log(stiffness)) / jnp.maximum(degree, 1)
    own = jnp.log(jnp.maximum(own, jnp.finfo(own.dtype).tiny))
    new = codes.next_to(codes.held_above(jnp.exp(0.5 * (own + nearby)), stiffness), stiffness)
    return jnp.where(degree > 0, new, stiffness)
