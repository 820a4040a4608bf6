"""What a method is: pure functions over a state of its own, and what it promises."""

import abc
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from jaxtyping import Array, Bool, Float, PyTree

from jaxcoopt.channel.channel import Bits, Channel
from jaxcoopt.channel.wire import wires_of
from jaxcoopt.compensated import Pair
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Training
from jaxcoopt.setting import setting

Most = Callable[[Array], Array]
FlatCosts = Literal["fine", "slow", "refused"]


class AllocationMethod(abc.ABC):
    """Moves the CPU shares x [nodes, runs]. A method is a frozen dataclass; its numbers are scalars or [runs]."""

    keeps_sum: ClassVar[bool] = True  # sum_i x_i = b at every iteration, or only in the limit
    keeps_box: ClassVar[bool] = False  # lo_i <= x_i <= hi_i at every iteration
    flat_costs: ClassVar[FlatCosts] = "fine"  # where f_i'' is 0: `solve` warns, or refuses

    @abc.abstractmethod
    def init(self, allocation: Allocation, x: Pair, now: Round) -> PyTree:
        """The state at the start x, its wires opened; now: the links of the first iteration."""

    @abc.abstractmethod
    def update(self, state: PyTree, allocation: Allocation, now: Round) -> PyTree:
        """One iteration."""

    @abc.abstractmethod
    def estimate(self, state: PyTree) -> Float[Array, "nodes runs"]:
        """Where the nodes stand: x."""

    def bits(self, state: PyTree, channel: Channel) -> Bits:
        """Bits that a node sends over each of its links in an iteration, scalar or [runs]: those of its wires."""
        return sum(wire.bits(channel) for wire in wires_of(state))

    def outgrown(self, state: PyTree) -> Bool[Array, ""] | None:
        """Whether `refresh` is due before the next iteration, in any run; None: never. By a run's own numbers alone."""
        return None

    def refresh(self, state: PyTree, most: Most) -> PyTree:
        """The same state, made ready for more iterations in finite precision, in the runs for which that is due.

        most: max_i |u_i| over all nodes, [nodes, runs] to [1, runs].
        """
        return state

    def no_directed_links(self, channel: Channel) -> str | None:
        """Why it cannot run over directed links with balanced weights; None: it can."""
        return f"{type(self).__name__} needs links that go both ways"

    def check(self, allocation: Allocation, channel: Channel) -> None:
        """Raise ValueError or TypeError, naming the argument, for what the method cannot do."""
        return


@dataclass(frozen=True)
class TrainingMethod(abc.ABC):
    """Moves the parameters y, leaves [nodes, *shape, runs]. A method is a frozen dataclass, as above.

    batch_size: gradients are taken over so many samples of a node, drawn anew in each iteration; those at the start
    over all.
    """

    _: KW_ONLY
    batch_size: int | None = setting(None, whole=True, doc="Samples of a node's mini-batch; left out: all.")

    @abc.abstractmethod
    def init(self, params: Params, now: Round) -> PyTree:
        """The state at the start, its wires opened; now: the links of the first iteration."""

    @abc.abstractmethod
    def update(self, state: PyTree, now: Round) -> PyTree:
        """One iteration; `now.gradient(y)` is the gradient of the nodes' losses."""

    @abc.abstractmethod
    def estimate(self, state: PyTree) -> Params:
        """Where the nodes stand: y."""

    def bits(self, state: PyTree, channel: Channel) -> Bits:
        """Bits that a node sends over each of its links in an iteration, scalar or [runs]: those of its wires."""
        return sum(wire.bits(channel) for wire in wires_of(state))

    def refresh(self, state: PyTree) -> PyTree:
        """The same state, made ready for many more iterations in finite precision: called once a record."""
        return state

    def no_directed_links(self, channel: Channel) -> str | None:
        """Why it cannot run over directed links with balanced weights; None: it can."""
        return f"{type(self).__name__} needs links that go both ways"

    def check(self, training: Training, channel: Channel) -> None:
        """Raise ValueError or TypeError, naming the argument, for what the method cannot do."""
        return


Method = AllocationMethod | TrainingMethod
