"""Curves of a metric with quartile bands over the seeds, against iterations, bits, seconds or along one axis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.errors import require
from jaxcoopt.report.style import (
    BAD,
    BLUE,
    CYCLE,
    INK,
    QUIET,
    heading,
    log_axis,
    new_figure,
    plain_axes,
    prefixed_ticks,
    robust_limits,
    strokes,
    suits_log,
)
from jaxcoopt.report.swept import CLOCKS, Swept
from jaxcoopt.study.statistics import Statistics, quartiles
from jaxcoopt.words import picture

LINES = 8
BEST = 6  # so many of the best points have their curves drawn
NAME = 60  # characters in a legend


def clocks(sweep: Swept) -> dict[str, Float[np.ndarray, "points records"]]:
    """What progress is measured against: axis label to the median over the seeds; those known at some point."""
    records = np.broadcast_to(sweep.iterations.astype(np.float64), (len(sweep.where), len(sweep.iterations)))
    found = {"iterations": np.array(records)}
    found |= {CLOCKS[name]: quartiles(values, axis=1)[1] for name, values in sweep.clocks.items()}
    return {label: values for label, values in found.items() if np.isfinite(values[:, 1:]).any()} or found


def along(sweep: Swept, name: str, best: int) -> list[int]:
    """The points that differ from the best one in this axis alone, in its order; evenly thinned out to eight."""
    i = sweep.axis(name)
    others = np.arange(len(sweep.axes)) != i
    line = np.flatnonzero(np.all(sweep.where[:, others] == sweep.where[best, others], axis=1))
    line = line[np.argsort(sweep.where[line, i], kind="stable")]
    return line[np.unique(np.linspace(0, len(line) - 1, min(LINES, len(line))).round().astype(int))].tolist()


def curves_figure(sweep: Swept, metric: str, label: str, points: Sequence[int], axis: str | None = None) -> Any:
    """Median and quartiles over the seeds, one line a point; axis: the one that they differ in, which colours them."""
    shown = clocks(sweep)
    figure = new_figure(max(3.7 * len(shown) + 3.2, 9.0), 4.2)
    heading(figure, sweep.title, label, size=11)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    bands = quartiles(sweep.metrics[metric][list(points)], axis=1)
    names = _names(sweep, points) if axis is None else _values_of(sweep, axis, points)
    colors = _colors(sweep, axis, len(points))
    for axes, (clock, x) in zip(panels, shown.items(), strict=True):
        plain_axes(axes)
        floor = _vertical(axes, bands)
        styles = strokes(np.maximum(bands[1], floor), axes.get_yscale() == "log", x[list(points)])
        for i, point in enumerate(points):
            name = picture(names[i], NAME) + _lost(sweep, metric, point)
            _band(axes, x[point], np.maximum(bands[:, i], floor), colors[i], styles[i], name)
        axes.set_xlabel(clock, fontsize=10, color=INK)
        prefixed_ticks(axes, x[list(points)])
    if points:
        handles = panels[0].get_legend_handles_labels()
        looks = {"loc": "outside right center", "frameon": False, "fontsize": 8, "handlelength": 3.5}
        legend = figure.legend(*handles, title=None if axis is None else picture(axis, NAME), **looks)
        legend.get_title().set_fontsize(9)
    return figure


def profile_figure(sweep: Swept, metric: str, values: Statistics, label: str, x: str) -> Any:
    """The metric at the end along the only axis: medians with whiskers from quartile to quartile.

    A red cross at the top: most of the value's runs diverged.
    """
    axis, column = sweep.axes[sweep.axis(x)], sweep.where[:, sweep.axis(x)]
    figure = new_figure(9.0, 4.2)
    heading(figure, sweep.title, label, size=11)
    axes = figure.subplots()
    plain_axes(axes)
    floor = _vertical(axes, np.stack([values.q1, values.median, values.q3]))
    order = np.argsort(column, kind="stable")
    places = axis.places[column[order]]
    q1, median, q3 = (np.maximum(each[order], floor) for each in (values.q1, values.median, values.q3))
    line = "-" if axis.numeric else ""
    axes.errorbar(places, median, [median - q1, q3 - median], fmt=f"o{line}", color=BLUE, markersize=5, elinewidth=1.2)
    bad = sweep.mostly_diverged(metric)[order]
    if bad.any():
        top = axes.get_xaxis_transform()
        axes.plot(places[bad], np.full(bad.sum(), 0.97), "x", color=BAD, transform=top, label="most runs diverged")
        axes.legend(frameon=False, fontsize=8)
    places, labels = axis.ticks()
    turned = sum(map(len, labels)) > 60
    labels = list(map(picture, labels))
    axes.set_xticks(places, labels, rotation=30 if turned else 0, ha="right" if turned else "center")
    axes.set_xlabel(picture(x), fontsize=10, color=INK)
    return figure


def _vertical(axes: Any, values: np.ndarray) -> float:
    """A log axis where the values suit one; returns the least number that is shown."""
    finite = values[np.isfinite(values)]
    if suits_log(finite):
        return log_axis(axes, values)
    if not finite.size:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finite run", transform=axes.transAxes, ha="center", fontsize=10, color=INK)
        return -np.inf
    low, high = robust_limits(finite)
    if (low, high) != (finite.min(), finite.max()):
        axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
        beyond = "some values lie beyond this axis"
        axes.text(0.01, 0.99, beyond, transform=axes.transAxes, va="top", fontsize=7, color=QUIET)
    return -np.inf


def _band(axes: Any, x: np.ndarray, band: np.ndarray, color: Any, stroke: Any, name: str) -> None:
    known = np.isfinite(x) & np.isfinite(band[1])
    low, middle, high = band[:, known]
    axes.plot(x[known], middle, color=color, linewidth=1.7, linestyle=stroke, label=name)
    axes.fill_between(x[known], low, high, color=color, alpha=0.16, linewidth=0)


def _names(sweep: Swept, points: Sequence[int]) -> list[str]:
    """What tells the points apart."""
    where = sweep.where[list(points)]
    same = [axis.name for i, axis in enumerate(sweep.axes) if len(points) > 1 and np.ptp(where[:, i]) == 0]
    return [sweep.name_of(point, without=same) or "all runs" for point in points]


def common(sweep: Swept, points: Sequence[int]) -> str:
    """What all the points have in common, "" where that is nothing."""
    if len(points) < 2:
        return ""
    where = sweep.where[list(points)]
    differ = [axis.name for i, axis in enumerate(sweep.axes) if np.ptp(where[:, i]) > 0]
    return sweep.name_of(points[0], without=differ)


def _values_of(sweep: Swept, axis: str, points: Sequence[int]) -> list[str]:
    column = sweep.axis(axis)
    return [sweep.axes[column].labels[sweep.where[point, column]] for point in points]


def _lost(sweep: Swept, metric: str, point: int) -> str:
    """ " (2 of 5 diverged)"."""
    diverged = int(sweep.diverged(metric)[point])
    return f" ({diverged} of {sweep.done[point]} diverged)" if diverged else ""


def _colors(sweep: Swept, axis: str | None, count: int) -> list[Any]:
    """A scale along numbers, colours that differ for anything else."""
    if axis is None or not sweep.axes[sweep.axis(axis)].numeric:
        return [CYCLE[i % len(CYCLE)] for i in range(count)]
    scale = require("matplotlib", extra="report").colormaps["viridis"]
    return [scale(0.92 * i / max(1, count - 1)) for i in range(count)]
