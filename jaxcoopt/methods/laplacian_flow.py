"""The paper's allocation method: CPU flows along links from high to low price."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import along_runs, two_sum
from jaxcoopt.channel.exchange import Message, first_message, mix, send
from jaxcoopt.channel.quantizers import Channel
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class FlowState:
    """x and velocity: [nodes, runs]; lost: what x has lost to rounding so far; message: prices as sent."""

    x: Float[Array, "nodes runs"]
    lost: Float[Array, "nodes runs"]
    velocity: Float[Array, "nodes runs"]
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

    def init(self, allocation: Allocation, x: Array, lost: Array, channel: Channel) -> FlowState:
        """At rest at x; `lost` is what the float type cannot hold of it."""
        price = allocation.price(x, self.bounds)
        return FlowState(x, lost, jnp.zeros_like(x), first_message(channel, price))

    def update(self, state: FlowState, allocation: Allocation, now: Round, channel: Channel) -> FlowState:
        """One iteration: mix the prices as sent, move, send the new prices."""
        price = allocation.price(state.x, self.bounds)
        flow = along_runs(self.step, state.x) * mix(channel, now.links, price, state.message)
        velocity = flow + along_runs(self.momentum, state.x) * state.velocity
        x, lost = two_sum(state.x, velocity + state.lost)
        return FlowState(x, lost, velocity, send(channel, allocation.price(x, self.bounds), state.message))

    def estimate(self, state: FlowState) -> Float[Array, "nodes runs"]:
        """Where the nodes stand: x."""
        return state.x
