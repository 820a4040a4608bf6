"""A sweep's dataset as a list of points, whether it was a grid or random samples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from jaxcoopt.errors import require, unknown_name
from jaxcoopt.escaping import plain
from jaxcoopt.report.axis import SweptAxis, axis_of
from jaxcoopt.run.result import NODE
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.run.status import HALVES, Status, half_of
from jaxcoopt.shown import briefly
from jaxcoopt.study.axes import ITERATION, POINT, SEED
from jaxcoopt.study.promised import check_promised
from jaxcoopt.study.statistics import quartiles
from jaxcoopt.study.store import Store
from jaxcoopt.study.store_layout import NOT_DONE
from jaxcoopt.study.sweep import CLOCKS

METRICS = (
    "training_gap",
    "allocation_gap",
    "training_loss",
    "allocation_cost",
    "budget_residual",
    "box_violation",
    "consensus_error",
)
INSTEAD = {"training_gap": "training_loss", "allocation_gap": "allocation_cost"}  # where no optimum is known
FALLING = ("training_gap", "allocation_gap", "training_loss")  # a method that does its work makes these smaller
RELATIVE = ("training_gap", "allocation_gap", "budget_residual")  # to a number that is about 1


@briefly
@dataclass(frozen=True)
class Swept:
    """axes: what was swept; where: which value of each axis a point has; metrics, clocks: name to [points, seeds,
    records], NaN where a run is not done, has lost the metric's half or was not finite; attributes: the dataset's.

    A gap is its size: below the optimum's cost lie only points outside the box, and rounding. lost: half to [points,
    seeds], True where it has left the finite numbers: the other half of such a run still counts. rounding: relative, of
    the numbers' type.
    """

    title: str
    axes: tuple[SweptAxis, ...]
    where: Integer[np.ndarray, "points axes"]
    iterations: Int[np.ndarray, " records"]
    metrics: dict[str, Float[np.ndarray, "points seeds records"]]
    clocks: dict[str, Float[np.ndarray, "points seeds records"]]
    units: dict[str, str]
    status: Int[np.ndarray, "points seeds"]
    left: Int[np.ndarray, "points seeds"]
    lost: dict[str, Bool[np.ndarray, "points seeds"]]
    rounding: float
    attributes: dict[str, Any]

    @cached_property
    def counts(self) -> dict[str, Int[np.ndarray, " points"]]:
        """How many runs of each point ended how, by the status's name; "PENDING" are not done yet."""
        codes = {"PENDING": NOT_DONE} | {status.name: int(status) for status in Status}
        return {name: np.sum(self.status == code, axis=1) for name, code in codes.items()}

    @cached_property
    def done(self) -> Int[np.ndarray, " points"]:
        """How many runs of each point are done."""
        return self.status.shape[1] - self.counts["PENDING"]

    def diverged(self, metric: str) -> Int[np.ndarray, " points"]:
        """How many runs of each point have diverged in the half that a metric is of; in any, for the user's own."""
        half = half_of(metric)
        return self.counts["DIVERGED"] if half is None else self.lost[half].sum(axis=1)

    def mostly_diverged(self, metric: str) -> Bool[np.ndarray, " points"]:
        """True where more than half of the runs that are done have diverged in the half that a metric is of."""
        return 2 * self.diverged(metric) > self.done

    def settled(self, metric: str) -> Bool[np.ndarray, " points"]:
        """True where a point may be called the best: most of its runs reached `tol`, where one was set, and kept budget
        and box, and ended with a smaller gap (or training loss) than they began with.
        """
        good = ~self.mostly_diverged(metric) & (self.done > 0)
        if self.asked_for_tol:
            good &= 2 * self.counts["CONVERGED"] > self.done
        if half_of(metric) == "allocation":
            good &= 2 * self.counts["INFEASIBLE"] <= self.done
        if metric in FALLING and len(self.iterations) > 1:
            first, last = (quartiles(self.metrics[metric][..., record])[1] for record in (0, -1))
            good &= ~(last >= first) | (last <= self.rounding_of(metric))
        return good

    def rounding_of(self, metric: str) -> float:
        """By how much values of a metric differ that are the same but for rounding, beside what is relative to them."""
        return self.rounding if metric in RELATIVE else 0.0

    @cached_property
    def asked_for_tol(self) -> bool:
        """True where runs were to end at a tolerance."""
        settings = self.attributes.get("settings")
        given = settings.get("sweep.tol", settings.get("tol")) if isinstance(settings, dict) else None
        return given not in (None, "None") or bool(self.counts["CONVERGED"].any())

    def axis(self, name: str) -> int:
        """The number of the axis of that name."""
        return [axis.name for axis in self.axes].index(name)

    def name_of(self, point: int, without: Sequence[str] = ()) -> str:
        """ "channel.rho = 0.1, network = ring"."""
        pairs = zip(self.axes, self.where[point], strict=True)
        return ", ".join(f"{plain(axis.name)} = {axis.labels[i]}" for axis, i in pairs if axis.name not in without)


def open_store(path: Path) -> Any:
    """The xarray.Dataset of a Zarr store, or an error saying what it is instead."""
    xarray = require("xarray", extra="report")
    require("zarr", extra="report")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such folder; give the Zarr store that a sweep has written")
    check_promised(path)
    if damaged := Store(path).damaged():
        more = f" (nor are {len(damaged) - 1} more files)" if len(damaged) > 1 else ""
        advice = "run the sweep again (jaxcoopt sweep --resume), which makes it anew"
        raise ValueError(f"{path}: {damaged[0]} is not whole{more}; {advice}")
    try:
        return xarray.open_zarr(path, consolidated=False, chunks=None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = "give the folder that a sweep has written"
        raise ValueError(f"{path}: it is not a Zarr store, or a broken one; {advice}") from error


def swept(dataset: Any) -> Swept:
    """The points of a sweep's dataset; raises ValueError where it is not one."""
    dims = _swept_dims(dataset)
    axes, where = _points(dataset, dims)
    status = _values(dataset, "status", dims).astype(np.int64)
    lost = _lost(dataset, dims, status)
    used: dict[str | None, Any] = {half: (status != NOT_DONE) & ~flags for half, flags in lost.items()}
    used[None] = np.logical_or.reduce(list(used.values()))  # of bits and seconds
    metrics = [*(name for name in METRICS if name in dataset), *_own_metrics(dataset)]
    units = {name: str(dataset[name].attrs.get("units", "")) for name in (*metrics, *CLOCKS) if name in dataset}
    return Swept(
        title=str(dataset.attrs.get("title", "sweep")),
        axes=axes,
        where=where,
        iterations=np.asarray(dataset[ITERATION].values, np.int64),
        metrics={name: _finite(dataset, name, dims, used[half_of(name)]) for name in metrics},
        clocks={name: _finite(dataset, name, dims, used[None]) for name in CLOCKS if name in dataset},
        units=units,
        status=status,
        left=_values(dataset, "left", dims).astype(np.int64),
        lost=lost,
        rounding=float(np.finfo(next(dataset[name].dtype for name in METRICS if name in dataset)).eps),
        attributes={name: _parsed(value) for name, value in dataset.attrs.items()},
    )


def _own_metrics(dataset: Any) -> list[str]:
    """Those that the user has defined."""
    traces = (
        str(name)
        for name, each in dataset.data_vars.items()
        if {SEED, ITERATION} <= set(each.dims) and NODE not in each.dims
    )
    return [name for name in traces if name not in (*METRICS, *CLOCKS, *UNITS)]


def _lost(dataset: Any, dims: tuple[str, ...], status: np.ndarray) -> dict[str, np.ndarray]:
    """For each half, [points, seeds], True for the diverged runs in which one of its statistics is not finite.

    At any record, or a band would change its runs. Where that is none of the halves, both count as lost.
    """
    gone, found = status == Status.DIVERGED, {}
    for half, names in HALVES.items():
        values = [_values(dataset, name, dims) for name in names if name in dataset]
        known = [each for each in values if np.isfinite(each).any()]  # a gap to no optimum is never finite
        finite = np.logical_and.reduce([np.isfinite(each).all(axis=-1) for each in known] or [~gone])
        found[half] = gone & ~finite
    neither = gone & ~np.logical_or.reduce(list(found.values()))
    return {half: flags | neither for half, flags in found.items()}


def chosen_metrics(sweep: Swept, given: Sequence[str]) -> tuple[str, ...]:
    """Those given, else both gaps, each replaced by its cost or loss where no optimum is known, and the user's own."""
    for name in given:
        if name not in sweep.metrics:
            raise unknown_name("--metric", name, list(sweep.metrics))
    if given:
        return tuple(dict.fromkeys(given))
    known = [name for name, values in sweep.metrics.items() if np.isfinite(values).any()] or list(sweep.metrics)
    found = [gap if gap in known else loss for gap, loss in INSTEAD.items() if {gap, loss} & set(known)]
    own = [name for name in known if name not in METRICS]
    return tuple([*found, *own] or known[:1])


def chosen_axes(sweep: Swept, x: str | None, y: str | None) -> tuple[str | None, str | None]:
    """Those given, completed by the longest axes, numbers before labels; None where there are too few."""
    names = [axis.name for axis in sweep.axes]
    for option, name in (("--x", x), ("--y", y)):
        if name is not None and name not in names:
            if not names:
                raise ValueError(f"{option} {name}: nothing was swept here, so there is no axis to choose")
            raise unknown_name(option, name, names)
    if x is not None and x == y:
        raise ValueError(f"--x and --y are both {x!r}; give two different axes, or only one of them")
    ranked = sorted(sweep.axes, key=lambda axis: (not axis.numeric, -len(axis.values)))
    free = [axis.name for axis in ranked if axis.name not in (x, y)]
    x = x or (free.pop(0) if free else None)
    return (y, None) if x is None else (x, y or (free.pop(0) if free else None))


def _swept_dims(dataset: Any) -> tuple[str, ...]:
    """The dimensions in front of seed and iteration."""
    missing = [name for name in ("status", "left", SEED, ITERATION) if name not in dataset.variables]
    if missing or not any(name in dataset for name in METRICS):
        lacks = ", ".join(missing) or f"any of {', '.join(METRICS)}"
        raise ValueError(f"the dataset of a sweep was expected, and this one lacks {lacks}; give what a sweep wrote")
    if dataset["status"].size == 0 or dataset.sizes[ITERATION] == 0:
        raise ValueError("the sweep's dataset has no runs or no records; sweep over at least one value and seed")
    return tuple(str(dim) for dim in dataset["status"].dims if dim != SEED)


def _points(dataset: Any, dims: tuple[str, ...]) -> tuple[tuple[SweptAxis, ...], np.ndarray]:
    """The axes and, for each point in the order of the dims, which of their values it has."""
    if dims == (POINT,):
        names = [str(name) for name, each in dataset.coords.items() if each.dims == (POINT,) and name != POINT]
        found = [axis_of(name, dataset[name].values) for name in names or [POINT]]
        return tuple(axis for axis, _ in found), np.stack([which for _, which in found], axis=1)
    found = [axis_of(name, np.asarray(dataset[name].values)) for name in dims]
    mesh = np.meshgrid(*(which for _, which in found), indexing="ij")
    where = np.stack([each.ravel() for each in mesh], axis=1) if mesh else np.zeros((1, 0), np.int64)
    return tuple(axis for axis, _ in found), where


def _values(dataset: Any, name: str, dims: tuple[str, ...]) -> np.ndarray:
    """[points, seeds] or [points, seeds, records]."""
    variable = dataset[name]
    inner = [dim for dim in (SEED, ITERATION) if dim in variable.dims]
    try:
        values = np.asarray(variable.transpose(*dims, *inner).values)
    except (OSError, ValueError, RuntimeError) as error:  # what readers of a damaged file raise
        raise ValueError(f"{name}: its numbers cannot be read ({error}); give a dataset that is whole") from error
    return values.reshape(-1, *values.shape[len(dims) :])


def _finite(dataset: Any, name: str, dims: tuple[str, ...], used: np.ndarray) -> np.ndarray:
    values = _values(dataset, name, dims).astype(np.float64)
    values = np.where(np.isfinite(values) & used[..., None], values, np.nan)
    if name == "consensus_error" and values.shape[-1] > 1:  # the nodes start as one: 0, which would stretch log axes
        values[..., 0] = np.nan
    return np.abs(values) if name.endswith("_gap") else values


def _parsed(value: Any) -> Any:
    """A JSON text as what it says, anything else as it is."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return str(value)
