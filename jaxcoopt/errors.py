"""Checks shared by every function that a user calls: each error says what was given, what is expected, what to do."""

import importlib
from difflib import get_close_matches
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

Kind = TypeVar("Kind")


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package, or raise ImportError naming the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"the package '{module.partition('.')[0]}' is needed here and is not installed; "
            f"install it with: pip install 'jaxcoopt[{extra}]'"
        ) from error


def unknown_name(what: str, given: object, known: list[str] | tuple[str, ...]) -> ValueError:
    """The error for a name that is not one of `known`, with the nearest right ones first."""
    close = get_close_matches(str(given), known, n=3)
    hint = f"did you mean {' or '.join(repr(name) for name in close)}?" if close else f"use one of {', '.join(known)}"
    return ValueError(f"{what}: {given!r} is not known; {hint}")


def apart(*values: Any) -> tuple[str, ...]:
    """Numbers in words, with as many digits as it takes to tell those that differ from each other: six or more."""
    numbers = [float(value) for value in values]
    digits = 6
    while digits < 17 and len({f"{number:.{digits}g}" for number in numbers}) < len(set(numbers)):
        digits += 1
    return tuple(f"{number:.{digits}g}" for number in numbers)


def traced(*trees: Any) -> bool:
    """True where any leaf is a JAX tracer: values cannot be looked at then, so only shapes are checked."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


class StandIn(np.ndarray):
    """A stand-in for a traced number, which has a shape but no value: 0.5, which is positive and below 1."""

    @classmethod
    def like(cls, leaf: Any) -> "StandIn":
        """Of the shape of a leaf."""
        return np.full(leaf.shape, 0.5).view(cls)


def inside_jit() -> bool:
    """True inside someone else's jit, where even what is computed from known numbers is traced."""
    return isinstance(jnp.zeros(()), jax.core.Tracer)


def finite(name: str, value: Any, advice: str = "clean the data or drop the entries") -> np.ndarray:
    """`value` as a float64 array, or an error when an entry is NaN or infinite, saying where the first one is."""
    array = numbers(name, value)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad) and not array.ndim:
        raise ValueError(f"{name}: must be a finite number, got {array}")
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} entries are not finite, the first is {array[where]} at index {where}; "
            f"every number must be finite: {advice}"
        )
    return array


def numbers(name: str, value: Any) -> np.ndarray:
    """`value` as a float64 array, or a TypeError when it does not hold real numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        advice = "pad them to one shape (training samples: and mark the padding in mask)"
        raise TypeError(f"{name}: its parts differ in shape; {advice}") from error
    except TypeError as error:
        raise TypeError(f"{name}: expected a number or an array of numbers, got {value!r:.80}") from error
    if array.dtype.kind not in "biufV":  # V: bfloat16 and other small floats
        given = " ".join(repr(value).split())[:80]
        raise TypeError(f"{name}: expected a real number or an array of them, got {given}; convert it first")
    return array.astype(np.float64)


def refuse_lists(name: str, tree: Any) -> None:
    """Raise TypeError for a list or tuple of numbers among a pytree's fields: JAX would take each entry by itself."""
    for path, _ in jax.tree_util.tree_leaves_with_path(tree):
        for i, (key, below) in enumerate(pairwise(path), start=1):
            field = getattr(key, "name", "")
            if field == "parameters":  # of a custom function, which may be any pytree
                break
            if isinstance(below, jax.tree_util.SequenceKey) and field != "terms":
                where = name + jax.tree_util.keystr(path[:i])
                raise TypeError(f"{where}: got a list or tuple of numbers; give an array: np.array([...])")


def positive(name: str, value: Any, *, zero: bool = False) -> np.ndarray:
    """`value` as a finite float64 array, or an error when an entry is negative (or zero, unless `zero`)."""
    array = finite(name, value)
    bad = array < 0 if zero else array <= 0
    if np.any(bad):
        raise ValueError(
            f"{name}: must be {'at least 0' if zero else 'above 0'}, got {array[bad].flat[0]:g}"
            + (f" ({int(bad.sum())} of {array.size} entries)" if array.ndim else "")
        )
    return array


def at_least_one(name: str, value: Any) -> int:
    """`value` as a Python int of 1 or more, or an error."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number of 1 or more, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}")
    return int(value)


def listed(name: str, value: Any, kind: type[Kind]) -> list[Kind]:
    """One object or several as a list, or an error."""
    items = [value] if isinstance(value, kind) else list(value) if isinstance(value, list | tuple) else None
    wrong = value if items is None else next((item for item in items if not isinstance(item, kind)), None)
    if wrong is not None:
        raise TypeError(f"{name}: expected a jaxcoopt.{kind.__name__} or a list of them, got {type(wrong).__name__}")
    if not items:
        raise ValueError(f"{name}: expected a jaxcoopt.{kind.__name__} or a list of them, got an empty list")
    return items


def below_one(name: str, value: Any) -> np.ndarray:
    """`value` as a float64 array, or an error when an entry is negative, 1 or more."""
    array = positive(name, value, zero=True)
    if np.any(array >= 1):
        raise ValueError(f"{name}: must be below 1, got {array.max():g}")
    return array


def above_one(name: str, value: Any) -> np.ndarray:
    """`value` as a finite float64 array, or an error when an entry is 1 or less."""
    array = finite(name, value)
    if np.any(array <= 1) and not isinstance(value, StandIn):
        raise ValueError(f"{name}: must be above 1, got {array.min():g}")
    return array
