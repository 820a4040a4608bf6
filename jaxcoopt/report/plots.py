"""Pictures of a trace: gaps against iterations, bits and time, and how feasible the run was."""

from typing import Any

import numpy as np

from jaxcoopt.report.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    heading,
    log_axis,
    new_figure,
    plain_axes,
    prefixed_ticks,
    strokes,
)
from jaxcoopt.report.summary import why_endless
from jaxcoopt.run.result import Result

GAPS = {"allocation_gap": ("CPU allocation", BLUE), "training_gap": ("training", ORANGE)}
WITHOUT_OPTIMUM = {"training_loss": ("training loss", ORANGE)}
FEASIBILITY = {
    "budget_residual": ("Budget residual", "relative to the budget or all shares", BLUE),
    "box_violation": ("Box violation", "CPU units", PURPLE),
    "consensus_error": ("Consensus error", "distance to the mean model", GREEN),
}


def gaps_figure(result: Result, title: str) -> Any:
    """Relative gaps against iterations, bits sent and simulated seconds; the loss where no optimum is known.

    One line a half: the median over the runs, with a band from the best to the worst. A gap's size is shown: below
    the optimum's cost lie only points outside the box, and rounding.
    """
    shown = {name: style for name, style in GAPS.items() if name in result.trace}
    if "training_gap" not in shown and "training_loss" in result.trace:
        shown |= WITHOUT_OPTIMUM
    clocks = _clocks(result)
    figure = new_figure(4.0 * len(clocks) + 0.4, 3.9)
    heading(figure, title)
    panels = figure.subplots(1, len(clocks), sharey=True, squeeze=False)[0]
    values = {name: np.abs(np.asarray(result.trace[name], np.float64)) for name in shown}
    everything = np.concatenate([each.ravel() for each in values.values()])
    styles = strokes([_over_runs(np.median, each) for each in values.values()], log=True)
    for axes, (label, x) in zip(panels, clocks.items(), strict=True):
        plain_axes(axes)
        floor = log_axis(axes, everything)
        for (name, (half, color)), stroke in zip(shown.items(), styles, strict=True):
            _draw(axes, x, values[name], floor, color, half, stroke)
        axes.set_xlabel(label, fontsize=10, color=INK)
        prefixed_ticks(axes, x)
    if not np.isfinite(clocks["simulated seconds"][-1]).any():
        panels[-1].set_title(f"infinite: {why_endless(result)}", fontsize=8, color=INK, loc="left", wrap=True)
    panels[0].set_ylabel("loss or relative gap" if WITHOUT_OPTIMUM.keys() & shown.keys() else "relative gap")
    panels[0].legend(frameon=False, fontsize=9, loc="best")
    return figure


def feasibility_figure(result: Result, title: str) -> Any:
    """Budget residual, box violation and consensus error over the iterations, each on its own axis."""
    shown = {name: style for name, style in FEASIBILITY.items() if name in result.trace}
    figure = new_figure(4.2 * len(shown) + 0.4, 3.7)
    heading(figure, title)
    x = np.asarray(result.iterations, np.float64)
    for axes, (name, (what, unit, color)) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        values = np.array(result.trace[name], np.float64)
        if name == "consensus_error":  # the nodes start as one, which would stretch the axis down to rounding errors
            values[0] = np.nan
        plain_axes(axes)
        floor = log_axis(axes, values)
        if name == "budget_residual":
            _draw_dots(axes, x, values, floor, color)
        else:
            _draw(axes, x[:, None], values, floor, color, what)
        axes.set_title(what, fontsize=11, color=INK, loc="left")
        axes.set_xlabel("iterations", fontsize=10, color=INK)
        axes.set_ylabel(unit, fontsize=10, color=INK)
        prefixed_ticks(axes, x)
    return figure


def _clocks(result: Result) -> dict[str, np.ndarray]:
    """What progress is measured against: axis label to [records, runs or 1]."""
    clocks = {"iterations": np.asarray(result.iterations, np.float64)[:, None]}
    clocks["bits sent by the mean node"] = np.asarray(result.trace["bits"], np.float64)
    seconds = np.asarray(result.trace["seconds"], np.float64)
    return clocks | {"simulated seconds": np.where(np.isfinite(seconds), seconds, np.nan)}


def _draw(
    axes: Any, x: np.ndarray, values: np.ndarray, floor: float, color: str, label: str, stroke: Any = "-"
) -> None:
    """The median over runs and, with several, a band from the least to the largest; x [records, runs or 1]."""
    y = np.where(np.isfinite(values), np.maximum(values, floor), np.nan)
    x = _over_runs(np.mean, x)
    axes.plot(x, _over_runs(np.median, y), color=color, linewidth=1.8, linestyle=stroke, label=label)
    if y.shape[1] > 1:
        axes.fill_between(x, _over_runs(np.min, y), _over_runs(np.max, y), color=color, alpha=0.18, linewidth=0)


def _draw_dots(axes: Any, x: np.ndarray, values: np.ndarray, floor: float, color: str) -> None:
    """A residual that jumps between 0 and a rounding error: the worst run's, without lines between."""
    worst = _over_runs(np.max, values)
    axes.plot(x, np.maximum(worst, floor), ".", color=color, markersize=5, alpha=0.8, clip_on=False, zorder=3)


def _over_runs(function: Any, values: np.ndarray) -> np.ndarray:
    """`function` over the runs that are finite, NaN where none is."""
    rows = [row[np.isfinite(row)] for row in values]
    return np.array([function(row) if row.size else np.nan for row in rows])
