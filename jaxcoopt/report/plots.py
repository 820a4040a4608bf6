"""Pictures of a trace: gaps against iterations, bits and time, and how feasible the run was."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxcoopt.escaping import picture
from jaxcoopt.report.curves import Curve, clock_panels, draw_curve
from jaxcoopt.report.style import (
    BLUE,
    CYCLE,
    GREEN,
    ORANGE,
    PURPLE,
    heading,
    log_axis,
    new_figure,
    prefixed_ticks,
    strokes,
    styled,
    suits_log,
    zero_level,
)
from jaxcoopt.report.summary import why_endless
from jaxcoopt.run.result import Result
from jaxcoopt.run.statistics import UNITS

GAPS = {"allocation_gap": ("CPU allocation", BLUE), "training_gap": ("training", ORANGE)}
WITHOUT_OPTIMUM = {"training_loss": ("training loss", ORANGE)}
FEASIBILITY = {
    "budget_residual": ("Budget residual", "relative to the budget or all shares", BLUE),
    "box_violation": ("Box violation", "CPU units", PURPLE),
    "consensus_error": ("Consensus error", "distance to the mean model", GREEN),
}


ACROSS = 3  # panels of a row


@styled
def gaps_figure(result: Result, title: str) -> Any:
    """Relative gaps against iterations, bits sent and simulated seconds; the loss where no optimum is known.

    One line a half: the median over the runs, with a band from the best to the worst. A gap's size is shown: below
    the optimum's cost lie only points outside the box, and rounding.
    """
    shown = {name: look for name, look in GAPS.items() if name in result.trace}
    if "training_gap" not in shown and "training_loss" in result.trace:
        shown |= WITHOUT_OPTIMUM
    clocks = _clocks(result)
    figure = new_figure(4.0 * len(clocks) + 0.4, 3.9)
    heading(figure, title)
    values = {name: np.abs(np.asarray(result.trace[name], np.float64)) for name in shown}
    everything = np.concatenate([each.ravel() for each in values.values()])
    dashes = strokes([_over_runs(np.median, each) for each in values.values()], log=True)
    looks = zip(shown.items(), dashes, strict=True)
    places = [_over_runs(np.mean, x) for x in clocks.values()]
    curves = [
        Curve(half, places, _band(values[name], everything), color, [dash] * len(places))
        for (name, (half, color)), dash in looks
    ]
    panels = clock_panels(figure, list(clocks), curves)
    for axes, x in zip(panels, clocks.values(), strict=True):
        log_axis(axes, everything)
        prefixed_ticks(axes, x)
    if not np.isfinite(clocks[UNITS["seconds"]][-1]).any():
        panels[-1].set_title(f"infinite: {why_endless(result)}", fontsize=8, wrap=True)
    panels[0].set_ylabel("loss or relative gap" if WITHOUT_OPTIMUM.keys() & shown.keys() else "relative gap")
    panels[0].legend(loc="best")
    return figure


@styled
def feasibility_figure(result: Result, title: str) -> Any:
    """Budget residual, box violation and consensus error over the iterations, each on its own axis."""
    shown = {name: look for name, look in FEASIBILITY.items() if name in result.trace}
    figure = new_figure(4.2 * len(shown) + 0.4, 3.7)
    heading(figure, title)
    x = np.asarray(result.iterations, np.float64)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (name, (what, unit, color)) in zip(panels, shown.items(), strict=True):
        values = np.array(result.trace[name], np.float64)
        if name == "consensus_error":  # the nodes start as one, which would stretch the axis down to rounding errors
            values[0] = np.nan
        band = _band(values, values)
        if name == "budget_residual":  # jumps between 0 and a rounding error: the worst run's, without lines between
            axes.plot(x, band[2], ".", color=color, markersize=5, alpha=0.8, clip_on=False, zorder=3)
        else:
            draw_curve(axes, Curve(what, [x], band, color, ["-"]))
        log_axis(axes, values)
        axes.set_title(what, fontsize=11)
        axes.set(xlabel="iterations", ylabel=unit)
        prefixed_ticks(axes, x)
    return figure


@styled
def metrics_figure(result: Result, title: str) -> Any:
    """The user's own metrics over the iterations, each on its own axis: the median of the runs, and a band from the
    least to the largest.
    """
    names, x = result.own_metrics, np.asarray(result.iterations, np.float64)
    rows = math.ceil(len(names) / ACROSS)
    columns = min(len(names), ACROSS)
    figure = new_figure(4.2 * columns + 0.4, 0.5 + 3.2 * rows)
    heading(figure, title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name, color in zip(panels, names, itertools.cycle(CYCLE), strict=False):
        values = np.asarray(result.trace[name], np.float64)
        values = np.where(np.isfinite(values), values, np.nan)
        draw_curve(axes, Curve(name, [x], _band(values), color, ["-"]))
        if suits_log(values):
            log_axis(axes, values)
        axes.set_title(picture(name), fontsize=11)
        axes.set(xlabel="iterations", ylabel=picture(result.units[name]))
        prefixed_ticks(axes, x)
    return figure


def _clocks(result: Result) -> dict[str, np.ndarray]:
    """What progress is measured against: axis label to [records, runs or 1]."""
    found = {"iterations": np.asarray(result.iterations, np.float64)[:, None]}
    found |= {UNITS[name]: np.asarray(result.trace[name], np.float64) for name in ("bits", "seconds")}
    return {label: np.where(np.isfinite(x), x, np.nan) for label, x in found.items()}


def _band(values: np.ndarray, every: np.ndarray | None = None) -> np.ndarray:
    """The least, the median and the largest over the runs, none below where a log axis for `every` value shows 0."""
    floor = -np.inf if every is None else zero_level(every) if np.any(every > 0) else 0.0
    y = np.where(np.isfinite(values), np.maximum(values, floor), np.nan)
    return np.stack([_over_runs(function, y) for function in (np.min, np.median, np.max)])


def _over_runs(function: Callable[[np.ndarray], float], values: np.ndarray) -> np.ndarray:
    """`function` over the runs that are finite, NaN where none is."""
    rows = [row[np.isfinite(row)] for row in values]
    return np.array([function(row) if row.size else np.nan for row in rows])
