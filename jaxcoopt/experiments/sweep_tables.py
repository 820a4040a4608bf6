"""The [sweep] table of a TOML file: what is swept, and how many seeds."""

import math
from typing import Annotated, Any, Literal

import numpy as np
import scipy.stats
from pydantic import Discriminator, Field, Tag, model_validator

from jaxcoopt.experiments.amounts import Table
from jaxcoopt.experiments.catalogue import Catalogue
from jaxcoopt.experiments.settings import Experiment


class Range(Table):
    """Numbers from `start` to `stop`, both included."""

    start: float
    """The first."""
    stop: float
    """The last."""
    count: int = Field(ge=1)
    """How many."""
    scale: Literal["linear", "log"] = "linear"
    """log: each is the same multiple of the one before."""

    @model_validator(mode="after")
    def _has_a_logarithm(self) -> "Range":
        if self.scale == "log" and np.sign(self.start) * np.sign(self.stop) <= 0:
            given = f"start = {self.start:g} and stop = {self.stop:g}"
            raise ValueError(f"expected start and stop of one sign, not 0, with scale = 'log', got {given}")
        return self

    def values(self) -> list[float]:
        """The numbers."""
        space = np.geomspace if self.scale == "log" else np.linspace
        return space(self.start, self.stop, self.count).tolist()


class Random(Table):
    """A number drawn between `low` and `high`."""

    low: float
    """The least."""
    high: float
    """The largest."""
    scale: Literal["linear", "log"] = "linear"
    """log: its logarithm is uniform."""

    @model_validator(mode="after")
    def _low_is_lower(self) -> "Random":
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            expected = "0 < low < high with scale = 'log'" if self.scale == "log" else "low < high"
            raise ValueError(f"expected {expected}, got low = {self.low:g} and high = {self.high:g}")
        return self

    def distribution(self) -> Any:
        """As scipy.stats has it."""
        if self.scale == "log":
            return scipy.stats.loguniform(self.low, self.high)
        return scipy.stats.uniform(self.low, self.high - self.low)


def _form(value: object) -> str | None:
    """The tag of what a grid has for a name; None where it is none."""
    known = Range.model_fields.keys()
    if isinstance(value, Range) or (isinstance(value, dict) and value and value.keys() <= known):
        return "range"
    return {list: "list", dict: "labels"}.get(type(value))


Values = Annotated[
    Annotated[Range, Tag("range")] | Annotated[list[Any], Tag("list")] | Annotated[dict[str, Any], Tag("labels")],
    Discriminator(
        _form,
        custom_error_type="values",
        custom_error_message="a list of values, {start = .., stop = .., count = ..}, or a table label = value",
    ),
]


class Sweep(Table):
    """Give one of `grid`, `points` and `random`; names are those of the file's own keys, such as "channel.rho"."""

    seeds: int = Field(1, ge=1)
    """Of each point: runs that differ in their start, link failures and mini-batches."""
    grid: dict[str, Values] | None = Field(None, min_length=1)
    """Name to its values: a list, {start, stop, count, scale}, or a table label = value."""
    points: list[dict[str, Any]] | None = Field(None, min_length=1)
    """Each a table name = value."""
    random: dict[str, Random | list[Any]] | None = Field(None, min_length=1)
    """Name to {low, high, scale} or a list to choose from."""
    samples: int = Field(100, ge=1)
    """Points that are drawn with `random`."""
    seed: int = Field(0, ge=0)
    """Of what is drawn with `random`."""

    @property
    def size(self) -> int:
        """How many points, known before any is made."""
        if self.grid is None:
            return self.samples if self.points is None else len(self.points)
        return math.prod(each.count if isinstance(each, Range) else len(each) for each in self.grid.values())

    @model_validator(mode="after")
    def _one(self) -> "Sweep":
        given = [name for name in ("grid", "points", "random") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of grid, points and random, not {' and '.join(given) or 'none of them'}")
        return self


class SweepExperiment(Experiment):
    """An experiment, and what of it is swept."""

    sweep: Sweep
    """What is swept."""


SWEEPS = Catalogue("sweep", "sweep", SweepExperiment, default="quantizer")
