"""What must hold of an object, the package's or the user's own, that says how a run goes: a clock, for one."""

from collections.abc import Mapping

import jax
import numpy as np

from jaxcoopt.arrays import Tree, plain_tree
from jaxcoopt.errors import finite, refuse_lists, refuse_unregistered, shown, traced
from jaxcoopt.layout import axes_of_leaves, check_axes
from jaxcoopt.setting import check_values


def received_part(name: str, part: Tree, kind: type, example: str) -> Tree:
    """The same with plain arrays. Raises TypeError for what is none of that kind, or not known to JAX."""
    check_kind(name, part, kind, example)
    refuse_lists(name, part)
    return plain_tree(part, name)


def check_kind(name: str, part: object, kind: type, example: str) -> None:
    """Raise TypeError for what is none of that kind, or not known to JAX."""
    if not isinstance(part, kind):
        raise TypeError(f"{name}: expected {example}, got {shown(part)}")
    refuse_unregistered(name, part)


def check_part(name: str, part: object, sizes: Mapping[str, int]) -> None:
    """Raise ValueError or TypeError, naming it, for a setting that is wrong; sizes: how many "nodes" and "runs"."""
    if traced(part):
        return
    check_values(part, name)
    for (path, leaf), axes in zip(jax.tree_util.tree_leaves_with_path(part), axes_of_leaves(part), strict=True):
        where = f"{name}{jax.tree_util.keystr(path)}"
        own = dict(zip(axes, np.shape(leaf), strict=False))
        check_axes(where, finite(where, leaf), axes, dict.fromkeys(axes, 1) | own | dict(sizes))
