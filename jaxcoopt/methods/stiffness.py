"""How stiff a node is: what its share answers to a change of the price, averaged with its neighbours."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcoopt.methods import codes
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.costs import Cost, curvature, marginal

FREE_TURNS = 30  # so often a code may turn back before it is held more firmly
TURNS_PER_LEVEL = 4  # and with so many more, by a level to either side
PRESSED = 0.03  # of the span: a node pressed against a bound counts as if it could give way by so much
SOFTEST = 1e-5  # of |price| / span: a flat cost at a bound counts as no softer
SPAN = 5  # mean shares: no node is taken to have more room than that

Shares = Float[Array, "nodes runs"]
Box = tuple[Shares, Shares]


def span_of(box: Box, mean: Float[Array, "1 runs"]) -> Shares:
    """How far a share may move: the box's width, at most `SPAN` mean shares; 1 where it cannot move."""
    width = jnp.minimum(box[1] - box[0], SPAN * mean)
    return lax.stop_gradient(jnp.where(width > 0, width, 1))


def flat(bend: Array, span: Array, *prices: Array) -> Bool[Array, "*shape"]:
    """Whether a curvature over the span is lost in the rounding of the prices: such a cost answers by any amount."""
    size = sum((jnp.abs(price) for price in prices[1:]), start=jnp.abs(prices[0]))
    return bend * span <= 16 * jnp.finfo(bend.dtype).eps * size


def first_stiffness(cost: Cost, x: Shares, box: Box, span: Shares) -> Shares:
    """The level above f_i''(x); where the cost is flat, above |f_i'| / span or the slope of f_i' over the box.

    The larger of both; where both are 0, the stiffest node's.
    """
    slope, bend = marginal(cost, x), curvature(cost, x)
    across = (marginal(cost, box[1]) - marginal(cost, box[0])) / jnp.where(box[1] > box[0], box[1] - box[0], 1)
    guess = jnp.maximum(jnp.abs(slope) / span, jnp.where(jnp.isfinite(across), across, 0))
    own = jnp.where(flat(bend, span, slope), guess, bend)
    most = own.max(axis=0, keepdims=True)
    return codes.above(jnp.where(own > 0, own, jnp.where(most > 0, most, 1)))


def felt(cost: Cost, best: Shares, wanted: Shares, price: Shares, box: Box, span: Shares, last: Shares) -> Shares:
    """h_i = f_i''(X_i), at a bound min(k_i, max(f_i''(X_i), |p_i - f_i'(X_i)| / max(|w_i - X_i|, 0.03 span))).

    The last is by how much the price would have to change before the share left its bound, over what it could then give
    way (w_i held to the box). It only ever makes the curvature estimate smaller: a node that is pressed harder answers
    to no price, and takes what its neighbours estimate. Where the cost is flat that says nothing inside of the box, and
    the last level stays; and at a bound less the closer the price comes to where the share is let go, so h_i is at
    least |p_i| / span / 100,000 there.
    """
    best, wanted, price = lax.stop_gradient((best, wanted, price))
    slope, bend = jax.jvp(lambda at: marginal(cost, at), (best,), (jnp.ones_like(best),))
    apart = jnp.maximum(jnp.abs(jnp.clip(wanted, *box) - best), PRESSED * span)
    held = (best <= box[0]) | (best >= box[1])
    pressed = jnp.where(flat(bend, span, slope, price), SOFTEST * jnp.abs(price) / span, 0)
    own = jnp.maximum(bend, jnp.where(held, jnp.maximum(jnp.abs(price - slope) / apart, pressed), 0))
    return jnp.where(flat(own, span, slope, price) | (held & (own > last)), last, own)


def tempo(stiffness: Shares, degree: Float[Array, "nodes #runs"], now: Round) -> Shares:
    """1 / sqrt(k_i d_i), of the code of k_i d_i that is sent; degree: d_i, the links that count, at least 1."""
    return now.stored(1 / jnp.sqrt(codes.above(stiffness * jnp.maximum(degree, 1))))


def mean_nearby(
    last: Shares | None, around: Shares, degree: Float[Array, "nodes #runs"], known_links: Float[Array, "nodes #runs"]
) -> Shares:
    """The mean of 1/k_j over the live links; with memory m_i += (mean_j 1/k_j - m_i) d_i / d, of d links ever there.

    So a node that hears its neighbours in turn does not follow one after the other. around: the sum of 1/k_j over live
    links, degree: d_i; last: m_i, 0 before anything was heard, None without memory.
    """
    mean = around / jnp.maximum(degree, 1)
    if last is None:
        return mean
    part = jnp.where(last > 0, degree / jnp.maximum(known_links, 1), jnp.minimum(degree, 1))
    return last + part * (mean - last)


def relayed(
    stiffness: Shares, turns: Shares, own: Shares, nearby: Shares, degree: Float[Array, "nodes #runs"]
) -> tuple[Shares, Shares]:
    """1/k_i = (1/h_i + mean_j 1/k_j) / 2 as it is sent, and how often it turned; nearby: the mean; degree: live links.

    No more than a level up or down at once, as the flows follow the weights; without a live link it stays. turns: 1,
    and one more each time that k_i goes back the way it came, with the sign of the way it went last. The more there
    are, the wider is the interval in which k_i stays, so that it changes finitely often (benchmarks/NOTES.md).
    """
    least = 2.0 ** (codes.LEAST / 2)
    target = 2 / (1 / jnp.maximum(own, least) + nearby)
    more = jnp.maximum(jnp.abs(turns) - 1 - FREE_TURNS, 0) / TURNS_PER_LEVEL
    new = codes.next_to(codes.held(target, stiffness, more), stiffness)
    new = jnp.where(degree > 0, new, stiffness)
    way = jnp.sign(new - stiffness)
    turned = jnp.where(way * turns < 0, way * (jnp.abs(turns) + 1), jnp.where(turns == 0, way, turns))
    return new, lax.stop_gradient(turned)


def linked(own: Any, other: Any, weight: Array) -> tuple[Array, Array]:
    """Of a link that is there between nodes that can move: 1, and 1/k at the other end; own, other: (free, 1/k)."""
    count = jnp.where(weight > 0, own[0] * other[0], 0)
    return count, count * other[1]
