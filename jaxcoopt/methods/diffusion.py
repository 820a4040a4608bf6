"""Exact diffusion, NIDS and LEAD: adapt, correct, combine; they differ in the first step and in what links carry."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.exchange import Message, first_message, message_bits, mix, send
from jaxcoopt.draws import Draw
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
    """y, v = y - alpha grad g(y) - s and s, leaves [nodes, *shape, runs], and what was sent of v; sum_i s_i = 0.

    share: of the mix that the next iteration takes, [runs], 0 where it is to move alone.
    """

    params: Params
    adapted: Params
    dual: Params
    sent: Message
    share: Float[Array, " runs"]


@pytree
@dataclass(frozen=True)
class ExactDiffusion(TrainingMethod):
    """y(k+1) = v(k) + mix(v(k)) / 2,   s(k+1) = s(k) - mix(v(k)) / 2,   v = y - alpha grad g(y) - s,   s(0) = 0.

    mix(v)_i = sum_j w_ij (q(v_j) - q(v_i)), alpha = `step`, scalar or [runs]. The same as psi(k+1) = y(k) - alpha
    grad g(y(k)), y(k+1) = (I + W)/2 (psi(k+1) + y(k) - psi(k)). start: "local" leaves the first mix out, which makes
    it NIDS. Source: Yuan, Ying, Zhao, Sayed, IEEE Trans. Signal Process. 67 (2019).
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": half of the known bound.')
    start: Literal["combined", "local"] = setting(
        "combined",
        choices=("combined", "local"),
        doc="Whether the first iteration mixes; local: NIDS.",
    )

    def init(self, training: Training, params: Params, channel: Channel, now: Round) -> DiffusionState:
        """At y; the first v is sent."""
        adapted = plus(params, times(-self.step, training.gradient(params)))
        sent, leaf = first_message(channel, adapted, now.draw), jax.tree.leaves(params)[0]
        share = 0.5 if self.start == "combined" else 0.0
        return DiffusionState(params, adapted, zeros(params), sent, jnp.full(leaf.shape[-1], share, leaf.dtype))

    def update(self, state: DiffusionState, training: Training, now: Round, channel: Channel) -> DiffusionState:
        """Combine what was adapted, then adapt anew."""
        mixed = times(state.share, mix(channel, now.links, state.adapted, state.sent))
        params, dual = plus(state.adapted, mixed), minus(state.dual, mixed)
        adapted = minus(plus(params, times(-self.step, training.gradient(params))), dual)
        sent = send(channel, adapted, state.sent, now.draw)
        return DiffusionState(params, adapted, dual, sent, jnp.full_like(state.share, 0.5))

    def estimate(self, state: DiffusionState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def bits(self, state: DiffusionState, channel: Channel) -> Any:
        """One copy of v."""
        return message_bits(channel, state.params)


def NIDS(step: Scalar) -> ExactDiffusion:
    """y(k+1) = (I + W)/2 (2 y(k) - y(k-1) - alpha (grad g(y(k)) - grad g(y(k-1)))),   y(1) = y(0) - alpha grad g(y(0)).

    Exact diffusion but for that first step. Source: Li, Shi, Yan, IEEE Trans. Signal Process. 67 (2019).
    """
    return ExactDiffusion(step, start="local")


@pytree
@dataclass(frozen=True)
class LeadState:
    """As `DiffusionState`; memory: H, heard: H + q(v - H), leaves [nodes, *shape, runs]."""

    params: Params
    adapted: Params
    dual: Params
    memory: Params
    heard: Params


@pytree
@dataclass(frozen=True)
class LEAD(TrainingMethod):
    """Exact diffusion over compressed links: v' = H + q(v - H) is mixed, H moves by `damping` q(v - H).

    y(k+1) = v(k) + gamma/2 mix(v'(k)),   s(k+1) = s(k) - gamma/2 mix(v'(k)),   v = y - alpha grad g(y) - s.
    alpha = `step`, gamma = `gain`, scalars or [runs]. The channel quantizes innovations; proved for unbiased ones.
    Source: Liu, Li, Wang, Tang, Yan, Linear convergent decentralized optimization with compression, ICLR 2021.
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": half of the known bound.')
    gain: Scalar = setting(1.0, above=0, tuned=(0, 1), doc="Of what the neighbours pull.")
    damping: Scalar = setting(0.5, above=0, most=1, doc="Of the neighbours' memory, in (0, 1].")

    def init(self, training: Training, params: Params, channel: Channel, now: Round) -> LeadState:
        """At y, with H = 0."""
        adapted = plus(params, times(-self.step, training.gradient(params)))
        memory, heard = self._sent(adapted, zeros(params), channel, now.draw)
        return LeadState(params, adapted, zeros(params), memory, heard)

    def update(self, state: LeadState, training: Training, now: Round, channel: Channel) -> LeadState:
        """Combine what was heard, then adapt anew and send."""
        mixed = times(0.5 * self.gain, now.links.mix(state.heard))
        params, dual = plus(state.adapted, mixed), minus(state.dual, mixed)
        adapted = minus(plus(params, times(-self.step, training.gradient(params))), dual)
        memory, heard = self._sent(adapted, state.memory, channel, now.draw)
        return LeadState(params, adapted, dual, memory, heard)

    def estimate(self, state: LeadState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def bits(self, state: LeadState, channel: Channel) -> Any:
        """One compressed v."""
        return message_bits(channel, state.params)

    def check(self, training: Training, channel: Channel) -> None:
        """An unbiased quantizer of innovations."""
        if not channel.unbiased:
            raise ValueError(
                f"channel: LEAD needs a quantizer with E q(u) = u, and {type(channel).__name__} is biased; use Ideal, "
                "Natural, QSGD or RandK(rescale=True), or train with CHOCO or GradientTracking"
            )
        if not channel.lossless and channel.placement != "innovation":
            raise ValueError(f"channel.placement: LEAD sends innovations, got {channel.placement!r}; use 'innovation'")

    def _sent(self, adapted: Params, memory: Params, channel: Channel, draw: Draw) -> tuple[Params, Params]:
        if channel.lossless:
            return memory, adapted
        heard = send(channel, adapted, memory, draw)
        return plus(memory, times(self.damping, minus(heard, memory))), heard
