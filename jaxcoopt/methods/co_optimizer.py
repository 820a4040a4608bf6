"""The two halves on one network, one clock and one kind of link."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Array, Bool, Float

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.quantizers import Ideal
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.method import AllocationMethod, Most, TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Problem, Training
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import setting


@pytree
@dataclass(frozen=True)
class Estimate:
    """Where the nodes stand: allocation [nodes, runs], params' leaves [nodes, *shape, runs]; None without the half."""

    allocation: Float[Array, "nodes runs"] | None
    params: Params | None


@pytree
@dataclass(frozen=True)
class CoState:
    """The states of the halves; None without the half."""

    allocation: Any
    training: Any


@pytree
@dataclass(frozen=True)
class CoOptimizer:
    """Both halves move in every iteration, over the same links of the same graph. Either may be left out.

    Both send through `channel`, unless the allocation has a channel of its own.
    """

    allocation: AllocationMethod | None = setting(
        None, part=AllocationMethod, example="one of jaxcoopt.methods, such as LaplacianFlow", doc="Of the CPU shares."
    )
    training: TrainingMethod | None = setting(
        None,
        part=TrainingMethod,
        example="one of jaxcoopt.methods, such as GradientTracking",
        doc="Of the model parameters.",
    )
    channel: Channel = setting(
        Ideal(), part=Channel, example="one of jaxcoopt.channels, such as Ideal()", doc="What links carry."
    )
    allocation_channel: Channel | None = setting(
        None,
        part=Channel,
        example="one of jaxcoopt.channels, such as Ideal()",
        doc="What links carry of the allocation; left out: as `channel` says.",
    )

    def channel_of(self, half: str) -> Channel:
        """What links carry of "allocation" or "training"."""
        own = self.allocation_channel if half == "allocation" else None
        return self.channel if own is None else own

    def channels(self) -> list[Channel]:
        """The one of both halves, or that of the training and that of the allocation."""
        return [self.channel] if self.allocation_channel is None else [self.channel, self.allocation_channel]

    def init(self, problem: Problem, x: Pair | None, params: Params | None, now: Round) -> CoState:
        """Both halves at their start: the allocation x [nodes, runs] and the parameters [nodes, *shape, runs].

        now: the links of the first iteration, and what the start draws from.
        """
        allocation = training = None

        if self.allocation is not None and problem.allocation is not None and x is not None:
            allocation = self.allocation.init(problem.allocation, x, self._half(now, "allocation"))
        if self.training is not None and problem.training is not None:
            training = self.training.init(params, self._half(now, "training", problem.training))
        return CoState(allocation, training)

    def update(self, state: CoState, problem: Problem, now: Round) -> CoState:
        """One iteration of both halves."""
        allocation, training = state.allocation, state.training
        if self.allocation is not None and problem.allocation is not None and allocation is not None:
            allocation = self.allocation.update(allocation, problem.allocation, self._half(now, "allocation"))
        if self.training is not None and problem.training is not None and training is not None:
            training = self.training.update(
                training, self._half(now, "training", problem.training, self.training.batch_size)
            )
        return CoState(allocation, training)

    def refresh(self, state: CoState) -> CoState:
        """The same state, made ready for many more iterations in finite precision: called once a record."""
        if self.training is None or state.training is None:
            return state
        return replace(state, training=self.training.refresh(state.training))

    def outgrown(self, state: CoState) -> Bool[Array, ""] | None:
        """Whether `fitted` is due before the next iteration; None: never."""
        if self.allocation is None or state.allocation is None:
            return None
        return self.allocation.outgrown(state.allocation)

    def fitted(self, state: CoState, most: Most) -> CoState:
        """The same state with an allocation that is ready for more iterations."""
        if self.allocation is None or state.allocation is None:
            return state
        return replace(state, allocation=self.allocation.refresh(state.allocation, most))

    def estimate(self, state: CoState) -> Estimate:
        """Where the nodes stand."""
        return Estimate(
            None if self.allocation is None or state.allocation is None else self.allocation.estimate(state.allocation),
            None if self.training is None or state.training is None else self.training.estimate(state.training),
        )

    def _half(self, now: Round, name: str, training: Training | None = None, batch_size: int | None = None) -> Round:
        draw, channel = now.draw.named(name), self.channel_of(name)
        return replace(now, draw=draw, channel=channel, training=training, batch_size=batch_size)

    def bits(self, state: CoState) -> Any:
        """Bits that a node sends over each of its links in an iteration, scalar or [runs]."""
        bits = 0
        if self.allocation is not None and state.allocation is not None:
            bits = bits + self.allocation.bits(state.allocation, self.channel_of("allocation"))
        if self.training is not None and state.training is not None:
            bits = bits + self.training.bits(state.training, self.channel_of("training"))
        return bits
