"""Who takes part in a comparison, and what of each is tuned."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.channel.channel import Channel
from jaxcoopt.compare.settings import Comparison, Contestant
from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.build_method import build_method
from jaxcoopt.experiments.method_tables import Method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.registry import BY_NAME, ENTRIES, Entry, entry_of
from jaxcoopt.shown import briefly

PAPER_LABEL = "the paper's method"
Points = Mapping[str, Float[np.ndarray, " points"]]


@briefly
@dataclass(frozen=True)
class Contender:
    """A method with its links; grid: what is tuned, dotted names reach into its parts ("bounds.weight")."""

    label: str
    entry: Entry
    ours: bool
    channel: Channel
    settings: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def points(self) -> dict[str, Float[np.ndarray, " points"]]:
        """All combinations of the grid's values; no names where nothing is tuned."""
        combinations = list(itertools.product(*self.grid.values()))
        return {name: np.array([each[i] for each in combinations]) for i, name in enumerate(self.grid)}

    def method(self, values: Mapping[str, Any]) -> CoOptimizer:
        """With tuned values, scalars or [runs]. Raises ValueError naming what the method does not have."""
        given = {**self.settings, **values}
        made = self.entry.build(**{name: value for name, value in given.items() if "." not in name})
        for name, value in given.items():
            if "." in name:
                made = _replaced(made, name.split("."), value, f"{self.entry.name}.{name}")
        return CoOptimizer(**{self.entry.half: made}, channel=self.channel)


def contenders(settings: Comparison) -> list[Contender]:
    """Those of the file, or every row of the registry and the paper's method with what it sends quantized ("message").

    The Laplacian flow with `channel`'s placement is the existing linear scheduler; gradient tracking with it is ours.
    Raises ValueError naming an unknown method, one for the other half, or a comparison without rivals.
    """
    channel: Any = build_method(Method(), settings.channel).channel
    chosen = settings.methods or _everyone(settings.half)
    made = [_contender(f"methods.{i}", each, settings.half, channel) for i, each in enumerate(chosen)]
    labels = [each.label for each in made]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"methods: {twice[0]!r} takes part twice; tell them apart with label = '..'")
    if all(each.ours for each in made):
        raise ValueError(
            "methods: all are ours, so there is no rival to compare with; add one, or set ours = false for some"
        )
    return made


def _everyone(half: str) -> list[Contestant]:
    paper = next(entry for entry in ENTRIES if entry.half == half and entry.paper)
    ours = [Contestant(name=paper.name, label=PAPER_LABEL, ours=True, placement="message")]
    for entry in ENTRIES:
        if entry.half == half:
            ours.append(Contestant(name=entry.name, ours=entry.ours or (entry.paper and half == "training")))
    return ours


def _contender(path: str, table: Contestant, half: str, channel: Any) -> Contender:
    if table.name in BY_NAME and BY_NAME[table.name].half != half:
        names = ", ".join(entry.name for entry in ENTRIES if entry.half == half)
        raise ValueError(
            f"{path}.name: {table.name} is a method of {BY_NAME[table.name].half}, this comparison is about {half}; "
            f"use one of {names}"
        )
    try:
        entry = entry_of(table.name, half)
    except ValueError as error:
        raise ValueError(f"{path}.{error}") from error
    made = Contender(
        label=table.label or entry.title,
        entry=entry,
        ours=entry.ours or entry.paper if table.ours is None else table.ours,
        channel=channel if table.placement is None else replace(channel, placement=table.placement),
        settings=table.settings,
        grid=entry.grid if table.grid is None else table.grid,
    )
    try:
        made.method({name: values[0] for name, values in made.grid.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return made


def _replaced(part: Any, names: list[str], value: Any, path: str) -> Any:
    """`part` with the number at a path of attributes changed."""
    known = [each.name for each in fields(part)] if is_dataclass(part) else []
    if names[0] not in known:
        raise unknown_name(path, names[0], known or ["a plain number"])
    new = value if len(names) == 1 else _replaced(getattr(part, names[0]), names[1:], value, path)
    return replace(part, **{names[0]: new})  # pyright: ignore[reportArgumentType]
