"""CHOCO: gossip over compressed links, with or without mini-batches."""

from dataclasses import dataclass

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import plus, times
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class ChocoState:
    """y and y' = y - alpha grad g(y), leaves [nodes, *shape, runs], and the estimates e of y' at the neighbours."""

    params: Params
    moved: Params
    wire: Wire


@pytree
@dataclass(frozen=True)
class CHOCO(TrainingMethod):
    """y(k+1) = y'(k) + gamma sum_j w_ij (e_j - e_i),   y' = y - alpha grad g(y),   e_i += q(y'_i - e_i).

    alpha = `step`, gamma = `gain`, scalars or [runs]. Source: Koloskova, Stich, Jaggi, Decentralized stochastic
    optimization and gossip algorithms with compressed communication, ICML 2019.
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')
    gain: Scalar = setting(1.0, above=0, tuned=(0, 1), doc="Of what the neighbours' estimates pull.")

    def init(self, params: Params, now: Round) -> ChocoState:
        """The first step, over all samples, is sent."""
        moved = plus(params, times(-self.step, now.gradient(params)))
        return ChocoState(params, moved, now.open(moved))

    def update(self, state: ChocoState, now: Round) -> ChocoState:
        """Gossip, then descend and send what changed."""
        params = plus(state.moved, times(self.gain, now.mix(state.wire, state.moved)))
        moved = plus(params, times(-self.step, now.gradient(params)))
        return ChocoState(params, moved, now.send(state.wire, moved))

    def estimate(self, state: ChocoState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def check(self, training: Training, channel: Channel) -> None:
        """The channel carries innovations."""
        if not channel.lossless and channel.placement != "innovation":
            raise ValueError(f"channel.placement: CHOCO sends innovations, got {channel.placement!r}; use 'innovation'")
