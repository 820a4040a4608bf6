"""Who takes part in a comparison, and what of each is tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jaxcoopt.channel.channel import Channel
from jaxcoopt.experiments.build_method import build_method
from jaxcoopt.experiments.compare_tables import Comparison, Contestant
from jaxcoopt.experiments.method_tables import Method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.registry import BY_NAME, ENTRIES, Entry, entry_of
from jaxcoopt.study.contest import Contender, with_settings

PAPER_LABEL = "the paper's method"


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


def _everyone(half: str) -> Sequence[Contestant]:
    entries = [entry for entry in ENTRIES if entry.half == half]
    paper = next(entry for entry in entries if entry.paper)
    ours = Contestant(name=paper.name, label=PAPER_LABEL, ours=True, placement="message")
    rest = [Contestant(name=each.name, ours=each.ours or (each.paper and half == "training")) for each in entries]
    return [ours, *rest]


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
    channel = channel if table.placement is None else replace(channel, placement=table.placement)
    made = Contender(
        label=table.label or entry.title,
        make=partial(_made, entry, channel, table.settings),
        grid=entry.grid if table.grid is None else table.grid,
        ours=entry.ours or entry.paper if table.ours is None else table.ours,
    )
    try:
        _ = made.first
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return made


def _made(entry: Entry, channel: Channel, settings: Mapping[str, Any], values: Mapping[str, Any]) -> CoOptimizer:
    """With settings of its own, and those of its parts, which have dots in their names."""
    given = {**settings, **values}
    half = entry.build(**{name: value for name, value in given.items() if "." not in name})
    inside = {f"{entry.half}.{name}": value for name, value in given.items() if "." in name}
    return with_settings(CoOptimizer(**{entry.half: half}, channel=channel), inside, entry.name)
