"""Exact diffusion, NIDS and LEAD: adapt, correct, combine; they differ in the first step and in what links carry."""

from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import minus, plus, times, zeros
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class DiffusionState:
    """y, v = y - alpha grad g(y) - s and s, leaves [nodes, *shape, runs], and the wire of v; sum_i s_i = 0.

    share: of the mix that the next iteration takes, [runs], 0 where it is to move alone.
    """

    params: Params
    adapted: Params
    dual: Params
    wire: Wire
    share: Float[Array, " runs"]


@pytree
@dataclass(frozen=True)
class ExactDiffusion(TrainingMethod):
    """y(k+1) = v(k) + mix(v(k)) / 2,   s(k+1) = s(k) - mix(v(k)) / 2,   v = y - alpha grad g(y) - s,   s(0) = 0.

    mix(v)_i = sum_j w_ij (q(v_j) - q(v_i)), alpha = `step`, scalar or [runs]. The same as psi(k+1) = y(k) - alpha
    grad g(y(k)), y(k+1) = (I + W)/2 (psi(k+1) + y(k) - psi(k)). start: "local" leaves the first mix out, which makes
    it NIDS. Source: Yuan, Ying, Zhao, Sayed, IEEE Trans. Signal Process. 67 (2019).
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')
    start: Literal["combined", "local"] = setting(
        "combined",
        choices=("combined", "local"),
        doc="Whether the first iteration mixes; local: NIDS.",
    )

    def init(self, params: Params, now: Round) -> DiffusionState:
        """At y; the first v is sent."""
        adapted = plus(params, times(-self.step, now.gradient(params)))
        leaf = jax.tree.leaves(params)[0]
        share = jnp.full(leaf.shape[-1], 0.5 if self.start == "combined" else 0.0, leaf.dtype)
        return DiffusionState(params, adapted, zeros(params), now.open(adapted), share)

    def update(self, state: DiffusionState, now: Round) -> DiffusionState:
        """Combine what was adapted, then adapt anew."""
        mixed = times(state.share, now.mix(state.wire, state.adapted))
        params, dual = plus(state.adapted, mixed), minus(state.dual, mixed)
        adapted = minus(plus(params, times(-self.step, now.gradient(params))), dual)
        return DiffusionState(params, adapted, dual, now.send(state.wire, adapted), jnp.full_like(state.share, 0.5))

    def estimate(self, state: DiffusionState) -> Params:
        """Where the nodes stand: y."""
        return state.params


def NIDS(step: Scalar, *, batch_size: int | None = None) -> ExactDiffusion:
    """y(k+1) = (I + W)/2 (2 y(k) - y(k-1) - alpha (grad g(y(k)) - grad g(y(k-1)))),   y(1) = y(0) - alpha grad g(y(0)).

    Exact diffusion but for that first step. Source: Li, Shi, Yan, IEEE Trans. Signal Process. 67 (2019).
    """
    return ExactDiffusion(step, start="local", batch_size=batch_size)


@pytree
@dataclass(frozen=True)
class LeadState:
    """As `DiffusionState`; wire: of v, known as H + q(v - H); memory: H, None over lossless links."""

    params: Params
    adapted: Params
    dual: Params
    wire: Wire
    memory: Params | None


@pytree
@dataclass(frozen=True)
class LEAD(TrainingMethod):
    """Exact diffusion over compressed links: v' = H + q(v - H) is mixed, H moves by `damping` q(v - H).

    y(k+1) = v(k) + gamma/2 mix(v'(k)),   s(k+1) = s(k) - gamma/2 mix(v'(k)),   v = y - alpha grad g(y) - s.
    alpha = `step`, gamma = `gain`, scalars or [runs]. The channel quantizes innovations; proved for unbiased ones.
    Source: Liu, Li, Wang, Tang, Yan, Linear convergent decentralized optimization with compression, ICLR 2021.
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')
    gain: Scalar = setting(1.0, above=0, tuned=(0, 1), doc="Of what the neighbours pull.")
    damping: Scalar = setting(0.5, above=0, most=1, doc="Of the neighbours' memory, in (0, 1].")

    def init(self, params: Params, now: Round) -> LeadState:
        """At y, with H = 0."""
        adapted = plus(params, times(-self.step, now.gradient(params)))
        wire = now.open(adapted)
        return LeadState(params, adapted, zeros(params), wire, self._remembered(zeros(params), wire))

    def update(self, state: LeadState, now: Round) -> LeadState:
        """Combine what was heard, then adapt anew and send."""
        mixed = times(0.5 * self.gain, now.mix(state.wire, state.adapted))
        params, dual = plus(state.adapted, mixed), minus(state.dual, mixed)
        adapted = minus(plus(params, times(-self.step, now.gradient(params))), dual)
        wire = now.send(replace(state.wire, known=state.memory), adapted)
        return LeadState(params, adapted, dual, wire, self._remembered(state.memory, wire))

    def estimate(self, state: LeadState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def check(self, training: Training, channel: Channel) -> None:
        """An unbiased quantizer of innovations."""
        if not channel.unbiased:
            raise ValueError(
                f"channel: LEAD needs a quantizer with E q(u) = u, and {type(channel).__name__} is biased; use Ideal, "
                "Natural, QSGD or RandK(rescale=True), or train with CHOCO or GradientTracking"
            )
        if not channel.lossless and channel.placement != "innovation":
            raise ValueError(f"channel.placement: LEAD sends innovations, got {channel.placement!r}; use 'innovation'")

    def _remembered(self, memory: Params | None, wire: Wire) -> Params | None:
        """H moves to what is known of v now."""
        if wire.known is None:
            return None
        return plus(memory, times(self.damping, minus(wire.known, memory)))
