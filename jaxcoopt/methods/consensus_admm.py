"""Decentralised consensus ADMM, its local problems solved by a few gradient steps."""

from dataclasses import dataclass

import jax
from jax import lax
from jaxtyping import Array

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import minus, plus, times, zeros
from jaxcoopt.problem.models import Params
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class AdmmState:
    """y and the dual phi, leaves [nodes, *shape, runs], and the wire of y; sum_i phi_i = 0."""

    params: Params
    dual: Params
    wire: Wire


@pytree
@dataclass(frozen=True)
class DecentralizedADMM(TrainingMethod):
    """phi_i += c sum_j w_ij (y_i - y_j),   y_i(k+1) = argmin_y g_i(y) + phi_i.y + c sum_j w_ij |y - (y_i + y_j)/2|^2.

    c = `penalty`; the argmin is taken by `inner` gradient steps of 1 / (2 c sum_j w_ij + `curvature`), `curvature` at
    least that of g_i; one step is the linearised method, DLM. Scalars or [runs]. Sources: Shi, Ling, Yuan, Wu, Yin,
    IEEE Trans. Signal Process. 62 (2014); DLM: Ling, Shi, Wu, Ribeiro, IEEE Trans. Signal Process. 63 (2015).
    """

    penalty: Scalar = setting(above=0, doc="Of a violation, the c of ADMM.")
    curvature: Scalar = setting(above=0, doc="At least that of a node's loss.")
    inner: int = setting(1, whole=True, doc="Gradient steps on a node's own problem.")

    def init(self, params: Params, now: Round) -> AdmmState:
        """At y, which is sent, with phi = 0."""
        return AdmmState(params, zeros(params), now.open(params))

    def update(self, state: AdmmState, now: Round) -> AdmmState:
        """The dual from what was heard, then the local problem."""
        pull = times(self.penalty, now.mix(state.wire, state.params))
        dual = minus(state.dual, pull)
        strength = now.links.strength()

        def stiffness(leaf: Array) -> Array:
            own = strength.reshape(len(strength), *(1,) * (leaf.ndim - 2), *(strength.shape[1:] or (1,)))
            return 2 * along_runs(self.penalty, leaf) * own

        def descend(_: Array | int, params: Params) -> Params:
            slope = minus(plus(now.gradient(params), dual), pull)
            return jax.tree.map(
                lambda y, g, y_old: (
                    y - (g + stiffness(y) * (y - y_old)) / (stiffness(y) + along_runs(self.curvature, y))
                ),
                params,
                slope,
                state.params,
            )

        params = lax.fori_loop(0, self.inner, descend, state.params) if self.inner > 1 else descend(0, state.params)
        return AdmmState(params, dual, now.send(state.wire, params))

    def estimate(self, state: AdmmState) -> Params:
        """Where the nodes stand: y."""
        return state.params
