"""What must hold of link failures before a network takes them, and before it runs."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.arrays import plain_tree, shown
from jaxcoopt.errors import finite, refuse_lists, refuse_unregistered, traced
from jaxcoopt.layout import axes_of_leaves, check_axes
from jaxcoopt.network.failures import FAILURES, Failures
from jaxcoopt.network.link_draw import LinkDraw
from jaxcoopt.setting import check_values

ONE_WAY = (
    "where a directed link is down the weights of that iteration are not balanced, and the optimum is missed; give "
    "undirected graphs, or links that do not fail"
)


def failure_chance(name: str, value: Any) -> np.ndarray:
    """A chance in [0, 1), scalar or [runs], or a ValueError."""
    rate = finite(name, value)
    if rate.ndim > 1 or (rate < 0).any() or (rate >= 1).any():
        raise ValueError(f"{name}: expected a chance in [0, 1), scalar or [runs], got {shown(value)}")
    return rate


def check_one(name: str, rate: Any, failures: Any) -> None:
    """Raise for two that say which links fail, and for what is no `Failures`."""
    if failures is None:
        return
    if not isinstance(failures, Failures):
        raise TypeError(f"{name}: expected {FAILURES}, got {shown(failures)}")
    refuse_unregistered(name, failures)
    if rate is not None:
        raise ValueError(
            f"{name}: got {type(failures).__name__}, and failure_rate {shown(rate)} beside it; give one of the two, as "
            "failure_rate says the same as failures.Independent"
        )


def check_failures(name: str, failures: Failures, sizes: dict[str, int]) -> Failures:
    """The same with plain arrays. Raise ValueError or TypeError, naming it, for a setting that is wrong.

    sizes: how many "edges" and "nodes" there are, and "runs" where that is known.
    """
    if traced(failures):
        return failures
    refuse_lists(name, failures)
    failures = plain_tree(failures, name)
    check_values(failures, name)
    for (path, leaf), axes in zip(jax.tree_util.tree_leaves_with_path(failures), axes_of_leaves(failures), strict=True):
        where, own = f"{name}{jax.tree_util.keystr(path)}", dict(zip(axes, np.shape(leaf), strict=False))
        check_axes(where, finite(where, leaf), axes, dict.fromkeys(axes, 1) | own | sizes)
    failures.check(name)
    return failures


def check_step(failures: Failures, state: PyTree, draw: LinkDraw) -> None:
    """Raise TypeError for failures whose `step` gives no links, or whose state changes its shape or type."""
    kind = type(failures).__name__
    up, after = jax.eval_shape(failures.step, state, draw)
    if (getattr(up, "shape", None), getattr(up, "dtype", None)) != (draw.shape, bool):
        raise TypeError(f"network.failures: {kind}.step gives {_form(up)} for the links, expected bool{[*draw.shape]}")
    if jax.tree.structure(state) != jax.tree.structure(after) or _form(state) != _form(after):
        raise TypeError(
            f"network.failures: {kind}.step remembers {_form(after)}, and {kind}.init began with {_form(state)}; keep "
            "shapes and types the same"
        )
    edges, runs = draw.shape
    for leaf in jax.tree.leaves(state):
        if leaf.ndim < 2 or leaf.shape[0] not in (1, edges) or leaf.shape[-1] != runs:
            expected = f"[edges, ..., runs], here [{edges}, ..., {runs}]"
            raise TypeError(f"network.failures: {kind}.init gives {_form(leaf)}, expected {expected}")


def _form(tree: PyTree) -> str:
    """Types and shapes."""
    leaves = jax.tree.leaves(tree)
    return ", ".join(f"{leaf.dtype.name}{[*leaf.shape]}" if hasattr(leaf, "dtype") else shown(leaf) for leaf in leaves)
