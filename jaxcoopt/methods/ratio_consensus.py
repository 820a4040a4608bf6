"""Quantized ratio consensus: the price of quadratic costs as a ratio of two means."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.method import AllocationMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.costs import Quadratic
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree

Shares = Float[Array, "nodes runs"]


@pytree
@dataclass(frozen=True)
class RatioState:
    """(y, z), each [nodes, runs], and their wire; the costs' centers c and 1/a."""

    masses: tuple[Shares, Shares]
    wire: Wire
    center: Shares
    softness: Shares


@pytree
@dataclass(frozen=True)
class RatioConsensus(AllocationMethod):
    """y += mix(y), z += mix(z), x_i = c_i + (y_i / z_i) / a_i;   y(0) = b/n - c_i, z(0) = 1/a_i.

    For quadratic costs a_i/2 (x - c_i)^2: y_i / z_i tends to the price (b - sum c) / sum 1/a. Bounds are not seen; the
    budget is met in the limit. mix(u)_i = sum_j w_ij (q(u_j) - q(u_i)). Source: Rikos, Grammenos, Kalyvianaki,
    Hadjicostis, Charalambous, Johansson, Optimal CPU scheduling in data centers via a finite-time distributed quantized
    coordination mechanism, arXiv 2104.03126, whose integer masses are here those of the channel.
    """

    keeps_sum: ClassVar[bool] = False

    def init(self, allocation: Allocation, x: Pair, now: Round) -> RatioState:
        """Both masses from the node's own cost."""
        cost, like = allocation.cost, x.value
        assert isinstance(cost, Quadratic)
        center = jnp.broadcast_to(cost.center, like.shape)
        softness = jnp.broadcast_to(1 / cost.curvature, like.shape)
        masses = (along_runs(allocation.budget, like) / now.nodes - center, softness)
        return RatioState(masses, now.open(masses), center, softness)

    def update(self, state: RatioState, allocation: Allocation, now: Round) -> RatioState:
        """Both masses mix."""
        mixed = now.mix(state.wire, state.masses)
        masses = (state.masses[0] + mixed[0], state.masses[1] + mixed[1])
        return RatioState(masses, now.send(state.wire, masses), state.center, state.softness)

    def estimate(self, state: RatioState) -> Shares:
        """c + (y / z) / a."""
        y, z = state.masses
        return state.center + y / z * state.softness

    def check(self, allocation: Allocation, channel: Channel) -> None:
        """The cost is quadratic."""
        if not isinstance(allocation.cost, Quadratic):
            raise ValueError(
                f"problem.allocation.cost: ratio consensus needs jaxcoopt.costs.Quadratic, got "
                f"{type(allocation.cost).__name__}; use another method of jaxcoopt.methods for it"
            )
