"""The paper's allocation method, CPU flows along links from high to low price, and the flows of its family."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Bool, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.channel import Channel
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.flow_state import FlowState, at_rest, moved, outgrown, refreshed
from jaxcoopt.methods.method import AllocationMethod, Most
from jaxcoopt.methods.nonlinearities import (
    NONLINEARITIES,
    Identity,
    Nonlinearity,
    Saturated,
    SignedPowers,
    SingleBit,
    Uniform,
)
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.bounds import BOUNDS, Bounds, Penalty
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class LaplacianFlow(AllocationMethod):
    """x_i(k+1) = x_i(k) + eta sum_j w_ij h(q(p_j) - q(p_i)) + beta (x_i(k) - x_i(k-1)).

    eta = `step` (CPU units per price), beta = `momentum` in [0, 1): scalars or [runs]; p_i the price, df_i/dx plus the
    slope of `bounds`; h = `nonlinearity`, u unless said. The sum of x never changes, whatever q and h are. Sources:
    arXiv 2510.25176, eq. (12); without q, Xiao and Boyd, J. Optim. Theory Appl. 129 (2006); heavy ball:
    arXiv 2208.14059, Ghadimi, Shames and Johansson, IEEE Trans. Signal Process. 61 (2013).
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')
    momentum: Scalar = setting(0.0, least=0, below=1, optional=True, doc="Of the heavy-ball term, in [0, 1).")
    bounds: Bounds = setting(Penalty(), part=Bounds, example=BOUNDS, doc="How the bounds are kept.")
    nonlinearity: Nonlinearity = setting(
        Identity(), part=Nonlinearity, example=NONLINEARITIES, doc="What flows at a price difference."
    )

    def init(self, allocation: Allocation, x: Pair, now: Round) -> FlowState:
        """At rest at x."""

        def pace(apart: Array) -> Array:
            return along_runs(self.step, apart) * self.nonlinearity(apart)

        return at_rest(self.bounds, self.momentum, allocation, x, now, pace)

    def update(self, state: FlowState, allocation: Allocation, now: Round) -> FlowState:
        """One iteration: mix the prices as sent, move, send the new prices."""

        def amount(own: Array, other: Array, weight: Array) -> Array:
            return weight * self.nonlinearity(now.difference(own, other))

        prices = now.heard(state.wire, state.price)
        return moved(state, prices, amount, self.step, self.momentum, self.bounds, allocation, now)

    def outgrown(self, state: FlowState) -> Bool[Array, ""]:
        """Whether x has outgrown its units."""
        return outgrown(state.size, state.x)

    def refresh(self, state: FlowState, most: Most) -> FlowState:
        """The same state in units that fit."""
        return refreshed(state, most)

    def estimate(self, state: FlowState) -> Float[Array, "nodes runs"]:
        """Where the nodes stand: x."""
        return state.x.exact

    def bits(self, state: FlowState, channel: Channel) -> Any:
        """One price, or what the nonlinearity needs of it."""
        return self.nonlinearity.word_bits(super().bits(state, channel))

    def no_directed_links(self, channel: Channel) -> str | None:
        """None where what flows is linear in the prices, and so is known to its sender; else the reason."""
        if isinstance(self.nonlinearity, Identity):
            return None
        return f"the nonlinearity {type(self.nonlinearity).__name__} needs the difference of both ends' prices"

    def check(self, allocation: Allocation, channel: Channel) -> None:
        """Not with `Limit`."""
        if self.bounds.keeps_box:
            raise ValueError(
                "method.allocation.bounds: Limit cuts what flows on single links, which LaplacianFlow does not keep; "
                "use CurvatureFlow(bounds=Limit()), or DualFlow(), which also reaches the optimum on every graph"
            )


def FiniteTimeFlow(step: Scalar, exponent: Scalar = 0.5, bounds: Bounds = Penalty()) -> LaplacianFlow:  # noqa: B008
    """x_i += eta sum_j w_ij sgn(u) |u|^v, u = p_j - p_i, v = `exponent` in (0, 1).

    Source: Doostmohammadian and Aghasi, Accelerated distributed allocation, arXiv 2401.15598.
    """
    return LaplacianFlow(step, bounds=bounds, nonlinearity=SignedPowers(exponent))


def FixedTimeFlow(step: Scalar, low: Scalar = 0.5, high: Scalar = 1.5, bounds: Bounds = Penalty()) -> LaplacianFlow:  # noqa: B008
    """x_i += eta sum_j w_ij (sgn(u) |u|^v1 + sgn(u) |u|^v2), u = p_j - p_i, 0 < v1 = `low` < 1 < v2 = `high`.

    Source: Doostmohammadian and Aghasi, Accelerated distributed allocation, arXiv 2401.15598.
    """
    return LaplacianFlow(step, bounds=bounds, nonlinearity=SignedPowers(low, high))


def SaturatedFlow(step: Scalar, level: Scalar = 1.0, bounds: Bounds = Penalty()) -> LaplacianFlow:  # noqa: B008
    """x_i += eta sum_j w_ij clip(p_j - p_i, -level, level): actuators that move no faster.

    Source: arXiv 2208.14059, on links with saturation.
    """
    return LaplacianFlow(step, bounds=bounds, nonlinearity=Saturated(level))


def SingleBitFlow(step: Scalar, bounds: Bounds = Penalty()) -> LaplacianFlow:  # noqa: B008
    """x_i += eta sum_j w_ij sgn(p_j - p_i): one bit a link; chatters in a band set by the step.

    Source: Doostmohammadian, Single-bit consensus with finite-time convergence, IEEE Trans. Aerosp. Electron.
    Syst. 56 (2020).
    """
    return LaplacianFlow(step, bounds=bounds, nonlinearity=SingleBit())


def UniformFlow(step: Scalar, level: Scalar = 0.1, bits: int = 8, bounds: Bounds = Penalty()) -> LaplacianFlow:  # noqa: B008
    """x_i += eta sum_j w_ij level round((p_j - p_i) / level), in words of `bits`; stops in a band of half a level.

    Source: Doostmohammadian et al., Fast-convergent anytime-feasible dynamics for distributed allocation of resources
    over switching sparse networks with quantized communication links, arXiv 2012.08181.
    """
    return LaplacianFlow(step, bounds=bounds, nonlinearity=Uniform(level, bits))
