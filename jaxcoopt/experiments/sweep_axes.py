"""From the keys of a TOML file to what they change of the problem, the network and the method."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from jaxcoopt.experiments.build import Built, build
from jaxcoopt.experiments.build_method import build_method
from jaxcoopt.experiments.explain import explain
from jaxcoopt.experiments.overrides import put
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.sweep_tables import Range, Sweep
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.run.names import Place, Trio, find, read
from jaxcoopt.study.axes import POINT, Axis, labels_of, sample

FIXED = ("title", "steps", "runs", "seed", "record_every", "metrics", "tol", "stop", "precision", "shard", "sweep")
OF_METHOD = ("channel", "allocation_channel", "method")


def axes_of_keys(table: dict[str, Any], sweep: Sweep, base: Built) -> tuple[Axis, ...]:
    """An axis for each key of the grid, or one for a list of points; table: the file's, without [sweep].

    Raises ValueError naming the key for a value that the file could not have, or that changes nothing.
    """
    if sweep.grid is not None:
        return tuple(_axis(table, key, values, base) for key, values in sweep.grid.items())
    points = sweep.points
    if sweep.random is not None:
        known = {key: each if isinstance(each, list) else each.distribution() for key, each in sweep.random.items()}
        points = sample(known, sweep.samples, sweep.seed)
    assert points is not None
    if any(set(point) != set(points[0]) for point in points):
        raise ValueError("sweep.points: give every point the same names")
    labels = {key: _labels(key, [point[key] for point in points]) for key in points[0]}
    return (_made(POINT, points, labels, table, base),)


def _axis(table: dict[str, Any], key: str, values: Range | list[Any] | dict[str, Any], base: Built) -> Axis:
    if isinstance(values, Range):
        values = values.values()
    if not values:
        raise ValueError(f"sweep.grid.{key}: it is empty; give at least one value")
    labels = np.array([*values], dtype=object) if isinstance(values, Mapping) else _labels(key, values)
    entries = [*values.values()] if isinstance(values, Mapping) else values
    return _made(key, [{key: value} for value in entries], {key: labels}, table, base)


def _made(
    dim: str, points: Sequence[Mapping[str, Any]], labels: Mapping[str, np.ndarray], table: dict[str, Any], base: Built
) -> Axis:
    here = _trio(base)
    variants = [_trio(_variant(table, point, base)) for point in points]
    changed = [pair for root in Trio._fields for pair in _changed(Place(root, ()), here, variants)]
    found = {str(place) for place, _ in changed}
    for key in labels:  # what has the base's value throughout stands where its name says
        if not found and _known(key, here):
            changed.append((find(key, here, "grid"), [read(here, find(key, here, "grid"))] * len(points)))
    if not changed:
        raise ValueError(f"sweep: {', '.join(labels)} changes nothing that is run")
    places, columns = zip(*changed, strict=True)
    return Axis(dim, places, tuple(zip(*columns, strict=True)), labels)


def _known(key: str, trio: Trio) -> bool:
    with suppress(ValueError):
        find(key, trio, "grid")
        return True
    return False


def _variant(table: dict[str, Any], point: Mapping[str, Any], base: Built) -> Built:
    """The experiment with other values at some keys; data and graphs are loaded again only where they may differ."""
    changed = table
    for key, value in point.items():
        if key.partition(".")[0] in FIXED:
            raise ValueError(f"sweep: {key} is the same for all points; set it at the top of the file")
        changed = put(changed, key, value)
    try:
        settings = Experiment.model_validate(changed)
    except ValidationError as error:
        at = ", ".join(f"{key}={value!r}" for key, value in point.items())
        raise ValueError(f"sweep, at {at}: {explain(error, changed, Experiment)}") from error
    method = _method(settings, base)
    if all(key.partition(".")[0] in OF_METHOD for key in point):
        return replace(base, settings=settings, method=method)
    built = replace(build(settings), method=method)
    if (built.initial is None) != (base.initial is None) or not _same(built.initial, base.initial):
        raise ValueError(f"sweep: {', '.join(point)} changes where the shares start; use allocation.start = 'feasible'")
    return built


def _method(settings: Experiment, base: Built) -> CoOptimizer:
    """Halves whose tables did not change stay the same objects: two optimizers made alike are not equal."""
    made = build_method(settings.method, settings.channel, settings.allocation_channel)
    now, was = settings, base.settings
    same = {
        "allocation": now.method.allocation == was.method.allocation,
        "training": now.method.training == was.method.training,
        "channel": now.channel == was.channel,
        "allocation_channel": now.allocation_channel == was.allocation_channel,
    }
    return CoOptimizer(**{name: getattr(base.method if kept else made, name) for name, kept in same.items()})


def _trio(built: Built) -> Trio:
    return Trio(built.problem, built.network, built.method, built.clock)


def _changed(place: Place, base: Trio, variants: Sequence[Trio]) -> Iterator[tuple[Place, list[Any]]]:
    """The innermost places where any variant differs from the base or another, with the values there."""
    there = [read(each, place) for each in (base, *variants)]
    if all(_same(each, there[0]) for each in there[1:]):
        return
    whole = isinstance(there[0], Network) and not all(_same_but_failures(each, there[0]) for each in there[1:])
    if whole or not is_dataclass(there[0]) or any(type(each) is not type(there[0]) for each in there):
        yield place, there[1:]
        return
    for field in fields(there[0]):
        yield from _changed(Place(place.root, (*place.path, field.name)), base, variants)


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        return all(_same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if hasattr(a, "__array__"):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))
    return a is b or bool(a == b)


def _same_but_failures(a: Network, b: Network) -> bool:
    """What a network keeps depends on whether links fail at all: then it is another network."""
    if not (a.fails and b.fails):
        return False
    return _same(*(replace(each, failure_rate=None, failures=None) for each in (a, b)))


def _labels(key: str, values: Sequence[Any]) -> np.ndarray:
    if any(isinstance(value, dict | list) for value in values):
        raise ValueError("sweep: give values that are tables or lists a label each: a table label = value")
    return labels_of(f"sweep: {key}", values)
