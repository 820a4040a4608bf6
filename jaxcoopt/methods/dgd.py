"""Decentralised gradient descent, with all samples or with mini-batches."""

from dataclasses import dataclass

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import plus, times
from jaxcoopt.problem.models import Params
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class DescentState:
    """y, leaves [nodes, *shape, runs], and its wire."""

    params: Params
    wire: Wire


@pytree
@dataclass(frozen=True)
class DGD(TrainingMethod):
    """y_i(k+1) = y_i(k) + sum_j w_ij (q(y_j) - q(y_i)) - alpha grad g_i(y_i(k)).

    alpha = `step`, scalar or [runs]. Stops at a distance of the optimum proportional to alpha. Source: Nedic and
    Ozdaglar, IEEE Trans. Autom. Control 54 (2009); Yuan, Ling, Yin, SIAM J. Optim. 26 (2016).
    """

    step: Scalar = setting(above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.')

    def init(self, params: Params, now: Round) -> DescentState:
        """At y, which is sent."""
        return DescentState(params, now.open(params))

    def update(self, state: DescentState, now: Round) -> DescentState:
        """Mix and descend at once."""
        slope = now.gradient(state.params)
        params = plus(state.params, now.mix(state.wire, state.params), times(-self.step, slope))
        return DescentState(params, now.send(state.wire, params))

    def estimate(self, state: DescentState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def no_directed_links(self, channel: Channel) -> None:
        """None: directed links with balanced weights will do."""
        return


def DPSGD(step: Scalar, batch_size: int | None = None) -> DGD:
    """DGD with mini-batches; raises ValueError without their size.

    Source: Lian et al., Can decentralized algorithms outperform centralized algorithms? NeurIPS 2017.
    """
    if batch_size is None:
        raise ValueError(
            "method.training.batch_size: D-PSGD draws samples, so say how many a node; for all samples use DGD"
        )
    return DGD(step, batch_size=batch_size)
