"""The paper's training method: every node follows an estimate of the whole network's gradient."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import optax
from jaxtyping import PyTree

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire
from jaxcoopt.methods.method import TrainingMethod
from jaxcoopt.methods.optimizer import Optimizer, for_each_node, received_optimizer
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.trees import minus, plus, times, zeros
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


@pytree
@dataclass(frozen=True)
class TrackingState:
    """y, z, c and r of z = c + grad g(y) - r, leaves [nodes, *shape, runs]; the wires of y and z; optax's state.

    c collects what z gets from its neighbours, so that no old gradient need be kept; r is the gradient at the last
    `refresh`, without which c would be as large as the gradients, and float32 too coarse for what z gets in the end.
    `optimizer` is None without an optax transformation, `previous`, y(k-1), without momentum.
    """

    params: Params
    tracker: Params
    correction: Params
    reference: Params
    params_wire: Wire
    tracker_wire: Wire
    optimizer: Any
    previous: Params | None = None


@pytree
@dataclass(frozen=True)
class GradientTracking(TrainingMethod):
    """Gradient tracking over quantized links.

    y_i(k+1) = y_i(k) + sum_j w_ij (q(y_j) - q(y_i)) - alpha z_i(k) + beta (y_i(k) - y_i(k-1))
    z_i(k+1) = z_i(k) + sum_j w_ij (q(z_j) - q(z_i)) + grad g_i(y_i(k+1)) - grad g_i(y_i(k)),   z(0) = grad g(y(0))

    alpha = `step`, beta = `momentum`, scalars or [runs], no momentum unless said. `optimizer`, any optax
    transformation (its learning rate included), replaces -alpha z: each node of each run applies it to its own z. Its
    numbers are compiled in, unless it is made by `methods.optimizer`.
    With `batch_size` the difference is between this iteration's sampled gradient and the last one's, so that it
    telescopes (benchmarks/minibatch.py compares). order "atc" moves first, then mixes what it moved to. At all times
    sum_i z_i = sum_i grad g_i(y_i), over the samples last drawn. Sources: arXiv 2510.25176, 2406.00621; mini-batches:
    Pu and Nedic, Math. Program. 187 (2021).
    """

    step: Scalar = setting(
        None, above=0, auto=True, doc='How far a node moves; "auto": a stable one, see jaxcoopt.solve.'
    )
    optimizer: Optimizer | optax.GradientTransformation | None = setting(
        None,
        part=Optimizer,
        example="an optax transformation, such as optax.adam(0.1)",
        doc="An optax optimizer that takes the place of the plain step.",
    )
    order: Literal["cta", "atc"] = setting(
        "cta", choices=("cta", "atc"), doc="cta: mix, then move; atc: the other way."
    )
    momentum: Scalar = setting(None, least=0, below=1, doc="Of the heavy-ball term, in [0, 1).")

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", received_optimizer(self.optimizer))

    def init(self, params: Params, now: Round) -> TrackingState:
        """The tracker starts as the gradient over all samples."""
        tracker = now.gradient(params)
        first = (zeros(params), zeros(params)) if self.order == "atc" else (params, tracker)
        return TrackingState(
            params=params,
            tracker=tracker,
            correction=tracker,
            reference=tracker,
            params_wire=now.open(first[0], "y"),
            tracker_wire=now.open(first[1], "z"),
            optimizer=self._apply("init", params),
            previous=None if self.momentum is None else params,
        )

    def update(self, state: TrackingState, now: Round) -> TrackingState:
        """One iteration, in either order."""
        move = self._combine_then_adapt if self.order == "cta" else self._adapt_then_combine
        return move(state, now)

    def refresh(self, state: TrackingState) -> TrackingState:
        """The same z and gradient with r the gradient and c = z."""
        reference = jax.tree.map(lambda r, z, c: r + (z - c), state.reference, state.tracker, state.correction)
        return replace(state, correction=state.tracker, reference=reference)

    def estimate(self, state: TrackingState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def no_directed_links(self, channel: Channel) -> None:
        """None: directed links with balanced weights will do."""
        return

    def check(self, training: Training, channel: Channel) -> None:
        """Either step or optimizer."""
        if (self.step is None) == (self.optimizer is None):
            raise ValueError(
                "method.training: give either step or optimizer (its learning rate included), not both or neither"
            )

    def _combine_then_adapt(self, state: TrackingState, now: Round) -> TrackingState:
        move, optimizer = self._move(state)
        previous = None if state.previous is None else state.params
        params = plus(state.params, now.mix(state.params_wire, state.params), move)
        correction = plus(state.correction, now.mix(state.tracker_wire, state.tracker))
        tracker = plus(correction, self._change(state, params, now))
        params_wire = now.send(state.params_wire, params)
        tracker_wire = now.send(state.tracker_wire, tracker)
        return TrackingState(
            params, tracker, correction, state.reference, params_wire, tracker_wire, optimizer, previous
        )

    def _adapt_then_combine(self, state: TrackingState, now: Round) -> TrackingState:
        move, optimizer = self._move(state)
        previous = None if state.previous is None else state.params
        moved = plus(state.params, move)
        params_wire = now.send(state.params_wire, moved)
        params = plus(moved, now.mix(params_wire, moved))
        moved = plus(state.correction, self._change(state, params, now))
        tracker_wire = now.send(state.tracker_wire, moved)
        mixed = now.mix(tracker_wire, moved)
        tracker, correction = plus(moved, mixed), plus(state.correction, mixed)
        return TrackingState(
            params, tracker, correction, state.reference, params_wire, tracker_wire, optimizer, previous
        )

    def _move(self, state: TrackingState) -> tuple[Params, Any]:
        """-alpha z, or what the optax transformation makes of z."""
        if self.optimizer is None:
            return self._with_momentum(state, times(-self.step, state.tracker)), None
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to whole powers, which "strict" refuses
            move, optimizer = self._apply("update", state.tracker, state.optimizer, state.params)
        return self._with_momentum(state, move), optimizer

    def _apply(self, call: str, *trees: PyTree) -> Any:
        return for_each_node(self.optimizer, call, *trees) if isinstance(self.optimizer, Optimizer) else None

    def _with_momentum(self, state: TrackingState, move: Params) -> Params:
        """The move and beta (y(k) - y(k-1))."""
        if state.previous is None:
            return move
        return plus(move, times(self.momentum, minus(state.params, state.previous)))

    def _change(self, state: TrackingState, params: Params, now: Round) -> Params:
        """grad g(y) - r, over all samples or this iteration's."""
        return minus(now.gradient(params), state.reference)


def DIGing(step: Scalar, *, batch_size: int | None = None) -> GradientTracking:
    """Gradient tracking that mixes, then moves. Source: Nedic, Olshevsky, Shi, SIAM J. Optim. 27 (2017)."""
    return GradientTracking(step, order="cta", batch_size=batch_size)


def ATCTracking(step: Scalar, *, batch_size: int | None = None) -> GradientTracking:
    """Gradient tracking that moves, then mixes (Aug-DGM). Source: Xu, Zhu, Soh, Xie, CDC 2015."""
    return GradientTracking(step, order="atc", batch_size=batch_size)


def HeavyBallTracking(step: Scalar, momentum: Scalar = 0.5, *, batch_size: int | None = None) -> GradientTracking:
    """Gradient tracking with beta (y(k) - y(k-1)) added. Source: Xin and Khan, IEEE Trans. Autom. Control 65 (2020)."""
    return GradientTracking(step, momentum=momentum, batch_size=batch_size)
