"""Dual flow: what ADMM on the prices wants to move is a backlog on the links, transferred as budget and box allow."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Pair, Total, grown, total_of
from jaxcoopt.methods.curvature_estimate import (
    first_estimate,
    link_speed,
    linked,
    mean_nearby,
    next_estimate,
    own_curvature,
    reachable,
    span_of,
)
from jaxcoopt.methods.flow_state import Size, cost_scale, farthest_of, first_size, in_fitting_units, outgrown, size_of
from jaxcoopt.methods.limiter import carried, limited
from jaxcoopt.methods.local_problem import least_cost
from jaxcoopt.methods.method import AllocationMethod, FlatCosts, Most
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.box import hard_box
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

TOLD_APART = 64  # times the rounding of where prices lead: over less, marginal costs would not be seen to differ
CODES = 4  # sent beside the price: of k_i, of k_i d_i, and of both shares of `Limit`
NEWTON_STEPS = 8  # held to a bracket; from the last X fewer would do, but for the first iterations

Shares = Float[Array, "nodes runs"]
Flows = Float[Array, "edges runs"]


@pytree
@dataclass(frozen=True)
class Kept:
    """What over-relaxation remembers of every link that was ever there: c, and s at tail and head, [edges, runs]; of
    every node the sums over its links, C and S, and how many these are, d, [nodes, runs].

    The sums are to twice the float type's digits: they grow by what changes, and must not drift from what is kept.
    """

    weight: Flows
    ends: tuple[Flows, Flows]
    conductance: Pair
    reached: Pair
    links: Shares


@pytree
@dataclass(frozen=True)
class Added:
    """What each link adds to C, to S at its tail and at its head, and to d, [edges, runs]."""

    weight: Flows
    tail: Flows
    head: Flows
    links: Flows


@pytree
@dataclass(frozen=True)
class DualState:
    """x and wanted (w), to twice the float type's digits; size: of x; best, price: X, p; wire: of p; estimate: k as
    sent; turns: how often k turned; nearby: m, None without memory; backlog: o, from tails to heads; kept: None without
    memory; begun: 0 in the first iteration, then 1; box: inside the cost's domain, `FAR` away where it has no end;
    within: what X can reach of it; free: 1, and 0 where lo = hi; span: how far a share may move;
    longest: of all nodes.
    """

    x: Total
    size: Size
    best: Shares
    wanted: Pair
    price: Shares
    wire: Wire
    estimate: Shares
    turns: Shares
    nearby: Shares | None
    backlog: Flows
    kept: Kept | None
    begun: Float[Array, "1 runs"]
    box: tuple[Shares, Shares]
    within: tuple[Shares, Shares]
    free: Shares
    span: Shares
    longest: Float[Array, "1 runs"]


@pytree
@dataclass(frozen=True)
class DualFlow(AllocationMethod):
    """ADMM on the prices, weighted by curvature estimates; its flows go into a backlog, transferred within the box.

    c_ij = c / sqrt(k_i d_i k_j d_j),   g_ij = c_ij (q(p_j) - q(p_i)),   1/k_i = (1/h_i + m_i) / 2
    w_i += 2a sum_j g_ij,   s_ij = (1 - 2a) s_ij(last) + 2a (2 c_ij q(p_i) + g_ij),   S_i, C_i = sum_j s_ij, sum_j c_ij
    X_i = argmin f_i(X) + (X - w_i - S_i)^2 / (4 C_i) over the box,   p_i = (S_i + w_i - X_i) / (2 C_i)
    o_ij += 2a g_ij,   t_ij = o_ij min(s_sender, t_receiver) as in `jaxcoopt.bounds.Limit`,   o_ij -= t_ij
    x_i += sum_j t_ij

    X_i comes from a few Newton steps from the last. c = `gain`, a = `relaxation` in [1/2, 1), scalars or [runs].

    Curvature estimate k_i: h_i = max(c_i, k_i |w_i - X_i| / 3r), c_i = max(f_i''(X_i), 1e-5 |p_i| / r_i), at a bound
    min(k_i, max(c_i, |p_i - f_i'(X_i)| / max(|w_i - X_i|, 0.03 r_i))): a node that is pressed takes what its neighbours
    estimate, and k_i rises where w_i is further away than any share could move. r_i is as far as a share can move
    within all boxes, at most 5 mean shares or |X_i|; r is the largest of all nodes at the start, at least r_i. m_i is
    the mean of the neighbours' 1/k_j; m_i += d_i(now) / d_i (mean_j 1/k_j - m_i) over the links of this iteration. k_i
    and k_i d_i are sent as 8-bit codes, as both parts of `Limit` are. k_i moves by one level at most, and is held more
    firmly the more often it turned back, so that it changes finitely often.

    Links: those to nodes that cannot move (lo = hi) are not used. S and C are over all links that were ever there, d_i
    of them; one that is down keeps the c and s that it last had; where c changes s changes in proportion (Bastianello,
    Carli, Schenato, Todescato, IEEE Trans. Autom. Control 66 (2021)). At its first use a link moves nothing: both ends
    take s_ij = 2 c_ij (p_i / (k_i d_i) + p_j / (k_j d_j)) / (1 / (k_i d_i) + 1 / (k_j d_j)), the price at which they
    would meet. With relaxation None a is 1/2 and nothing is kept, see `MemorylessDualFlow`.

    sum_i w_i = b, but w may leave its box; x follows w as the box allows, so that sum and box of x hold at every
    iteration. Fixed points are optimal where pinned nodes (lo = hi) do not cut the graph, over links that tell unlike
    prices apart: the backlog cannot block itself for good. On a connected graph that stays, over ideal links and with
    exact X_i, w goes to an optimum for all convex costs, linear ones, too (proofs: benchmarks/NOTES.md); how fast is
    not known, and `solve` warns of costs without curvature. All else is measured (benchmarks/full_nodes.py,
    hard_costs.py, nearly_linear.py). What cannot be had: curvatures over 6 decades and more where at most half of the
    links are up at once. Some of these runs are slow or diverge, 1 in 20 to 100 with one link of 12 at a time, more
    over many matchings in turn, fewer with a = 0.6; `solve` warns.
    """

    gain: Scalar = setting(6.0, above=0, doc="Of what a node's price moves.")
    relaxation: Scalar = setting(
        0.8,
        least=0.5,
        below=1,
        optional=True,
        doc="Of ADMM, in [1/2, 1); None keeps nothing of links that are down.",
    )
    keeps_box: ClassVar[bool] = True
    flat_costs: ClassVar[FlatCosts] = "slow"

    def init(self, allocation: Allocation, x: Pair, now: Round) -> DualState:
        """At rest at x, no backlog, with the marginal costs as prices."""
        at = x.value
        price, none = marginal(allocation.cost, at), jnp.zeros((now.links.edges.count, at.shape[1]), at.dtype)
        box = hard_box(allocation, at)
        bend = curvature(allocation.cost, at)
        told_apart = TOLD_APART * jnp.finfo(at.dtype).eps * cost_scale(price, bend)
        within = reachable(box, at)
        span = span_of(within, jnp.maximum(_mean_share(at), told_apart))
        return DualState(
            x=total_of(x),
            size=first_size(x, price, bend, now, farthest_of(box)),
            best=at,
            wanted=x,
            price=price,
            wire=now.open(price, codes=CODES),
            estimate=first_estimate(allocation.cost, at, within, span),
            turns=jnp.zeros_like(at),
            nearby=None if self.relaxation is None else jnp.zeros_like(at),
            backlog=none,
            kept=None if self.relaxation is None else _nothing_kept(none, at),
            begun=jnp.zeros_like(at[:1]),
            box=box,
            within=within,
            free=(box[1] > box[0]).astype(at.dtype),
            span=span,
            longest=lax.stop_gradient(span.max(axis=0, keepdims=True)),
        )

    def update(self, state: DualState, allocation: Allocation, now: Round) -> DualState:
        """What is to flow between the prices as sent; the transfer of the backlog; the new prices are sent."""
        links = now.links
        degree, around = links.total((state.free, 1 / state.estimate), linked)
        known_links = degree if state.kept is None else jnp.maximum(degree, state.kept.links)
        speed = link_speed(state.estimate, known_links, now)
        known = now.heard(state.wire, state.price)
        tails, heads = links.at_ends((known, speed, state.free))
        (price_tail, speed_tail, free_tail), (price_head, speed_head, free_head) = tails, heads
        live = jnp.where(links.weight() > 0, free_tail * free_head, 0) > 0
        weight = jnp.where(live, along_runs(self.gain, speed_tail) * speed_tail * speed_head, 0)
        push = weight * now.difference(price_head, price_tail)
        met = state.begun > 0 if state.kept is None else state.kept.weight > 0
        toward = jnp.where(met, 0.5, _of_head(speed_tail, speed_head))
        ends = 2 * (weight * price_tail - toward * push), 2 * (weight * price_head + (1 - toward) * push)
        moved, kept, added = self._relaxed(state.kept, weight, live, met, jnp.where(met, push, 0), ends)
        moved, added, backlog = now.stored((moved, added, state.backlog + moved))
        transfer = now.stored(limited(jnp.where(live, backlog, 0), state.x, state.box, now))
        x = state.x.plus(carried(transfer, now, state.x.grid))
        net, conductance, reached, fresh = links.collect((moved, added), _sums)
        if kept is not None:
            kept = replace(
                kept,
                conductance=grown(kept.conductance, conductance),
                reached=grown(kept.reached, reached),
                links=kept.links + fresh,
            )
            conductance, reached = kept.conductance.value, kept.reached.value
        wanted, known_by = grown(state.wanted, net), conductance > 0
        stiff, center = 0.5 / jnp.where(known_by, conductance, 1), wanted.value + reached
        best = jnp.where(known_by, self._best(state, allocation, stiff, center), state.best)
        price = jnp.where(known_by, stiff * (center - best), state.price)
        room = jnp.maximum(state.span, jnp.minimum(jnp.abs(best), state.within[1] - state.within[0]))
        own = own_curvature(
            allocation.cost, best, wanted.value, price, state.within, room, state.longest, state.estimate
        )
        nearby = mean_nearby(state.nearby, around, degree, degree if kept is None else kept.links)
        estimate, turns = next_estimate(state.estimate, state.turns, own, nearby, degree)
        return replace(
            state,
            x=x,
            size=state.size.after(size_of(x, now)),
            best=best,
            wanted=wanted,
            price=price,
            wire=now.send(state.wire, price),
            estimate=estimate,
            turns=turns,
            nearby=None if state.nearby is None else nearby,
            backlog=backlog - transfer,
            kept=kept,
            begun=jnp.ones_like(state.begun),
        )

    def outgrown(self, state: DualState) -> Bool[Array, ""]:
        """Whether x has outgrown its units."""
        return outgrown(state.size, state.x)

    def refresh(self, state: DualState, most: Most) -> DualState:
        """The same state in units that fit."""
        x, size, _ = in_fitting_units(state.x, state.size, most)
        return replace(state, x=x, size=size)

    def estimate(self, state: DualState) -> Shares:
        """Where the nodes stand: x."""
        return state.x.exact

    def _relaxed(
        self, kept: Kept | None, weight: Flows, live: Array, old: Array, push: Flows, ends: tuple[Flows, Flows]
    ) -> tuple[Flows, Kept | None, Added]:
        """(2a g, what is kept of the links, what they add to the nodes' sums)."""
        if kept is None:
            return push, None, Added(weight, *ends, jnp.broadcast_to(live, push.shape).astype(push.dtype))
        twice = jnp.where(old, 2 * along_runs(self.relaxation, push), 1)
        ratio = jnp.where(old, weight / jnp.where(old, kept.weight, 1), 0)
        tail, head = (
            jnp.where(live, (1 - twice) * ratio * last + twice * new, last)
            for last, new in zip(kept.ends, ends, strict=True)
        )
        weight = jnp.where(live, weight, kept.weight)
        added = Added(weight - kept.weight, tail - kept.ends[0], head - kept.ends[1], (live & ~old).astype(push.dtype))
        return twice * push, replace(kept, weight=weight, ends=(tail, head)), added

    def _best(self, state: DualState, allocation: Allocation, stiff: Shares, center: Shares) -> Shares:
        """X, from the last: the first of Newton's steps is exact for quadratic costs."""
        none = jnp.zeros_like(center)
        return least_cost(allocation.cost, none, stiff, center, state.within, state.best, NEWTON_STEPS)


def _mean_share(x: Shares) -> Float[Array, "1 runs"]:
    """mean |x_i|, 1 where all are 0; a constant for derivatives."""
    mean = jnp.abs(x).mean(axis=0, keepdims=True)
    return lax.stop_gradient(jnp.where(mean > 0, mean, 1))


def MemorylessDualFlow(gain: Scalar = 3.0) -> DualFlow:
    """`DualFlow` with a = 1/2, S and C over the links of this iteration: faster on dense graphs that switch.

    Dual consensus ADMM (Chang, Hong, Wang, IEEE Trans. Signal Process. 63 (2015), DC-ADMM) with weights of its own,
    within budget and box.
    """
    return DualFlow(gain, relaxation=None)


def _of_head(speed_tail: Flows, speed_head: Flows) -> Flows:
    """The head's part in the price at which both ends would meet: in proportion to 1 / (k d)."""
    tail, head = speed_tail**2, speed_head**2
    return head / (tail + head)


def _nothing_kept(none: Flows, like: Shares) -> Kept:
    zero = jnp.zeros_like(like)
    return Kept(none, (none, none), Pair(zero, zero), Pair(zero, zero), zero)


def _sums(of_edges: tuple[Flows, Added], sign: Array) -> tuple[Array, Array, Array, Array]:
    """What flows, and what is added to C, S and d at a node."""
    moved, added = of_edges
    linked = jnp.abs(sign)
    end = jnp.where(sign > 0, added.head, jnp.where(sign < 0, added.tail, 0))
    return sign * moved, linked * added.weight, end, linked * added.links
