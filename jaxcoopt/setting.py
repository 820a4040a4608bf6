"""Settings: each is declared once, at its field, and read from there by whoever checks, sweeps, tunes or explains.

```python
@jc.pytree
@dataclass(frozen=True)
class Tempered(jc.methods.TrainingMethod):
    step: Scalar = jc.setting(above=0, doc="How far a node moves.")
    order: str = jc.setting("cta", choices=("cta", "atc"), doc="What comes first.")
```
"""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np

from jaxcoopt.arrays import shown
from jaxcoopt.errors import StandIn, a_flag, check_name, numbers, refuse_unregistered, whole_number
from jaxcoopt.shown import briefly

KEY = "jaxcoopt.setting"
# A number, [runs] of them, or a schedule of either; and whatever JAX puts there while it maps over an object.
Scalar: typing.TypeAlias = Any
Number: typing.TypeAlias = float | int
Interval = tuple[Number, Number]


@briefly
@dataclass(frozen=True)
class Setting:
    """What a field may hold, and what it is for.

    doc: one line. It is a real number, unless it is said to be `whole`, one of `choices`, True or False (`flag`), a
    tuple of `sizes`, an object of the class `part` (example: one, in words), or a `function`, called as that text says.
    above, least, below, most: the range of a number; hint: what to do beyond it. axes: those of an array; the last
    ones may be missing. optional: None is allowed. compiled: part of the program, so that its values cannot share one.
    auto: "auto" is allowed. tuned: what a descent keeps to, None where there is nothing to tune.
    """

    doc: str = ""
    above: Number | None = None
    least: Number | None = None
    below: Number | None = None
    most: Number | None = None
    hint: str = ""
    whole: bool = False
    flag: bool = False
    choices: tuple[str, ...] = ()
    part: type | None = None
    example: str = ""
    function: str = ""
    sizes: bool = False
    axes: tuple[str, ...] = ("runs",)
    optional: bool = False
    compiled: bool = False
    auto: bool = False
    tuned: Interval | None = (-np.inf, np.inf)

    @property
    def is_number(self) -> bool:
        """Whether it is a real number, not a whole one."""
        return not (self.whole or self.flag or self.sizes or self.choices or self.part or self.function)

    @property
    def is_bounded(self) -> bool:
        """Whether it has a largest value."""
        return self.below is not None or self.most is not None

    @property
    def interval(self) -> Interval | None:
        """The open interval that descent keeps to, None where there is nothing to tune."""
        if self.tuned is None or not self.is_number or self.compiled:
            return None
        low, high = self.tuned
        lows = [limit for limit in (low, self.above, self.least) if limit is not None]
        highs = [limit for limit in (high, self.below, self.most) if limit is not None]
        return max(lows), min(highs)


def setting(default: object = MISSING, **about: Any) -> Any:
    """A dataclass field with its `Setting`; the keywords are those of `Setting`.

    A setting whose default is None may be None; what is no real number, and no object, is compiled in.
    """
    described = Setting(**{"optional": default is None, **about})
    if not described.is_number and not described.part:
        described = Setting(**{**vars(described), "compiled": True})
    return field(default=default, metadata={KEY: described})


@cache
def settings_of(kind: type) -> Mapping[str, Setting]:
    """The settings of a class by name, as far as they are declared."""
    if not is_dataclass(kind):
        return {}
    return types.MappingProxyType({each.name: each.metadata[KEY] for each in fields(kind) if KEY in each.metadata})


def settings_in(owner: object) -> Iterator[tuple[str, Setting, Any]]:
    """(name, setting, value) of each that an object declares."""
    for name, each in settings_of(type(owner)).items():
        yield name, each, getattr(owner, name)


def check_parts(owner: object, name: str) -> None:
    """Raise TypeError for an object in `owner`, and in what it holds, that is of another kind than declared."""
    for field_name, each, value in settings_in(owner):
        where = f"{name}.{field_name}".lstrip(".")
        if each.function and not callable(value):
            raise TypeError(
                f"{where}: expected a function {each.function}, got {shown(value)}, which is of type "
                f"{type(value).__name__}"
            )
        if each.part is None or (value is None and each.optional):
            continue
        if not isinstance(value, each.part):
            raise TypeError(f"{where}: expected {each.example}, got {shown(value)}")
        refuse_unregistered(where, value)
        check_parts(value, where)


def check_values(owner: object, name: str) -> None:
    """Raise ValueError or TypeError, naming it, for a setting of `owner` or of what it holds outside of its range."""
    for field_name, each, value in settings_in(owner):
        if value is not None or not each.optional:
            _check_value(f"{name}.{field_name}".lstrip("."), value, each)


def _check_value(name: str, value: object, declared: Setting) -> None:
    if declared.part is not None:
        check_values(value, name)
    elif declared.choices:
        check_name(name, value, declared.choices)
    elif declared.flag:
        a_flag(name, value)
    elif declared.whole:
        whole_number(name, value, int(declared.least or 1), int(declared.most or 2**31 - 1), declared.hint)
    elif declared.sizes:
        _check_sizes(name, value)
    elif declared.is_number and not isinstance(value, StandIn):
        _check_number(name, value, declared)


def _check_sizes(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not value:
        raise TypeError(f"{name}: expected sizes, such as (32,), got {shown(value)}")
    for size in value:
        whole_number(name, size)


def _check_number(name: str, value: object, declared: Setting) -> None:
    array = numbers(name, value)
    ranges = (
        ("above", declared.above, np.less_equal, not declared.is_bounded),
        ("at least", declared.least, np.less, not declared.is_bounded),
        ("below", declared.below, np.greater_equal, True),
        ("at most", declared.most, np.greater, True),
    )
    for words, limit, misses, hinted in ranges:
        if limit is not None and (bad := misses(array, limit)).any():
            hint = declared.hint if hinted else ""
            few = f" ({int(bad.sum())} of {array.size} entries)" if array.ndim else ""
            raise ValueError(f"{name}: must be {words} {limit:g}{hint}, got {array[bad].flat[0]:g}{few}")
