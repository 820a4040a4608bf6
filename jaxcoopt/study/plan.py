"""Which axes ride the runs axis, all their values in one program, and which make groups of their own."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from jaxcoopt.layout import axes_of_leaves
from jaxcoopt.run.names import Place, Trio, assigned
from jaxcoopt.shown import briefly
from jaxcoopt.study.axes import Axis, point_at, refuse_twice

PER_RUN, PER_NODE = ("runs",), ("nodes", "runs")  # the axes of what rides: numbers, or one for each node


@briefly
@dataclass(frozen=True)
class Plan:
    """A sweep's axes around what it starts from. laid: for an axis that rides, the values at each of its places, leaves
    [entries] or [nodes or 1, entries]; None for an axis whose entries make groups.
    """

    trio: Trio
    axes: tuple[Axis, ...]
    laid: tuple[tuple[Any, ...] | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Entries of each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def rides(self) -> tuple[bool, ...]:
        """Of each axis, whether it does."""
        return tuple(laid is not None for laid in self.laid)

    def group(self, index: Sequence[int]) -> Trio:
        """With the axes that make groups at an index, and what rides at its first entry."""
        fixed = [0 if rides else int(i) for i, rides in zip(index, self.rides, strict=True)]
        return point_at(self.axes, fixed, self.trio)

    def groups(self) -> Iterator[Trio]:
        """All of them, as `group`."""
        fixed = [range(1) if rides else range(size) for size, rides in zip(self.shape, self.rides, strict=True)]
        yield from map(self.group, itertools.product(*fixed))

    def columns(self, indices: Int[np.ndarray, "axes runs"]) -> Trio:
        """Of one group, a run for each column of indices."""
        trio = self.group(indices[:, 0].tolist())
        for axis, laid, index in zip(self.axes, self.laid, indices, strict=True):
            for place, values in zip(axis.places, laid or (), strict=laid is not None):
                trio = assigned(trio, place, jax.tree.map(lambda leaf, index=index: leaf[..., index], values))
        return trio

    def touching(self, place: str) -> list[int]:
        """The axes that set something at or inside a place, or an object that holds it."""
        return [
            number
            for number, axis in enumerate(self.axes)
            if any(_inside(str(each), place) or _inside(place, str(each)) for each in axis.places)
        ]


def plan(trio: Trio, axes: tuple[Axis, ...]) -> Plan:
    """Lays every axis along the runs that can be."""
    refuse_twice(axes)
    first = point_at(axes, [0] * len(axes), trio)
    return Plan(trio, axes, tuple(_laid(axis, axes, first) for axis in axes))


def _laid(axis: Axis, axes: tuple[Axis, ...], first: Trio) -> tuple[Any, ...] | None:
    """The axis along the runs, None where one of its settings changes shapes or code, or another axis lies inside."""
    if not all(_is_leaf(place, first) for place in axis.places):
        return None
    others = [str(place) for other in axes if other is not axis for place in other.places]
    if any(_inside(other, str(place)) for other in others for place in axis.places):
        return None
    laid = [
        _stacked(assigned(first, place, values[0]), place, values)
        for place, values in zip(axis.places, zip(*axis.entries, strict=True), strict=True)
    ]
    return None if any(each is None for each in laid) else tuple(laid)


def _stacked(trio: Trio, place: Place, entries: Sequence[Any]) -> Any:
    """Values of one structure as one, the entries last; None where they cannot be. trio: with the first of them."""
    first, *rest = (jax.tree.structure(entry) for entry in entries)
    if any(other != first for other in rest) or not first.num_leaves:
        return None
    paths, declared = _paths(entries[0]), dict(zip(_paths(trio), axes_of_leaves(trio), strict=True))
    stacked = []
    for path, leaves in zip(paths, zip(*map(jax.tree.leaves, entries), strict=True), strict=True):
        name = f"{place}.{path}".rstrip(".")
        if any(
            isinstance(leaf, str | bool) or (not hasattr(leaf, "__array__") and not _number(leaf)) for leaf in leaves
        ):
            return None
        shapes, axes = {np.shape(leaf) for leaf in leaves}, declared.get(name)
        if axes == PER_RUN:
            column = None if shapes != {()} else np.array(leaves, np.float64)
        elif axes == PER_NODE:
            column = None if max(map(len, shapes)) > 1 else _per_node(leaves)
        else:
            column = None
        if column is None:
            return None
        stacked.append(column)
    return jax.tree.unflatten(first, stacked)


def _per_node(leaves: Sequence[Any]) -> np.ndarray | None:
    try:
        columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(leaf, np.float64)) for leaf in leaves))
    except ValueError:
        return None
    return np.stack(columns, axis=-1)


def _number(leaf: object) -> bool:
    """Or an array of them."""
    return not isinstance(leaf, str | bool) and (isinstance(leaf, int | float) or hasattr(leaf, "__array__"))


def _is_leaf(place: Place, trio: Trio) -> bool:
    """Whether JAX sees what stands there: what is compiled in has no place among the leaves."""
    return any(_inside(path, str(place)) for path in _paths(trio))


def _paths(value: PyTree) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(value)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]


def _inside(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")
