"""The initialization-free primal-dual method for resource allocation."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.method import AllocationMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.box import hard_box
from jaxcoopt.problem.costs import marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

Shares = Float[Array, "nodes runs"]


@pytree
@dataclass(frozen=True)
class PrimalDualState:
    """x; (lambda, z), each [nodes, runs], and their wire; the box."""

    x: Shares
    duals: tuple[Shares, Shares]
    wire: Wire
    box: tuple[Shares, Shares]


@pytree
@dataclass(frozen=True)
class PrimalDual(AllocationMethod):
    """x += eta (P(x - f'(x) + l) - x),   l += eta (mix(l) + mix(z) + b/n - x),   z -= eta mix(l).

    P projects on the box, mix(u)_i = sum_j w_ij (q(u_j) - q(u_i)), eta = `step`, scalar or [runs]. The box holds at
    every iteration for eta <= 1, the budget in the limit. Source: Yi, Hong, Liu, Automatica 74
    (2016), by forward Euler.
    """

    step: Scalar = setting(above=0, most=1, hint=", or x leaves its box", auto=True, doc="How far a node moves.")
    keeps_sum: ClassVar[bool] = False
    keeps_box: ClassVar[bool] = True

    def init(self, allocation: Allocation, x: Pair, now: Round) -> PrimalDualState:
        """At x, lambda = f'(x) and z = 0."""
        at = x.value
        duals = (marginal(allocation.cost, at), jnp.zeros_like(at))
        return PrimalDualState(at, duals, now.open(duals), hard_box(allocation, at))

    def update(self, state: PrimalDualState, allocation: Allocation, now: Round) -> PrimalDualState:
        """One Euler step of all three."""
        x, (price, integral), step = state.x, state.duals, along_runs(self.step, state.x)
        mixed_price, mixed_integral = now.mix(state.wire, state.duals)
        share = along_runs(allocation.budget, x) / now.nodes
        duals = (price + step * (mixed_price + mixed_integral + share - x), integral - step * mixed_price)
        x = x + step * (jnp.clip(x - marginal(allocation.cost, x) + price, *state.box) - x)
        return PrimalDualState(x, duals, now.send(state.wire, duals), state.box)

    def estimate(self, state: PrimalDualState) -> Shares:
        """Where the nodes stand: x."""
        return state.x
