"""The paper's training method: every node follows an estimate of the whole network's gradient."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxcoopt.arrays import along_runs
from jaxcoopt.channel.exchange import Message, first_message, mix, send
from jaxcoopt.channel.quantizers import Channel
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class TrackingState:
    """y, z, c and r of z = c + grad g(y) - r, leaves [nodes, *shape, runs]; what was sent of y and z; optax's state.

    c collects what z gets from its neighbours, so that no old gradient need be kept; r is the gradient at the last
    `refresh`, without which c would be as large as the gradients, and float32 too coarse for what z gets in the end.
    `optimizer` is None without an optax transformation.
    """

    params: Params
    tracker: Params
    correction: Params
    reference: Params
    sent_params: Message
    sent_tracker: Message
    optimizer: Any


@pytree(static=("optimizer", "batch_size", "order"))
@dataclass(frozen=True)
class GradientTracking:
    """Gradient tracking over quantized links.

    y_i(k+1) = y_i(k) + sum_j w_ij (q(y_j) - q(y_i)) - alpha z_i(k)
    z_i(k+1) = z_i(k) + sum_j w_ij (q(z_j) - q(z_i)) + grad g_i(y_i(k+1)) - grad g_i(y_i(k)),   z(0) = grad g(y(0))

    alpha = `step`, scalar or [runs]. `optimizer`, any optax transformation (its learning rate included), replaces
    -alpha z: each node of each run applies it to its own z. `batch_size`: gradients over that many samples a node,
    drawn anew each iteration; the difference is between this iteration's sampled gradient and the last one's, so that
    it telescopes (benchmarks/minibatch.py compares). order "atc" moves first, then mixes what it moved to. At all
    times sum_i z_i = sum_i grad g_i(y_i), over the samples last drawn. Sources: arXiv 2510.25176, 2406.00621;
    mini-batches: Pu and Nedic, Math. Program. 187 (2021); atc: Xu et al., CDC 2015.
    """

    step: Any = None
    optimizer: optax.GradientTransformation | None = None
    batch_size: int | None = None
    order: Literal["cta", "atc"] = "cta"

    def init(self, training: Training, params: Params, channel: Channel) -> TrackingState:
        """The tracker starts as the gradient over all samples."""
        tracker = training.gradient(params)
        zero = jax.tree.map(jnp.zeros_like, params)
        first = (zero, zero) if self.order == "atc" else (params, tracker)
        return TrackingState(
            params=params,
            tracker=tracker,
            correction=tracker,
            reference=tracker,
            sent_params=first_message(channel, first[0]),
            sent_tracker=first_message(channel, first[1]),
            optimizer=None if self.optimizer is None else _each_node(self.optimizer.init)(params),
        )

    def update(self, state: TrackingState, training: Training, now: Round, channel: Channel) -> TrackingState:
        """One iteration, in either order."""
        move = self._combine_then_adapt if self.order == "cta" else self._adapt_then_combine
        return move(state, training, now, channel)

    def refresh(self, state: TrackingState) -> TrackingState:
        """The same z and gradient with r the gradient and c = z."""
        reference = jax.tree.map(lambda r, z, c: r + (z - c), state.reference, state.tracker, state.correction)
        return replace(state, correction=state.tracker, reference=reference)

    def estimate(self, state: TrackingState) -> Params:
        """Where the nodes stand: y."""
        return state.params

    def _combine_then_adapt(
        self, state: TrackingState, training: Training, now: Round, channel: Channel
    ) -> TrackingState:
        move, optimizer = self._move(state)
        params = _sum(state.params, mix(channel, now.links, state.params, state.sent_params), move)
        correction = _sum(state.correction, mix(channel, now.links, state.tracker, state.sent_tracker))
        tracker = _sum(correction, self._change(state, training, params, now))
        sent_params = send(channel, params, state.sent_params)
        sent_tracker = send(channel, tracker, state.sent_tracker)
        return TrackingState(params, tracker, correction, state.reference, sent_params, sent_tracker, optimizer)

    def _adapt_then_combine(
        self, state: TrackingState, training: Training, now: Round, channel: Channel
    ) -> TrackingState:
        move, optimizer = self._move(state)
        moved = _sum(state.params, move)
        sent_params = send(channel, moved, state.sent_params)
        params = _sum(moved, mix(channel, now.links, moved, sent_params))
        moved = _sum(state.correction, self._change(state, training, params, now))
        sent_tracker = send(channel, moved, state.sent_tracker)
        mixed = mix(channel, now.links, moved, sent_tracker)
        tracker, correction = _sum(moved, mixed), _sum(state.correction, mixed)
        return TrackingState(params, tracker, correction, state.reference, sent_params, sent_tracker, optimizer)

    def _move(self, state: TrackingState) -> tuple[Params, Any]:
        """-alpha z, or what the optax transformation makes of z."""
        if self.optimizer is None:
            return jax.tree.map(lambda z: -along_runs(self.step, z) * z, state.tracker), None
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to whole powers, which "strict" refuses
            return _each_node(self.optimizer.update)(state.tracker, state.optimizer, state.params)

    def _change(self, state: TrackingState, training: Training, params: Params, now: Round) -> Params:
        """grad g(y) - r, over all samples or this iteration's."""
        batch = None if self.batch_size is None else training.sample(now.key, self.batch_size, now.runs)
        return jax.tree.map(jnp.subtract, training.gradient(params, batch), state.reference)


def _sum(*trees: Params) -> Params:
    return jax.tree.map(lambda first, *rest: sum(rest, start=first), *trees)


def _each_node(fn: Any) -> Any:
    """`fn` of one node's pytree, over nodes (first axis) and runs (last): clipping and norms stay within a node."""
    return jax.vmap(jax.vmap(fn, in_axes=-1, out_axes=-1))
