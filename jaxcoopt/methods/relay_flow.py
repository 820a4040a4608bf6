"""Relay flow: budget and box kept at every iteration, and no stalling where full nodes cut the graph."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import along_runs
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.exchange import Message, difference, first_message, heard, message_bits, send
from jaxcoopt.compensated import Pair, add, grid_for
from jaxcoopt.errors import below_one, positive
from jaxcoopt.methods import codes
from jaxcoopt.methods.flow import largest
from jaxcoopt.methods.limiter import carried, hard_box, limited
from jaxcoopt.methods.method import AllocationMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree

Shares = Float[Array, "nodes runs"]


@pytree
@dataclass(frozen=True)
class RelayState:
    """x, to twice the float type's digits; price and stiffness [nodes, runs], the latter as sent; message: the price as
    sent; flow: [edges, runs], what went from tail to
    head, None without momentum; largest: as in `FlowState`; sides: the box.
    """

    x: Pair
    largest: Float[Array, "1 runs"]
    price: Shares
    message: Message
    stiffness: Shares
    flow: Float[Array, "edges runs"] | None
    sides: tuple[Shares, Shares]


@pytree
@dataclass(frozen=True)
class RelayFlow(AllocationMethod):
    """Flows with momentum, cut to the box, between prices that full and empty nodes relay.

    w_ij = c / sqrt(k_i d_i k_j d_j),   g_ij = w_ij (q(p_j) - q(p_i)),   phi_ij = m phi_ij(last) + g_ij
    phi_ij <- phi_ij min(s_sender, t_receiver) as in `jaxcoopt.bounds.Limit`;   x_i += D_i,   D_i = sum_j phi_ij
    p_i + G X_i(p_i) = p_i(last) + alpha/W_i (m D_i + sum_j g_ij) + G x_i,   W_i = sum_j w_ij,   G = alpha beta / W_i
    ln k_i = (ln f_i''(x_i) + mean_j ln k_j) / 2

    X_i(p) is the node's best answer to p, argmin of f_i(x) - p x over its box, with f_i taken as quadratic around x_i;
    d_i are its live neighbours; phi(last) is 0 where a link was not there or down. c = `gain`, m = `momentum`, alpha =
    `relaxation` <= 1/2, beta = `pull`, by default the smaller of 1 - m and 1/2; scalars or [runs] (momentum None: 0,
    and no flows are kept); k_i and k_i d_i are sent as 8-bit codes. A node at its bound follows the price at which
    nothing is left with it, so that it passes on what it cannot take, and stands off its bound by as much as that
    needs.

    Sum and box hold at every iteration whatever the prices are. Fixed points are optimal, with limits and momentum,
    too, over links that tell unlike prices apart (not "message" with few levels); without limits and momentum, and with
    exact X_i, it converges for all symmetric weights (benchmarks/NOTES.md has the proofs). That it converges with both,
    over links that fail and quantize, is measured (benchmarks/relay.py), not proved.
    """

    gain: Any = 2.0
    momentum: Any = 0.8
    relaxation: Any = 0.5
    pull: Any = None
    keeps_box: ClassVar[bool] = True

    def init(self, allocation: Allocation, x: Pair, channel: Channel, now: Round) -> RelayState:
        """At rest at x, with the marginal costs as prices."""
        at = x.value
        price = marginal(allocation.cost, at)
        return RelayState(
            x=x,
            largest=largest(x),
            price=price,
            message=first_message(channel, price, now.draw),
            stiffness=codes.above(curvature(allocation.cost, at)),
            flow=None if self.momentum is None else jnp.zeros((now.links.edges.count, at.shape[1]), at.dtype),
            sides=hard_box(allocation, at),
        )

    def update(self, state: RelayState, allocation: Allocation, now: Round, channel: Channel) -> RelayState:
        """What flows between the prices as sent, cut to the box; then the new prices and stiffnesses are sent."""
        links, grid = now.links, grid_for(state.largest, now.links.most_neighbours)
        momentum = self._momentum(state.price)
        degree = links.degree().reshape(state.price.shape[0], -1)
        tempo = now.stored(1 / jnp.sqrt(codes.above(state.stiffness * jnp.maximum(degree, 1))))
        known = heard(channel, state.price, state.message)
        (price_tail, tempo_tail, stiff_tail), (price_head, tempo_head, stiff_head) = links.at_ends(
            (known, tempo, jnp.log(state.stiffness))
        )
        live = links.weight() > 0
        weight = jnp.where(live, along_runs(self.gain, tempo_tail) * tempo_tail * tempo_head, 0)
        push = weight * difference(channel, price_head, price_tail)
        flow = push if state.flow is None else jnp.where(live, momentum * state.flow, 0) + push
        both = jnp.where(live, stiff_tail + stiff_head, 0)
        weight, push, flow, both = now.stored((weight, push, flow, both))
        flow = now.stored(limited(flow, state.x, state.sides, now, grid))
        move = carried(flow, now, grid)
        x = add(state.x, move, grid)
        conductance, net, around = links.collect((weight, push, both), _sums)
        price = self._relaxed(state, allocation, x, momentum * move.value + net, conductance)
        price = jnp.where(degree > 0, price, state.price)
        # The sum over both ends, less the node's own, is that over its neighbours.
        nearby = (around - degree * jnp.log(state.stiffness)) / jnp.maximum(degree, 1)
        own = jnp.log(jnp.maximum(curvature(allocation.cost, x.value), jnp.finfo(x.high.dtype).tiny))
        stiffness = codes.above(jnp.exp(jnp.where(degree > 0, 0.5 * (own + nearby), own)))
        message = send(channel, price, state.message, now.draw)
        kept = None if state.flow is None else flow
        return RelayState(x, state.largest, price, message, stiffness, kept, state.sides)

    def refresh(self, state: RelayState) -> RelayState:
        """The same state with its units set by where x stands now."""
        return replace(state, largest=largest(state.x))

    def estimate(self, state: RelayState) -> Shares:
        """Where the nodes stand: x."""
        return state.x.value

    def bits(self, state: RelayState, channel: Channel) -> Any:
        """The price, and codes of k_i, of k_i d_i, and of both shares of `Limit`."""
        return message_bits(channel, state.price) + 4 * codes.BITS

    def check(self, allocation: Allocation, channel: Channel) -> None:
        """A positive gain and pull, momentum in [0, 1), relaxation in (0, 1/2]."""
        positive("method.allocation.gain", self.gain)
        below_one("method.allocation.momentum", 0.0 if self.momentum is None else self.momentum)
        relaxation = positive("method.allocation.relaxation", self.relaxation)
        if (relaxation > 0.5).any():
            raise ValueError(
                f"method.allocation.relaxation: must be at most 1/2, beyond which prices oscillate, got "
                f"{relaxation.max():g}"
            )
        if self.pull is not None:
            pull = positive("method.allocation.pull", self.pull)
            if (pull > 1).any():
                raise ValueError(f"method.allocation.pull: must be at most 1, got {pull.max():g}")

    def _momentum(self, like: Shares) -> Array:
        return along_runs(jnp.zeros((), like.dtype) if self.momentum is None else self.momentum, like)

    def _relaxed(
        self, state: RelayState, allocation: Allocation, x: Pair, inflow: Shares, conductance: Shares
    ) -> Shares:
        """The price that solves p + G X(p) = r."""
        at, relaxation = x.value, along_runs(self.relaxation, inflow)
        momentum = self._momentum(inflow)
        pull = jnp.minimum(1 - momentum, 0.5) if self.pull is None else along_runs(self.pull, inflow)
        rate = relaxation / jnp.where(conductance > 0, conductance, 1)
        softness = rate * pull
        stiffness, slope = curvature(allocation.cost, at), marginal(allocation.cost, at)
        reached = state.price + rate * inflow + softness * at
        inside = (stiffness * reached - softness * (stiffness * at - slope)) / (stiffness + softness)
        lower, upper = state.sides
        return jnp.maximum(reached - softness * upper, jnp.minimum(inside, reached - softness * lower))


def _sums(of_edges: tuple[Array, Array, Array], sign: Array) -> tuple[Array, Array, Array]:
    """What the weights, the pushes and the values at both ends add up to at a node."""
    weight, push, both = of_edges
    linked = jnp.abs(sign)
    return linked * weight, sign * push, linked * both
