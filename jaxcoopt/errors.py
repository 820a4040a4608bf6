"""Checks shared by every function that a user calls: each error says what was given, what is expected, what to do."""

import importlib
import os
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import SupportsFloat, TypeVar

import jax
import jax.core
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.arrays import plain, shown

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
    close = get_close_matches(given, known, n=3) if isinstance(given, str) else []
    hint = f"did you mean {' or '.join(repr(name) for name in close)}?" if close else f"use one of {', '.join(known)}"
    return ValueError(f"{what}: {shown(given)} is not known; {hint}")


def check_name(what: str, given: object, known: list[str] | tuple[str, ...]) -> None:
    """Raise ValueError for what is not one of `known`."""
    if not isinstance(given, str) or given not in known:
        raise unknown_name(what, given, known)


def apart(*values: SupportsFloat) -> tuple[str, ...]:
    """Numbers in words, with as many digits as it takes to tell those that differ from each other: six or more."""
    numbers = [float(value) for value in values]
    digits = 6
    while digits < 17 and len({f"{number:.{digits}g}" for number in numbers}) < len(set(numbers)):
        digits += 1
    return tuple(f"{number:.{digits}g}" for number in numbers)


def traced(*trees: PyTree) -> bool:
    """True where any leaf is a JAX tracer: values cannot be looked at then, so only shapes are checked."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


class StandIn(np.ndarray):
    """A stand-in for a traced number, which has a shape but no value: 0.5, which is positive and below 1."""

    @classmethod
    def like(cls, leaf: jax.Array) -> "StandIn":
        """Of the shape of a leaf."""
        return np.full(leaf.shape, 0.5).view(cls)


def finite(
    name: str, value: object, advice: str = "clean the data or drop the entries", *, flags: bool = False
) -> np.ndarray:
    """`value` as a float64 array, or an error when an entry is NaN or infinite, saying where the first one is."""
    array = numbers(name, value, flags=flags)
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


def numbers(name: str, value: object, *, flags: bool = False) -> np.ndarray:
    """`value` as a float64 array, or an error when it does not hold real numbers; flags: True and False are numbers."""
    array = plain(name, value)
    if traced(array):
        raise TypeError(f"{name}: expected numbers that are known; inside jit, grad and vmap JAX hides them")
    if array.dtype == bool and not flags:
        raise TypeError(f"{name}: expected a real number or an array of them, got {shown(value)}; say 1 or 0")
    return np.asarray(array, np.float64)


def check_seed(name: str, value: object) -> int:
    """`value` as a Python int of 64 bits, or an error."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {shown(value)}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name}: expected a 64-bit whole number, got {shown(value)}")
    return int(value)


def generator(seed: object) -> np.random.Generator:
    """NumPy's random numbers of a seed, or an error."""
    return np.random.default_rng(check_seed("seed", seed) % 2**64)


def a_flag(name: str, value: object) -> bool:
    """`value` as True or False, or an error."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def a_path(name: str, value: object) -> Path:
    """`value` as a path, "~" at its start being the user's home folder, or an error."""
    if not isinstance(value, str | os.PathLike) or isinstance(path := os.fspath(value), bytes):
        raise TypeError(f"{name}: expected a path, a text or a pathlib.Path, got {shown(value)}")
    if not path:
        raise ValueError(f"{name}: expected a path, got {shown(value)}")
    try:
        if "\0" in path:
            raise ValueError("it has a zero byte")
        return Path(path).expanduser()
    except (ValueError, RuntimeError) as error:  # RuntimeError: there is no such user
        raise ValueError(f"{name} {path!r:.200}: it is no path ({error}); give another") from error


def one_number(name: str, value: object) -> float:
    """`value` as a finite float, or an error where it is none, or an array."""
    array = finite(name, value)
    if array.ndim:
        raise ValueError(f"{name}: expected one number, got shape {array.shape}")
    return float(array)


def refuse_unregistered(name: str, value: object) -> None:
    """Raise TypeError for an object of a class that JAX does not know: its numbers could not be seen."""
    if jax.tree_util.all_leaves([value]):
        raise TypeError(
            f"{name}: {type(value).__name__} is not registered with JAX, which cannot see its numbers; put "
            "@jaxcoopt.pytrees.pytree above its @dataclass(frozen=True)"
        )


def refuse_lists(name: str, tree: PyTree) -> None:
    """Raise TypeError for a list or tuple of numbers among a pytree's fields: JAX would take each entry by itself."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_empty):
        if _is_empty(leaf) and not any(getattr(key, "name", "") == "parameters" for key in path):
            raise TypeError(f"{name}{jax.tree_util.keystr(path)}: expected a number or an array, got {leaf!r}")
        for i, (key, below) in enumerate(pairwise(path), start=1):
            field = getattr(key, "name", "")
            if field == "parameters":  # of a custom function, which may be any pytree
                break
            if isinstance(below, jax.tree_util.SequenceKey) and field != "terms":
                where = name + jax.tree_util.keystr(path[:i])
                raise TypeError(f"{where}: got a list or tuple of numbers; give an array: np.array([...])")


def _is_empty(value: object) -> bool:
    """A list, tuple or dict without anything in it, which JAX does not see at all."""
    return isinstance(value, list | tuple | dict) and not value


def positive(name: str, value: object, *, zero: bool = False) -> np.ndarray:
    """`value` as a finite float64 array, or an error when an entry is negative (or zero, unless `zero`)."""
    array = finite(name, value)
    bad = array < 0 if zero else array <= 0
    if np.any(bad):
        raise ValueError(
            f"{name}: must be {'at least 0' if zero else 'above 0'}, got {array[bad].flat[0]:g}"
            + (f" ({int(bad.sum())} of {array.size} entries)" if array.ndim else "")
        )
    return array


def at_least_one(name: str, value: object, power: int = 31) -> int:
    """`value` as a Python int of 1 or more and below 2^power, or an error."""
    return whole_number(name, value, 1, 2**power - 1)


def whole_number(name: str, value: object, least: int = 1, most: int = 2**31 - 1, hint: str = "") -> int:
    """`value` as a Python int from `least` to `most`, or an error; hint: what to do, after what was expected."""
    expected = f"of {least} or more" if most >= 2**31 - 1 else f"from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number {expected}{hint}, got {shown(value)}")
    if value < least or (value > most and most < 2**31 - 1):
        raise ValueError(f"{name}: expected {expected.removeprefix('of ')}{hint}, got {shown(value)}")
    if value > most:
        raise ValueError(f"{name}: expected less than 2^{(most + 1).bit_length() - 1}, got {shown(value)}")
    return int(value)


def listed(name: str, value: object, kind: type[Kind]) -> list[Kind]:
    """One object or several as a list, or an error."""
    items = [value] if isinstance(value, kind) else list(value) if isinstance(value, list | tuple) else None
    wrong = value if items is None else next((item for item in items if not isinstance(item, kind)), None)
    if wrong is not None:
        raise TypeError(f"{name}: expected a jaxcoopt.{kind.__name__} or a list of them, got {type(wrong).__name__}")
    if not items:
        raise ValueError(f"{name}: expected a jaxcoopt.{kind.__name__} or a list of them, got an empty list")
    return items


def check_fits(name: str, count: int, most: int, need: float | int, free: int) -> None:
    """Raise MemoryError where `count` of something need more bytes than are free, of which `most` would fit."""
    if need > free:
        raise MemoryError(
            f"{name}: {_counted(count)} need at least {gib(need)} of memory, and {gib(free)} are free; give "
            f"{_counted(most)} at most"
        )


def gib(size: float | int) -> str:
    """Bytes as "1.5 GiB"."""
    return f"{size / 2**30:,.3g} GiB"


def _counted(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"{count:.1e}"
