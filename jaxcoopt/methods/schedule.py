"""Settings that change as a run goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.arrays import Tree, plain, shown
from jaxcoopt.errors import finite, traced
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import setting

LAST = 2**31 - 1  # iterations are counted in 32 bits


@pytree
@dataclass(frozen=True)
class Schedule:
    """values[0] before iteration until[0], values[1] before until[1], ..., and the last value from then on.

    For any number of a half of a method: LaplacianFlow(step=Schedule([0.9, 0.4], until=[50])). values: [phases] or
    [phases, runs], in the setting's unit; until: iterations, increasing, one less than there are values.
    """

    values: Any = setting(axes=("phases", "runs"))
    until: Sequence[Any] = setting(compiled=True)

    def __post_init__(self) -> None:
        if isinstance(self.values, list | tuple):
            values = jnp.stack(self.values) if traced(self.values) else plain("Schedule.values", self.values)
            object.__setattr__(self, "values", values)
        if not np.iterable(self.until):
            raise TypeError(
                f"Schedule.until: expected iterations, one less than there are values, got {shown(self.until)}"
            )
        try:
            object.__setattr__(self, "until", tuple(self.until))
        except TypeError as error:  # what can be iterated over in principle, such as a sparse matrix
            raise TypeError(f"Schedule.until: expected iterations, got {shown(self.until)}") from error

    def at(self, iteration: ArrayLike) -> jax.Array:
        """The value in an iteration, scalar or [runs]."""
        iteration = jnp.asarray(iteration)
        return jnp.asarray(self.values)[jnp.sum(iteration >= jnp.asarray(self.until, iteration.dtype))]

    def check(self, name: str) -> None:
        """Raise ValueError or TypeError for values and iterations that do not fit."""
        ends = (0, *self.until)
        whole = all(isinstance(end, int | np.integer) and not isinstance(end, bool) for end in ends)
        if not whole or not all(before < after <= LAST for before, after in pairwise(ends)):
            raise ValueError(
                f"{name}.until: expected increasing whole numbers above 0 and below 2^31, got {shown(list(self.until))}"
            )
        shape = np.shape(finite(f"{name}.values", self.values))
        if len(shape) > 2:
            raise ValueError(f"{name}.values: expected [phases] or [phases, runs], got shape {shape}")
        count = shape[:1]
        if count != (len(ends),):
            told = f"{count[0]} of them" if count else shown(self.values)
            raise ValueError(f"{name}.values: expected {len(ends)}, one more than until has, got {told}")


def at_iteration(method: Tree, iteration: ArrayLike) -> Tree:
    """The method with every setting as it is in an iteration."""
    return jax.tree.map(lambda leaf: leaf.at(iteration) if is_schedule(leaf) else leaf, method, is_leaf=is_schedule)


def in_each_phase(method: Tree) -> list[Tree]:
    """The method as it is at its start and from each change on. Raises ValueError for phases that mean nothing."""
    starts = {0}
    for path, leaf in jax.tree_util.tree_leaves_with_path(method, is_leaf=is_schedule):
        if is_schedule(leaf):
            name = f"method{jax.tree_util.keystr(path)}"
            if name.startswith(("method.channel", "method.allocation_channel")):
                raise ValueError(f"{name}: settings of a channel are the same all the way; give one number, or [runs]")
            leaf.check(name)
            starts.update(leaf.until)
    return [at_iteration(method, np.asarray(start)) for start in sorted(starts)]


def is_schedule(leaf: object) -> bool:
    """For `is_leaf`."""
    return isinstance(leaf, Schedule)
