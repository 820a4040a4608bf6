"""A sweep in numbers: a line for each point and metric, what came of the runs, and the best points for the screen."""

from typing import Any

import numpy as np
from rich.table import Table

from jaxcoopt.errors import require
from jaxcoopt.escaping import LONGEST, plain, terminal
from jaxcoopt.report.best import ranking
from jaxcoopt.report.swept import Swept
from jaxcoopt.report.table import headed_table
from jaxcoopt.study.statistics import Statistics, quartiles

BEST = 5  # lines of the table on the screen
STATISTICS = ("runs", "mean", "mean_low", "mean_high", "median", "median_low", "median_high", "q1", "q3")


def table(sweep: Swept, values: dict[str, Statistics]) -> Any:
    """A pandas.DataFrame, one line for each metric and point: its axes' values, how its runs ended, the statistics at
    the last record over those that are finite, and the median bits and seconds.
    """
    pandas = require("pandas", extra="report")
    axes = {axis.name: [axis.values[i] for i in sweep.where[:, column]] for column, axis in enumerate(sweep.axes)}
    ended = {name.lower(): count for name, count in sweep.counts.items()}
    spent = {name: quartiles(clock[..., -1])[1] for name, clock in sweep.clocks.items()}
    parts = []
    for name, each in values.items():
        columns = {"metric": name, "units": sweep.units[name], "iteration": sweep.iterations[-1]}
        found = {"finite" if field == "runs" else field: getattr(each, field) for field in STATISTICS}
        parts.append(pandas.DataFrame(axes | columns | ended | found | spent, index=range(len(sweep.where))))
    return pandas.concat(parts, ignore_index=True)


def summary(sweep: Swept, values: dict[str, Statistics]) -> dict[str, Any]:
    """How much is done, how the runs ended, the best point of each metric, and the points with diverged runs."""
    ended = {name: int(count.sum()) for name, count in sweep.counts.items() if name != "PENDING" and count.any()}
    return {
        "title": sweep.title,
        "axes": {axis.name: list(axis.values) for axis in sweep.axes},
        "points": len(sweep.where),
        "seeds": sweep.status.shape[1],
        "runs": int(sweep.status.size),
        "done": int(sweep.done.sum()),
        "iterations": int(sweep.iterations[-1]),
        "status": ended,
        "points_without": lacking(sweep),
        "best": {name: _best(sweep, name, each) for name, each in values.items()},
        "diverged": diverged(sweep),
        "settings": sweep.attributes.get("settings"),
        "versions": sweep.attributes.get("versions"),
    }


def diverged(sweep: Swept) -> list[dict[str, Any]]:
    """The points with runs that diverged, those that lost the largest part first; left: the median iteration."""
    from_status = sweep.counts["DIVERGED"]
    points = np.flatnonzero(from_status)
    order = points[np.argsort(-from_status[points] / sweep.done[points], kind="stable")]
    rows = []
    for point in order:
        left = sweep.left[point][sweep.status[point] == 2]
        rows.append(
            {
                "point": _values(sweep, int(point)),
                "diverged": int(from_status[point]),
                "done": int(sweep.done[point]),
                "left": int(np.median(left)),
            }
        )
    return rows


def lacking(sweep: Swept) -> dict[str, int]:
    """The statistics without a value at points of which runs are done that did not diverge: at how many such points."""
    used = sweep.done > sweep.counts["DIVERGED"]
    empty = {name: used & ~np.isfinite(each).any(axis=(1, 2)) for name, each in (sweep.metrics | sweep.clocks).items()}
    return {name: int(points.sum()) for name, points in empty.items() if points.any()}


def progress(sweep: Swept) -> str:
    """ "60 of 120 runs are done (50 %): 40 MAX_STEPS, 20 DIVERGED", and which statistics lack values."""
    runs, done = sweep.status.size, int(sweep.done.sum())
    ended = ", ".join(
        f"{count.sum():,} {name}" for name, count in sweep.counts.items() if name != "PENDING" and count.any()
    )
    part = (
        f"{done:,} of {runs:,} runs are done ({100 * done // runs} %)" if done < runs else f"all {runs:,} runs are done"
    )
    points = len(sweep.where)
    none = ", ".join(f"{name} at {count:,} of {points:,} points" for name, count in lacking(sweep).items())
    gaps = f"; no values of {none}: a point has none of its own, or the store has lost them" if none else ""
    return (f"{part}: {ended}" if ended else part) + gaps


def screen_table(sweep: Swept, metric: str, values: Statistics) -> Table:
    """The best points of a metric."""
    heading = f"{metric.replace('_', ' ')} after {sweep.iterations[-1]:,} iterations: the least medians"
    names = [plain(axis.name, LONGEST) for axis in sweep.axes]
    headings = [*names, "median", "quartiles", "mean", "95 % of the mean", "finite runs", "diverged"]
    ranked, rows = ranking(sweep, metric, values.median), []
    for point in ranked.order[:BEST]:
        labels = [axis.labels[i] for axis, i in zip(sweep.axes, sweep.where[point], strict=True)]
        numbers = [
            f"{values.median[point]:.3g}",
            f"{values.q1[point]:.3g} .. {values.q3[point]:.3g}",
            f"{values.mean[point]:.3g}",
            f"{values.mean_low[point]:.3g} .. {values.mean_high[point]:.3g}" if values.runs[point] > 1 else "-",
            f"{values.runs[point]} of {sweep.status.shape[1]}",
            str(sweep.diverged(metric)[point]),
        ]
        rows.append([*labels, *numbers])
    shown = headed_table(heading, headings, rows)
    shown.caption, shown.caption_justify = terminal(ranked.why) if ranked.why else None, "left"
    return shown


def _best(sweep: Swept, metric: str, values: Statistics) -> dict[str, Any] | None:
    """The best point, and with how many others it shares the least value; None where none may be called so."""
    best = ranking(sweep, metric, values.median).best
    if not len(best):
        return None
    point = int(best[0])
    numbers = {name: float(getattr(values, name)[point]) for name in ("median", "q1", "q3", "mean")}
    known = {"point": _values(sweep, point), "tied_with": len(best) - 1, "finite": int(values.runs[point])}
    return known | numbers


def _values(sweep: Swept, point: int) -> dict[str, int | float | str]:
    return {axis.name: axis.values[i] for axis, i in zip(sweep.axes, sweep.where[point], strict=True)}
