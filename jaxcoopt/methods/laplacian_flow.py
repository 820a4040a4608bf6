"""The paper's allocation method: CPU flows along links from high to low price."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.arrays import along_runs
from jaxcoopt.channel.exchange import Message, first_message, flow, send
from jaxcoopt.channel.quantizers import Channel
from jaxcoopt.compensated import Pair, add, grid_for, scale
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class FlowState:
    """x and velocity, [nodes, runs] each, to twice the float type's digits; price: [nodes, runs]; message: as sent.

    The price is kept, not computed where it is mixed: fused into the mix, the compiler may round p_j - p_i differently
    at the two ends of a link, and the sum of x would leak. largest: [1, runs], max |x| at the last `refresh`; it sets
    the units that x is counted in. velocity is None without momentum.
    """

    x: Pair
    largest: Float[Array, "1 runs"]
    velocity: Pair | None
    price: Float[Array, "nodes runs"]
    message: Message


@pytree
@dataclass(frozen=True)
class LaplacianFlow:
    """x_i(k+1) = x_i(k) + eta sum_j w_ij (q(p_j) - q(p_i)) + beta (x_i(k) - x_i(k-1)).

    eta = `step` (CPU units per price), beta = `momentum` in [0, 1): scalars or [runs]; p_i the price, df_i/dx plus the
    slope of `bounds`. The sum of x never changes, whatever q is. Sources: arXiv 2510.25176, eq. (12); heavy ball:
    arXiv 2208.14059.
    """

    step: Any
    momentum: Any = 0.0
    bounds: Penalty = Penalty()  # noqa: RUF009 (frozen)

    def init(self, allocation: Allocation, x: Pair, channel: Channel) -> FlowState:
        """At rest at x."""
        price = allocation.price(x.value, self.bounds)
        velocity = None if self.momentum is None else Pair(jnp.zeros_like(price), jnp.zeros_like(price))
        return FlowState(x, _largest(x), velocity, price, first_message(channel, price))

    def update(self, state: FlowState, allocation: Allocation, now: Round, channel: Channel) -> FlowState:
        """One iteration: mix the prices as sent, move, send the new prices."""
        grid = grid_for(state.largest, now.links.most_neighbours)
        step = along_runs(self.step, state.price)
        move, velocity = flow(channel, now.links, state.price, state.message, step, grid), None
        if state.velocity is not None:
            momentum = along_runs(self.momentum, state.price)
            move = velocity = add(scale(state.velocity, momentum, grid), move, grid)
        x = add(state.x, move, grid)
        price = allocation.price(x.value, self.bounds)
        return FlowState(x, state.largest, velocity, price, send(channel, price, state.message))

    def refresh(self, state: FlowState) -> FlowState:
        """The same state with its units set by where x stands now."""
        return replace(state, largest=_largest(state.x))

    def estimate(self, state: FlowState) -> Float[Array, "nodes runs"]:
        """Where the nodes stand: x."""
        return state.x.value


def _largest(x: Pair) -> Float[Array, "1 runs"]:
    return lax.stop_gradient(jnp.abs(x.value).max(axis=0, keepdims=True))
