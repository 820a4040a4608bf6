"""Axes by name: nodes first, runs last. Where an object's fields say what axes their arrays have, nobody guesses.

A setting declares its axes (`jaxcoopt.setting`), any other field by its jaxtyping annotation; what is annotated by
neither is laid out as the field that holds it, and a method's state as [nodes, ..., runs].
"""

import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import PyTree

from jaxcoopt.setting import settings_of

WHOLE: Any = PartitionSpec()
ANY = "..."
# What is counted along the nodes: where the nodes are cut into blocks, so is each of these.
ALONG_NODES = ("nodes", "edges", "entries", "rows", "reached")


class Axes(tuple[str, ...]):
    """The names of an array's axes, `ANY` standing for those between. A leaf, as JAX sees it."""

    def where(self, names: tuple[str, ...], ndim: int) -> int | None:
        """The number of the axis that has one of these names, None where the array has none."""
        if ANY not in self:  # the last axes may be missing
            return next((i for i, name in enumerate(self[:ndim]) if name in names), None)
        before, after = self[: self.index(ANY)], self[self.index(ANY) + 1 :]
        at = {name: ndim - len(after) + i for i, name in enumerate(after)}
        if ndim >= len(before) + len(after):  # else it is [runs] beside [nodes, ..., runs]
            at |= {name: i for i, name in enumerate(before)}
        return next((at[name] for name in names if at.get(name, -1) >= 0), None)


STATE = Axes(("nodes", ANY, "runs"))


def axes_of(tree: PyTree) -> PyTree:
    """The same pytree with the `Axes` of each array in its place."""
    return jax.tree.unflatten(jax.tree.structure(tree), axes_of_leaves(tree))


def axes_of_leaves(tree: PyTree) -> list[Axes]:
    """The axes of each array of a pytree, in the order of jax.tree.leaves."""
    return list(_axes(tree, STATE))


def along(leaf: ArrayLike, axes: Axes, names: tuple[str, ...]) -> int | None:
    """The number of the axis of that name, None where there is none or the array is broadcast along it."""
    at = axes.where(names, np.ndim(leaf))
    return None if at is None or np.shape(leaf)[at] == 1 else at


def changed_along(tree: PyTree, names: tuple[str, ...], change: Callable[[ArrayLike, int], ArrayLike]) -> PyTree:
    """The same pytree with change(leaf, number of the axis) in place of each array that has an axis of that name."""
    leaves, form = jax.tree.flatten(tree)
    at = [along(leaf, axes, names) for leaf, axes in zip(leaves, axes_of_leaves(tree), strict=True)]
    return form.unflatten([leaf if axis is None else change(leaf, axis) for leaf, axis in zip(leaves, at, strict=True)])


def specs(tree: PyTree, names: tuple[str, ...], mesh_axis: str) -> PyTree:
    """How each array is cut along the axis of that name over the devices of `mesh_axis`."""

    def spec(leaf: ArrayLike, axes: Axes) -> PartitionSpec:
        at = along(leaf, axes, names)
        return WHOLE if at is None else PartitionSpec(*[None] * at, mesh_axis)

    return jax.tree.map(spec, tree, axes_of(tree))


def check_axes(name: str, value: ArrayLike, axes: tuple[str, ...], sizes: Mapping[str, int]) -> None:
    """Raise ValueError for an array that has not these axes, of which the last may be missing.

    A length of 1 is broadcast where an array has several axes.
    """
    shape, wanted = np.shape(value), tuple(sizes[axis] for axis in axes)
    forms = [f"[{', '.join(axes[: i + 1])}] = {wanted[: i + 1]}" for i in range(len(axes))]
    expected = f"expected {', '.join(['a scalar', *forms[:-1]])} or {forms[-1]}"
    if len(shape) > len(axes):
        raise ValueError(f"{name}: {expected}, got shape {shape}")
    for axis, have, want in zip(axes, shape, wanted, strict=False):
        if have != want and (have != 1 or len(axes) == 1):
            if len(axes) == 1:
                raise ValueError(f"{name}: {expected}, got shape {shape}")
            asked = "the network has" if axis in ALONG_NODES else "solve was asked for"
            raise ValueError(f"{name}: it has {have} {axis}, {asked} {want}; {expected}, got shape {shape}")


def _axes(tree: PyTree, outer: Axes) -> Iterator[Axes]:
    children = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: node is not tree)
    if len(children) == 1 and not children[0][0]:
        yield outer
        return
    declared = _declared(type(tree))
    for path, child in children:
        yield from _axes(child, declared.get(getattr(path[0], "name", ""), outer))


@cache
def _declared(kind: type) -> dict[str, Axes]:
    """The axes that a class declares, by field."""
    found = {name: Axes(each.axes) for name, each in settings_of(kind).items()}
    try:
        hints = typing.get_type_hints(kind)
    except (NameError, TypeError):  # of a class of the user's
        return found
    for name, hint in hints.items():
        axes = _annotated(hint)
        if axes is not None:
            found.setdefault(name, axes)
    return found


def _annotated(hint: object) -> Axes | None:
    """The axes that a jaxtyping annotation names, None where it leaves them open."""
    text = getattr(hint, "dim_str", None)
    if text is None:
        return next((axes for each in typing.get_args(hint) if (axes := _annotated(each)) is not None), None)
    names = [ANY if name.startswith("*") else name.lstrip("#") for name in text.split()]
    return None if names == [ANY] else Axes(names)
