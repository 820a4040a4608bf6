"""What an iteration takes of simulated time: the package's clock, and the base of the user's own."""

import abc
from dataclasses import dataclass
from numbers import Number
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxcoopt.arrays import Tree, float_dtype, shown
from jaxcoopt.draws import Draw
from jaxcoopt.host import in_type
from jaxcoopt.layout import Axes, axes_of
from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState
from jaxcoopt.problem.align import columns
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.node_split import NodeSplit
from jaxcoopt.shown import briefly

__all__ = ["Clock", "Iteration", "Synchronous"]

CLOCKS = "one of jaxcoopt.clocks, such as Synchronous(), or an object of a class derived from jaxcoopt.clocks.Clock"


@briefly
@dataclass(frozen=True)
class Iteration:
    """What a clock sees of an iteration: what the nodes bring to it.

    number: of the iteration. work: CPU-seconds of each node, [nodes, 1 or runs]. share: the CPU share of each node,
    [nodes, runs]; None where there is no allocation. Where the nodes are spread over devices an array holds those of
    one device, so take the maximum over all of them by `slowest` and the mean by `mean`.

    method, state, drawn_by, split: for the library's own use.
    """

    number: Int[Array, ""]
    work: Float[Array, "nodes #runs"]
    share: Float[Array, "nodes runs"] | None
    method: CoOptimizer
    state: CoState
    drawn_by: Draw
    split: NodeSplit | None = None

    @property
    def times(self) -> Float[Array, "nodes #runs"]:
        """work_i / x_i of each node, in seconds; the largest float where x_i <= 0; x = 1 without allocation."""
        work, x = self.work, self.share
        forever = jnp.finfo(work.dtype).max
        if x is None:
            return work
        endless = jnp.where(work > 0, forever, 0)
        return jnp.where(x > 0, work / jnp.where(x > 0, x, 1), endless)

    @property
    def bits(self) -> Float[Array, "#runs"] | Float[Array, ""]:
        """Bits that a node sends over each of its links in an iteration, a number or [runs]."""
        return jnp.asarray(self.method.bits(self.state), self.work.dtype)

    def slowest(self, times: Float[Array, "nodes #runs"]) -> Float[Array, "#runs"]:
        """The largest number of all nodes; of numbers that are at least 0."""
        most = jnp.max(self._without_padding(times), axis=0)
        return most if self.split is None else self.split.slowest(most)

    def mean(self, times: Float[Array, "nodes #runs"]) -> Float[Array, "#runs"]:
        """The mean over all nodes."""
        total = jnp.sum(self._without_padding(times), axis=0)
        if self.split is None:
            return total / times.shape[0]
        return self.split.total(total) / self.split.nodes

    def uniform(self, *shape: int) -> Float[Array, "nodes *shape runs"]:
        """Random numbers in [0, 1), others in each iteration, run and node."""
        return self.drawn_by.named("clock").uniform(self.work.shape[0], *shape)

    def _without_padding(self, times: Array) -> Array:
        """0 where there is no node."""
        if self.split is None or self.drawn_by.nodes is None:
            return times
        real: Bool[Array, "nodes 1"] = self.drawn_by.nodes[:, None] < self.split.nodes
        return jnp.where(real, times, 0)


class Clock(abc.ABC):
    """How many seconds of simulated time an iteration takes.

    A clock of one's own is a subclass with `seconds`. In every iteration all nodes take part: the clock counts what
    that takes and changes nothing else of a run.
    """

    @abc.abstractmethod
    def seconds(self, now: Iteration) -> Any:
        """What this iteration takes in each run, [runs], or one number for all. At least 0; what is not finite counts
        as without end.
        """


@pytree
@dataclass(frozen=True)
class Synchronous(Clock):
    """All nodes wait for the slowest: max_i work_i / x_i seconds; without end where a share is not above 0."""

    def seconds(self, now: Iteration) -> Float[Array, "#runs"]:
        """max_i work_i / x_i."""
        return now.slowest(now.times)


SYNCHRONOUS = Synchronous()


def duration_of(clock: Clock, now: Iteration, runs: int, dtype: DTypeLike) -> Float[Array, "#runs"]:
    """`clock.seconds`, looked at. Raises TypeError or ValueError for what are no seconds."""
    kind, value = type(clock).__name__, clock.seconds(now)
    if not isinstance(value, jax.Array | np.ndarray | Number):
        raise TypeError(f"clock: {kind}.seconds gives {shown(value)}, expected an array [runs] = ({runs},)")
    array = jnp.asarray(value)
    if array.shape not in ((), (1,), (runs,)):
        raise ValueError(
            f"clock: {kind}.seconds gives shape {array.shape}, expected [runs] = ({runs},); take `now.slowest` or "
            "`now.mean` over the nodes"
        )
    if not jnp.issubdtype(array.dtype, jnp.floating) and not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"clock: {kind}.seconds gives {array.dtype}, expected real numbers")
    return array.astype(dtype)


def laid_out_clock(clock: Tree) -> Tree:
    """Numbers as arrays of the float type, those of the nodes as columns."""

    def laid(leaf: ArrayLike, axes: Axes) -> Any:
        return columns(leaf) if axes[:1] == ("nodes",) and "..." not in axes else in_type(leaf, float_dtype())

    return jax.tree.map(laid, clock, axes_of(clock))
