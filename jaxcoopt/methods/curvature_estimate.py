"""Curvature estimates of dual flow: by how much a price must change to move a share, averaged with the neighbours."""

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
LEAST_CURVATURE = 1e-5  # of |price| / span: a curvature below counts as this, in float64
LEAST_AT_FIRST = 1e-2  # of |f'| / span: where estimates start, at least
AWAY = 3  # of the longest span: where w is further from X the estimate rises
SPAN = 5  # mean shares: no node is taken to have more room than that

Shares = Float[Array, "nodes runs"]
Box = tuple[Shares, Shares]


def span_of(box: Box, mean: Float[Array, "1 runs"]) -> Shares:
    """How far a share may move: the box's width, at most `SPAN` mean shares; 1 where it cannot move."""
    width = jnp.minimum(box[1] - box[0], SPAN * mean)
    return lax.stop_gradient(jnp.where(width > 0, width, 1))


def reachable(box: Box, x: Shares) -> Box:
    """The part of the box that a share can reach while all others stay in theirs and the sum stays; and 1 % more."""
    given, taken = (1.01 * jnp.sum(room, axis=0, keepdims=True) for room in (x - box[0], box[1] - x))
    low, high = lax.stop_gradient((box[1] - taken, box[0] + given))
    return jnp.maximum(box[0], low), jnp.minimum(box[1], high)


def flat(bend: Array, span: Array, *prices: Array) -> Bool[Array, "*shape"]:
    """Whether a curvature over the span is lost in the rounding of the prices: such a cost answers by any amount."""
    size = sum((jnp.abs(price) for price in prices[1:]), start=jnp.abs(prices[0]))
    return bend * span <= 16 * jnp.finfo(bend.dtype).eps * size


def first_estimate(cost: Cost, x: Shares, box: Box, span: Shares) -> Shares:
    """The level above f_i''(x), at least 0.01 |f_i'| / span; where f_i is flat, above |f_i'| / span or f_i'' around x.

    The larger of both, the latter the mean over x - span to x + span within the box; where both are 0, the largest of
    the other nodes'. An estimate that starts too low makes flows of many boxes, which stand as backlog on the links for
    long; one that starts too high falls by a level an iteration.
    """
    slope, bend = marginal(cost, x), curvature(cost, x)
    low, high = jnp.maximum(box[0], x - span), jnp.minimum(box[1], x + span)
    across = (marginal(cost, high) - marginal(cost, low)) / jnp.where(high > low, high - low, 1)
    steep = jnp.abs(slope) / span
    guess = jnp.maximum(steep, jnp.where(jnp.isfinite(across), across, 0))
    own = jnp.where(flat(bend, span, slope), guess, jnp.maximum(bend, LEAST_AT_FIRST * steep))
    most = own.max(axis=0, keepdims=True)
    return codes.above(jnp.where(own > 0, own, jnp.where(most > 0, most, 1)))


def own_curvature(
    cost: Cost,
    best: Shares,
    wanted: Shares,
    price: Shares,
    box: Box,
    room: Shares,
    longest: Float[Array, "1 runs"],
    last: Shares,
) -> Shares:
    """h_i = max(c_i, k_i |w_i - X_i| / 3 max(r_i, r)), c_i = max(f_i''(X_i), 1e-5 |p_i| / r_i) inside of the box.

    At a bound c_i = min(k_i, max(f_i''(X_i), 1e-5 |p_i| / r_i, |p_i - f_i'(X_i)| / max(|w_i - X_i|, 0.03 r_i))), w_i
    held to the box: by how much the price would have to change before the share left its bound, over what it could then
    give way. That only ever makes the estimate smaller: a node that is pressed harder answers to no price, and takes
    what its neighbours estimate. room: r_i, how far the share may move; longest: r, of all nodes at the start.

    The price moves by (w_i - X_i) / 2C_i, with C_i in proportion to 1/k_i, and at the optimum w_i = X_i. A node that
    is apart by more than any share could move has a price that is too slow, so k_i rises: costs that are linear, or
    nearly so, take as many iterations as others (benchmarks/nearly_linear.py). Below 1e-5 |p_i| / r_i, or 1,000
    times the rounding of |p_i| / r_i, the rounding of prices would move shares.
    """
    best, wanted, price = lax.stop_gradient((best, wanted, price))
    slope, bend = jax.jvp(lambda at: marginal(cost, at), (best,), (jnp.ones_like(best),))
    least = max(LEAST_CURVATURE, 1000 * float(jnp.finfo(best.dtype).eps))
    apart = jnp.maximum(jnp.abs(jnp.clip(wanted, *box) - best), PRESSED * room)
    held = (best <= box[0]) | (best >= box[1])
    own = jnp.maximum(bend, least * jnp.abs(price) / room)
    own = jnp.where(held, jnp.minimum(jnp.maximum(own, jnp.abs(price - slope) / apart), last), own)
    return jnp.maximum(own, last * jnp.abs(wanted - best) / (AWAY * jnp.maximum(room, longest)))


def link_speed(estimate: Shares, degree: Float[Array, "nodes #runs"], now: Round) -> Shares:
    """1 / sqrt(k_i d_i), of the code of k_i d_i that is sent; degree: d_i, the links that count, at least 1."""
    return now.stored(1 / jnp.sqrt(codes.above(estimate * jnp.maximum(degree, 1))))


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


def next_estimate(
    estimate: Shares, turns: Shares, own: Shares, nearby: Shares, degree: Float[Array, "nodes #runs"]
) -> tuple[Shares, Shares]:
    """1/k_i = (1/h_i + mean_j 1/k_j) / 2 as it is sent, and how often it turned; nearby: the mean; degree: live links.

    No more than a level up or down at once, as the flows follow the weights; without a live link it stays. turns: 1,
    and one more each time that k_i goes back the way it came, with the sign of the way it went last. The more there
    are, the wider is the interval in which k_i stays, so that it changes finitely often (benchmarks/NOTES.md).
    """
    least = 2.0 ** (codes.LEAST / 2)
    target = 2 / (1 / jnp.maximum(own, least) + nearby)
    more = jnp.maximum(jnp.abs(turns) - 1 - FREE_TURNS, 0) / TURNS_PER_LEVEL
    new = codes.next_to(codes.held(target, estimate, more), estimate)
    new = jnp.where(degree > 0, new, estimate)
    way = jnp.sign(new - estimate)
    turned = jnp.where(way * turns < 0, way * (jnp.abs(turns) + 1), jnp.where(turns == 0, way, turns))
    return new, lax.stop_gradient(turned)


def linked(own: Any, other: Any, weight: Array) -> tuple[Array, Array]:
    """Of a link that is there between nodes that can move: 1, and 1/k at the other end; own, other: (free, 1/k)."""
    count = jnp.where(weight > 0, own[0] * other[0], 0)
    return count, count * other[1]
