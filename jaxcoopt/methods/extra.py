"""EXTRA: decentralised gradient descent with its error summed up and taken away."""

from dataclasses import dataclass

from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import plus, times, zeros
from jaxcoopt.problem.models import Params
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class ExtraState:
    """y and s, leaves [nodes, *shape, runs], and the wire of y; at all times sum_i s_i = 0."""

    params: Params
    summed: Params
    wire: Wire


@pytree
@dataclass(frozen=True)
class EXTRA(TrainingMethod):
    """y(k+1) = y(k) + mix(y(k)) - alpha grad g(y(k)) + s(k),   s(k+1) = s(k) + mix(y(k)) / 2,   s(0) = 0.

    mix(y)_i = sum_j w_ij (q(y_j) - q(y_i)), alpha = `step`, scalar or [runs]. The same as y(k+2) = (I + W) y(k+1) -
    (I + W)/2 y(k) - alpha (grad g(y(k+1)) - grad g(y(k))). Source: Shi, Ling, Wu, Yin, SIAM J. Optim. 25 (2015).
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')

    def init(self, params: Params, now: Round) -> ExtraState:
        """At y, which is sent."""
        return ExtraState(params, zeros(params), now.open(params))

    def update(self, state: ExtraState, now: Round) -> ExtraState:
        """Mix and descend, corrected by what the mixes have summed up to."""
        mixed = now.mix(state.wire, state.params)
        params = plus(state.params, mixed, times(-self.step, now.gradient(state.params)), state.summed)
        summed = plus(state.summed, times(0.5, mixed))
        return ExtraState(params, summed, now.send(state.wire, params))

    def estimate(self, state: ExtraState) -> Params:
        """Where the nodes stand: y."""
        return state.params
