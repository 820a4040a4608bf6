"""What is swept: the axes of a grid, or a list of points."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np

from jaxcoopt.arrays import plain, plain_tree, shown
from jaxcoopt.errors import at_least_one, generator
from jaxcoopt.problem import check as problems
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.names import Place, Trio, assigned, find, is_there
from jaxcoopt.run.result import NODE
from jaxcoopt.shown import briefly

SEED, ITERATION, POINT = "seed", "iteration", "point"
TAKEN = (SEED, ITERATION, POINT, NODE)
Values = Sequence[Any] | Mapping[str, Any] | np.ndarray


@briefly
@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep. places: what is set along it; entries: the values of an index, one for each place;
    labels: name to what stands for them in tables, numbers or texts.
    """

    dim: str
    places: tuple[Place, ...]
    entries: tuple[tuple[Any, ...], ...]
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.entries)


def axes_of(grid: Mapping[str, Values] | Sequence[Mapping[str, Any]], trio: Trio) -> tuple[Axis, ...]:
    """An axis for each name of a grid; for a list of points, one axis.

    Raises ValueError or TypeError for a name that is not there or an axis that is empty.
    """
    if isinstance(grid, Mapping):
        if not grid:
            raise ValueError("grid: it is empty; give at least one name with its values, such as {'channel.rho': [1]}")
        made: dict[str, Axis] = {}
        for name, values in sorted(
            grid.items(), key=lambda item: item[0].count(".") if isinstance(item[0], str) else 0
        ):
            _refuse_lacking(name, made.values(), trio)
            made[name] = _axis(name, values, trio)
            trio = point_at((made[name],), (0,), trio)  # what an object holds can be named, too
        axes = tuple(made[name] for name in grid)
    else:
        axes = (_points(grid, trio),)
    return axes


def sample(distributions: Mapping[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` random points for `jaxcoopt.sweep`: {name: a frozen scipy.stats distribution, or a list to choose from}.

    >>> import scipy.stats
    >>> points = sample({"channel.rho": scipy.stats.loguniform(0.01, 1), "channel.bits": [4, 8]}, count=3)
    >>> sorted(points[0])
    ['channel.bits', 'channel.rho']
    """
    count, rng = at_least_one("count", count), generator(seed)
    if not isinstance(distributions, Mapping):
        raise TypeError(
            "distributions: expected a dict name -> a frozen scipy.stats distribution, or a list to choose from, got "
            f"{shown(distributions)}"
        )
    drawn: dict[str, Sequence[Any]] = {}
    for name, each in distributions.items():
        if hasattr(each, "rvs") and hasattr(each, "args"):  # frozen
            drawn[name] = _drawn(f"distributions[{name!r}]", each, count, rng)
        elif isinstance(each, Sequence) and not isinstance(each, str) and len(each):
            drawn[name] = [each[i] for i in rng.integers(len(each), size=count)]
        else:
            raise TypeError(
                f"distributions[{name!r}]: expected a frozen scipy.stats distribution, such as "
                f"scipy.stats.loguniform(0.01, 1), or a list to choose from, got {shown(each)}"
            )
    return [dict(zip(drawn, values, strict=True)) for values in zip(*drawn.values(), strict=True)]


def _drawn(where: str, distribution: Any, count: int, rng: np.random.Generator) -> list[Any]:
    try:
        return distribution.rvs(size=count, random_state=rng).tolist()
    except ValueError as error:  # scipy's, which names no argument
        given = ", ".join(f"{each!r:.40}" for each in (*distribution.args, *distribution.kwds.values()))
        raise ValueError(f"{where}: scipy cannot draw from it with {given} ({error!s:.120}); give others") from error


def point_at(axes: Sequence[Axis], index: Sequence[int], trio: Trio) -> Trio:
    """Problem, network and method of a point; an object is set before what lies inside it."""
    settings = [
        pair for axis, i in zip(axes, index, strict=True) for pair in zip(axis.places, axis.entries[i], strict=True)
    ]
    for place, value in sorted(settings, key=lambda pair: len(pair[0].path)):
        trio = assigned(trio, place, value)
    return trio


def _axis(name: str, values: Values, trio: Trio) -> Axis:
    if name in TAKEN:
        raise ValueError(f"grid: {name!r} is the name of a dimension that every sweep has")
    place = find(name, trio, "grid")
    where = f"grid[{name!r}]"
    if isinstance(values, Mapping):
        labels = np.array([str(label) for label in values], dtype=object)
        entries = [_received(f"{where}[{shown(label)}]", value) for label, value in values.items()]
    else:
        entries = _listed(where, values)
        labels = labels_of(where, entries)
    if not entries:
        raise ValueError(f"{where}: it is empty; give at least one value")
    if len(set(labels.tolist())) < len(entries):
        raise ValueError(f"{where}: a value is there twice: {', '.join(map(str, labels))}")
    return Axis(name, (place,), tuple((entry,) for entry in entries), {name: labels})


def _refuse_lacking(name: object, made: Iterable[Axis], trio: Trio) -> None:
    """Raise ValueError for a name that the first object of another axis has not, and a later one has."""
    if not isinstance(name, str) or is_there(name, trio):
        return
    for axis in made:
        there = [is_there(name, point_at((axis,), (i,), trio)) for i in range(len(axis))]
        if any(there):
            lacking = f"{axis.dim}={axis.labels[axis.dim][there.index(False)]}"
            raise ValueError(
                f"grid: {name!r} is not there with {lacking}, which another axis sets; sweep that apart, or give a "
                "list of points"
            )


def _points(points: object, trio: Trio) -> Axis:
    if not isinstance(points, Sequence) or isinstance(points, str) or not all(isinstance(p, Mapping) for p in points):
        raise TypeError(
            f"grid: expected a dict name -> values, or a list of dicts name -> value, got {type(points).__name__}"
        )
    if not points:
        raise ValueError("grid: the list of points is empty; give at least one, such as {'channel.rho': 1.0}")
    names = tuple(points[0])
    for i, point in enumerate(points):
        if set(point) != set(names):
            odd = sorted(set(point) ^ set(names))
            raise ValueError(f"grid: point {i} and point 0 differ in {', '.join(odd)}; give every point the same names")
    if not names:
        raise ValueError("grid: the points name no setting")
    places = tuple(find(name, trio, "grid") for name in names)
    labels = {name: labels_of(f"grid, {name!r}", [point[name] for point in points]) for name in names}
    return Axis(POINT, places, tuple(tuple(point[name] for name in names) for point in points), labels)


def _listed(where: str, values: object) -> list[Any]:
    if hasattr(values, "__array__") and getattr(values, "ndim", None) == 1:
        texts = np.asarray(values)
        return (texts if texts.dtype.kind in "UT" else np.asarray(plain(where, values))).tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError(f"{where}: expected a list of values, or a dict label -> value, got {shown(values)}")
    return list(values)


def _received(where: str, value: object) -> Any:
    """An object or array that an axis sets, with plain arrays."""
    if isinstance(value, Problem):
        return problems.received(value)
    known = is_dataclass(value) or hasattr(value, "__array__")
    return plain_tree(value, where) if known and not isinstance(value, type) else value


def labels_of(where: str, entries: Sequence[Any]) -> np.ndarray:
    """Numbers as they are, all else as text."""
    if any(is_dataclass(entry) or np.ndim(entry) for entry in entries):
        raise TypeError(f"{where}: give objects and arrays a label each: a dict label -> value")
    if all(isinstance(entry, int | float | np.number) and not isinstance(entry, bool) for entry in entries):
        numbers = np.asarray(entries)
        return numbers if numbers.dtype != object else _floats(where, entries)
    return np.array([str(entry) for entry in entries], dtype=object)


def _floats(where: str, entries: Sequence[Any]) -> np.ndarray:
    """Whole numbers beyond 64 bits."""
    try:
        return np.array([float(entry) for entry in entries])
    except OverflowError as error:
        raise ValueError(f"{where}: a number is too large for a float; give one below 1e308") from error


def refuse_twice(axes: Sequence[Axis]) -> None:
    """Raise ValueError where two names set the same."""
    places = [str(place) for axis in axes for place in axis.places]
    twice = sorted({place for place in places if places.count(place) > 1})
    if twice:
        raise ValueError(f"grid: {', '.join(twice)} is set by two names; give it one")
