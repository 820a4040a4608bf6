"""What `print` shows of an object: its settings in one to five lines, an array as its type, shape and range."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Class = TypeVar("Class", bound=type)
WIDTH, LINES = 116, 5
DEEPEST = 4  # objects inside of objects
ENTRIES = 4  # of a dict or a tuple
LONGEST = 60  # characters of a text, or of an object that is not known here
SHORT = 3  # numbers of an array that are written out


def briefly(cls: Class) -> Class:
    """A dataclass with a short `repr`, unless it has written one of its own.

    A class that wants other words defines `_about(self)`, a list of texts, one for each line.
    """
    if _is_generated(cls.__dict__.get("__repr__")):
        cls.__repr__ = shown  # pyright: ignore[reportAttributeAccessIssue]
    return cls


def shown(value: object) -> str:
    """An object in at most five lines."""
    about = _words(value)
    return "\n".join(_cut(line, WIDTH + LONGEST) for line in about[:LINES]) if about else _filled(_parts(value, 0))


def short(value: object) -> str:
    """A value in one line, however long that is."""
    return "".join(_parts(value, 1))


def _words(value: Any) -> list[str]:
    """What an object says of itself; nothing where it cannot, as JAX may have put other things in place of arrays."""
    try:
        return value._about()
    except Exception:
        return []


def _parts(value: object, depth: int) -> Iterator[str]:
    """A value in pieces between which a line may end."""
    if is_dataclass(value) and not isinstance(value, type):
        short_or_plain = type(value).__repr__ is shown or _is_generated(type(value).__repr__)
        if depth and not short_or_plain:
            yield _cut(_one_line(repr(value)), LONGEST)
        elif depth and (about := _words(value)):
            yield about[0]
        else:
            named = [(field.name, getattr(value, field.name)) for field in fields(value) if field.repr]
            yield from _bracketed(type(value).__name__, [each for each in named if each[1] is not None], depth)
    elif isinstance(value, Mapping):
        yield from _bracketed(
            "", [(f"{_cut(_one_line(str(name)), LONGEST)}: ", each) for name, each in value.items()], depth, "{}"
        )
    elif isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        numbers = _as_numbers(value)
        brackets = "()" if isinstance(value, tuple) else "[]"
        few = [("", each) for each in value]
        yield from ([array(numbers)] if numbers is not None else _bracketed("", few, depth, brackets))
    else:
        yield _leaf(value)


def _bracketed(name: str, named: list[tuple[str, Any]], depth: int, brackets: str = "()") -> Iterator[str]:
    """Name(field=value, ...), or the first few entries of a dict or a list, which have no name."""
    if depth >= DEEPEST and named:
        yield f"{name}{brackets[0]}...{brackets[1]}"
        return
    few = named if name else named[:ENTRIES]
    yield name + brackets[0]
    for i, (label, each) in enumerate(few):
        first, *rest = _parts(each, depth + 1)
        pieces = [(f"{label}=" if name else label) + first, *rest]
        pieces[-1] += ", " if i < len(named) - 1 else ""
        yield from pieces
    yield (f"... {len(named):,} in all" if len(few) < len(named) else "") + brackets[1]


def _filled(parts: Iterator[str]) -> str:
    """The pieces in lines of `WIDTH`, later lines indented; what goes beyond five lines is left out."""
    lines, line = [], ""
    for text in parts:
        if line.strip() and len(line) + len(text.rstrip()) > WIDTH and text[:1] not in ")]}":
            lines, line = [*lines, line.rstrip()], "    "
        line += text
    lines.append(line.rstrip())
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"{lines[LINES - 1]} ..."]
    return "\n".join(_cut(each, WIDTH + LONGEST) for each in lines)


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        return repr(_cut(value, LONGEST))
    if isinstance(value, bool | int | float | complex | np.bool_ | np.number):
        return number(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return array(value)
    if hasattr(value, "__array__"):  # a table's column, or the like
        return array(np.asarray(value))
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return str(value.__name__)
    if isinstance(value, tuple):  # with names: pairs of functions, such as optax's
        return f"{type(value).__name__}(...)"
    return _cut(_one_line(repr(value)), LONGEST)


def number(value: int | float | complex | np.bool_ | np.number) -> str:
    """A number with six digits at most."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value)) if abs(int(value)) < 1e15 else f"{float(value):.6g}" if abs(value) < 1e300 else "huge"
    return f"{value:.6g}"


def array(value: Any) -> str:
    """ "float64[20, 4] 0 to 9.5"; the range is left out where the numbers are not at hand, as under jit."""
    dtype, shape = getattr(value.dtype, "name", str(value.dtype)), tuple(value.shape)
    name = f"{dtype}{list(map(int, shape))}"
    if isinstance(value, Tracer):
        return f"{name} traced"
    numbers = _at_hand(value)
    if numbers is None or numbers.dtype.kind not in "biuf" or not numbers.size:
        return name
    if not shape:
        return number(numbers.item())
    if numbers.dtype.kind == "b":
        return f"{name} {int(numbers.sum()):,} True"
    if numbers.size <= SHORT and len(shape) == 1:
        return f"{name} {', '.join(map(number, numbers))}"
    return f"{name} {_range(numbers)}"


def _range(numbers: np.ndarray) -> str:
    """Of the numbers that are finite, and how many are not."""
    finite = np.isfinite(numbers)
    bad = int(numbers.size - finite.sum())
    if bad == numbers.size:
        return "nowhere finite"
    kept = numbers if not bad else numbers[finite]
    low, high = number(kept.min()), number(kept.max())
    span = f"all {low}" if low == high else f"{low} to {high}"
    return f"{span}, {bad:,} not finite" if bad else span


def _at_hand(value: object) -> np.ndarray | None:
    """The numbers, None where there are none to be read: shapes alone, deleted arrays, those of other processes."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if not isinstance(value, jax.Array) or value.is_deleted() or not value.is_fully_addressable:
        return None
    if jnp.issubdtype(value.dtype, jax.dtypes.extended):  # random keys
        return None
    numbers = np.asarray(value)
    return numbers.astype(np.float32) if numbers.dtype.kind == "V" else numbers  # bfloat16 and other small floats


def _as_numbers(value: list | tuple) -> np.ndarray | None:
    """A longer list of numbers as an array, None where it is none."""
    if len(value) <= ENTRIES or not all(isinstance(each, int | float | np.number | list | tuple) for each in value):
        return None
    try:
        found = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.dtype.kind in "biuf" else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


@dataclass
class _Generated:
    """Has the `repr` that the dataclass decorator writes, to know it by."""


def _is_generated(method: Callable[..., Any] | None) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and code is _Generated.__repr__.__code__
