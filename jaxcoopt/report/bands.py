"""Curves of a metric with quartile bands over the seeds, against iterations, bits, seconds or along one axis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.errors import require
from jaxcoopt.escaping import picture
from jaxcoopt.report.curves import CLOCKS, Curve, clock_panels, legend_beside
from jaxcoopt.report.style import (
    BAD,
    BLUE,
    CYCLE,
    INK,
    QUIET,
    heading,
    log_axis,
    new_figure,
    prefixed_ticks,
    robust_limits,
    strokes,
    styled,
    suits_log,
    zero_level,
)
from jaxcoopt.report.swept import Swept
from jaxcoopt.study.statistics import Statistics, quartiles

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


@styled
def curves_figure(sweep: Swept, metric: str, label: str, points: Sequence[int], axis: str | None = None) -> Any:
    """Median and quartiles over the seeds, one line a point; axis: the one that they differ in, which colours them."""
    shown, chosen = clocks(sweep), list(points)
    figure = new_figure(max(3.7 * len(shown) + 3.2, 9.0), 4.2)
    heading(figure, sweep.title, label, size=11)
    bands = quartiles(sweep.metrics[metric][chosen], axis=1)
    log = suits_log(bands[np.isfinite(bands)])
    above = np.maximum(bands, zero_level(bands) if log else -np.inf)
    names = _names(sweep, chosen) if axis is None else _values_of(sweep, axis, chosen)
    colors = _colors(sweep, axis, len(chosen))
    dashes = [strokes(above[1], log, x[chosen]) for x in shown.values()]
    curves = [
        Curve(
            picture(names[i], NAME) + _lost(sweep, metric, point),
            [x[point] for x in shown.values()],
            above[:, i],
            colors[i],
            [each[i] for each in dashes],
        )
        for i, point in enumerate(chosen)
    ]
    panels = clock_panels(figure, list(shown), curves)
    for axes, x in zip(panels, shown.values(), strict=True):
        _vertical(axes, bands)
        prefixed_ticks(axes, x[chosen])
    if chosen:
        legend_beside(figure, panels[0], None if axis is None else picture(axis, NAME))
    return figure


@styled
def profile_figure(sweep: Swept, metric: str, values: Statistics, label: str, x: str) -> Any:
    """The metric at the end along the only axis: medians with whiskers from quartile to quartile.

    A red cross at the top: most of the value's runs diverged.
    """
    axis, column = sweep.axes[sweep.axis(x)], sweep.where[:, sweep.axis(x)]
    figure = new_figure(9.0, 4.2)
    heading(figure, sweep.title, label, size=11)
    axes, band = figure.subplots(), np.stack([values.q1, values.median, values.q3])
    order = np.argsort(column, kind="stable")
    places = axis.places[column[order]]
    floor = zero_level(band) if suits_log(band) else -np.inf
    q1, median, q3 = np.maximum(band[:, order], floor)
    line = "-" if axis.numeric else ""
    axes.errorbar(places, median, [median - q1, q3 - median], fmt=f"o{line}", color=BLUE, markersize=5, elinewidth=1.2)
    _vertical(axes, band)
    bad = sweep.mostly_diverged(metric)[order]
    if bad.any():
        top = axes.get_xaxis_transform()
        axes.plot(places[bad], np.full(bad.sum(), 0.97), "x", color=BAD, transform=top, label="most runs diverged")
        axes.legend()
    places, labels = axis.ticks()
    turned = sum(map(len, labels)) > 60
    labels = list(map(picture, labels))
    axes.set_xticks(places, labels, rotation=30 if turned else 0, ha="right" if turned else "center")
    axes.set_xlabel(picture(x))
    return figure


def _vertical(axes: Any, values: np.ndarray) -> None:
    """A log axis where the values suit one, else one on which they can be told apart."""
    finite = values[np.isfinite(values)]
    if suits_log(finite):
        log_axis(axes, values)
        return
    if not finite.size:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finite run", transform=axes.transAxes, ha="center", fontsize=10, color=INK)
        return
    low, high = robust_limits(finite)
    if (low, high) != (finite.min(), finite.max()):
        axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
        beyond = "some values lie beyond this axis"
        axes.text(0.01, 0.99, beyond, transform=axes.transAxes, va="top", fontsize=7, color=QUIET)


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
