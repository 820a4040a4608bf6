"""ADMM for resource allocation: by tracking the budget's violation, and by consensus on the dual."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.local_problem import least_cost
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
class TrackingAdmmState:
    """x; (d, lambda), each [nodes, runs], and their wire; the box."""

    x: Shares
    tracked: tuple[Shares, Shares]
    wire: Wire
    box: tuple[Shares, Shares]


@pytree
@dataclass(frozen=True)
class TrackingADMM(AllocationMethod):
    """delta = d + mix(d), l = lambda + mix(lambda);   x(k+1) = argmin f(x) + l x + c/2 (x - x(k) + delta)^2;
    d(k+1) = delta + x(k+1) - x(k),   lambda(k+1) = l + c d(k+1).

    Over the box, c = `penalty`, scalar or [runs]; d_i tracks the mean of x_i - b/n. The box holds at every iteration,
    the budget in the limit. Source: Falsone, Notarnicola, Notarstefano, Prandini, Automatica 117 (2020).
    """

    penalty: Scalar = setting(above=0, doc="Of a violation, the c of ADMM.")
    keeps_sum: ClassVar[bool] = False
    keeps_box: ClassVar[bool] = True

    def init(self, allocation: Allocation, x: Pair, now: Round) -> TrackingAdmmState:
        """At x, d = x - b/n and lambda = -f'(x)."""
        at = x.value
        tracked = (at - along_runs(allocation.budget, at) / now.nodes, -marginal(allocation.cost, at))
        return TrackingAdmmState(at, tracked, now.open(tracked), hard_box(allocation, at))

    def update(self, state: TrackingAdmmState, allocation: Allocation, now: Round) -> TrackingAdmmState:
        """Mix, solve the node's own problem, track."""
        mixed_error, mixed_dual = now.mix(state.wire, state.tracked)
        error, dual = state.tracked[0] + mixed_error, state.tracked[1] + mixed_dual
        penalty = along_runs(self.penalty, state.x)
        x = least_cost(allocation.cost, dual, penalty * jnp.ones_like(dual), state.x - error, state.box, state.x)
        error = error + x - state.x
        tracked = (error, dual + penalty * error)
        return TrackingAdmmState(x, tracked, now.send(state.wire, tracked), state.box)

    def estimate(self, state: TrackingAdmmState) -> Shares:
        """Where the nodes stand: x."""
        return state.x


@pytree
@dataclass(frozen=True)
class DualAdmmState:
    """x, lambda and p, [nodes, runs] each, and the wire of lambda; the box."""

    x: Shares
    dual: Shares
    summed: Shares
    wire: Wire
    box: tuple[Shares, Shares]


@pytree
@dataclass(frozen=True)
class DualConsensusADMM(AllocationMethod):
    """p_i += c sum_j (l_i - l_j);   x_i = argmin f_i(x) + (x - b/n - p_i + c sum_j (l_i + l_j))^2 / (4 c d_i);
    l_i = (sum_j (l_i + l_j) + (x_i - b/n - p_i) / c) / (2 d_i).

    Over the box and the d_i live neighbours, c = `penalty`, scalar or [runs]. The box holds at every iteration, the
    budget in the limit, and on a graph that does not change. Source: Chang, Hong, Wang, Multi-agent distributed
    optimization via inexact consensus ADMM, IEEE Trans. Signal Process. 63 (2015), DC-ADMM.
    """

    penalty: Scalar = setting(above=0, doc="Of a violation, the c of ADMM.")
    keeps_sum: ClassVar[bool] = False
    keeps_box: ClassVar[bool] = True

    def init(self, allocation: Allocation, x: Pair, now: Round) -> DualAdmmState:
        """At x, lambda = -f'(x) and p = 0."""
        at = x.value
        dual = -marginal(allocation.cost, at)
        return DualAdmmState(at, dual, jnp.zeros_like(at), now.open(dual), hard_box(allocation, at))

    def update(self, state: DualAdmmState, allocation: Allocation, now: Round) -> DualAdmmState:
        """The dual's disagreement, the node's own problem, the new dual; a node without neighbours waits."""
        penalty = along_runs(self.penalty, state.x)

        def unweighted(own: Array, other: Array, weight: Array) -> Array:
            return jnp.where(weight > 0, now.difference(own, other), 0)

        apart = now.links.total(now.heard(state.wire, state.dual), unweighted)
        degree = now.links.degree().reshape(state.x.shape[0], -1)
        linked, links = degree > 0, jnp.maximum(degree, 1)
        summed = state.summed - penalty * apart
        total = 2 * links * state.dual + apart
        share = along_runs(allocation.budget, state.x) / now.nodes
        stiffness = jnp.broadcast_to(1 / (2 * penalty * links), state.x.shape)
        center = share + summed - penalty * total
        x = least_cost(allocation.cost, jnp.zeros_like(center), stiffness, center, state.box, state.x)
        x = jnp.where(linked, x, state.x)
        dual = jnp.where(linked, (total + (x - share - summed) / penalty) / (2 * links), state.dual)
        return DualAdmmState(x, dual, summed, now.send(state.wire, dual), state.box)

    def estimate(self, state: DualAdmmState) -> Shares:
        """Where the nodes stand: x."""
        return state.x
