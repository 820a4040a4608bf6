"""Dotted names of settings: found in a problem, a network, a method and a clock, and set there."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple

from jaxtyping import PyTree

from jaxcoopt.errors import unknown_name
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock
from jaxcoopt.shown import briefly

ROOTS = ("method", "problem", "network", "clock")
HIDDEN = ("problem.training.moments", "network.names")  # filled in by `solve` and `from_graphs`
DEEPEST = 6


class Trio(NamedTuple):
    """What `jaxcoopt.solve` takes first, and the clock that it runs by."""

    problem: Problem
    network: Network
    method: CoOptimizer
    clock: Clock = SYNCHRONOUS


@briefly
@dataclass(frozen=True)
class Place:
    """Where a setting stands: root, one of `ROOTS`, and the fields below it, none for the whole object."""

    root: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.path))


def find(name: str, trio: Trio, argument: str) -> Place:
    """The place of "channel.rho", "training.step", "allocation.budget", "failure_rate", "network", ...

    The root may be left out where only one of method, problem, network and clock has such a setting. Raises ValueError
    with the nearest right names where none has, and with the choices where several have.
    """
    places = _found(name, trio)
    if not places:
        raise unknown_name(argument, name, _known(trio))
    if len(places) > 1:
        raise ValueError(f"{argument}: {name!r} may be {' or '.join(map(str, places))}; say which")
    return places[0]


def is_there(name: str, trio: Trio) -> bool:
    """Whether there is a place of that name, or several."""
    return bool(_found(name, trio))


def assigned(trio: Trio, place: Place, value: PyTree) -> Trio:
    """The same with another value at the place. Raises ValueError where it is no longer there."""
    root = getattr(trio, place.root)
    if not _has(root, place.path):
        raise ValueError(f"{place} is not there in {_reached(root, place)}, which another axis sets")
    return trio._replace(**{place.root: _replaced(root, place.path, value)})


def read(trio: Trio, place: Place) -> Any:
    """What stands at the place."""
    value: Any = getattr(trio, place.root)
    for part in place.path:
        value = value[int(part)] if isinstance(value, tuple) else getattr(value, part)
    return value


def _found(name: object, trio: Trio) -> list[Place]:
    parts = tuple(name.split(".")) if isinstance(name, str) else ()
    first, *rest = parts or ("",)
    places = [Place(first, tuple(rest))] if first in ROOTS else [Place(root, parts) for root in ROOTS]
    return [place for place in places if parts and _has(getattr(trio, place.root), place.path)]


def _has(value: PyTree, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    if isinstance(value, tuple):
        return path[0].isdecimal() and int(path[0]) < len(value) and _has(value[int(path[0])], path[1:])
    known = is_dataclass(value) and path[0] in [field.name for field in fields(value)]
    return known and _has(getattr(value, path[0]), path[1:])


def _replaced(value: PyTree, path: tuple[str, ...], new: PyTree) -> PyTree:
    if not path:
        return new
    if isinstance(value, tuple):
        at = int(path[0])
        return (*value[:at], _replaced(value[at], path[1:], new), *value[at + 1 :])
    return replace(value, **{path[0]: _replaced(getattr(value, path[0]), path[1:], new)})


def _reached(value: PyTree, place: Place) -> str:
    """The deepest object on the way to a place, by its class."""
    for part in place.path:
        if not _has(value, (part,)):
            break
        value = value[int(part)] if isinstance(value, tuple) else getattr(value, part)
    return type(value).__name__


def _known(trio: Trio) -> tuple[str, ...]:
    """All names, the shortest form of each."""
    full = [name for root in ROOTS for name in _names(getattr(trio, root), root, 0) if name not in HIDDEN]
    short = [name.split(".", 1)[-1] for name in full]
    return tuple(tail if short.count(tail) == 1 else name for name, tail in zip(full, short, strict=True))


def _names(value: PyTree, prefix: str, depth: int) -> Iterator[str]:
    if depth == DEEPEST or (prefix.startswith("network.") and prefix != "network.failures"):
        return
    parts = fields(value) if is_dataclass(value) else ()
    inside = [(part.name, getattr(value, part.name)) for part in parts]
    inside += [(str(i), item) for i, item in enumerate(value)] if isinstance(value, tuple) else []
    for name, item in inside:
        yield f"{prefix}.{name}"
        yield from _names(item, f"{prefix}.{name}", depth + 1)
