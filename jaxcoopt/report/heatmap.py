"""A metric at the end over two swept axes: cells of a grid, or dots where the points fill no grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxcoopt.errors import require
from jaxcoopt.escaping import picture
from jaxcoopt.report.axis import SweptAxis
from jaxcoopt.report.best import Ranking, ranking
from jaxcoopt.report.style import BAD, GRID, INK, QUIET, decades, heading, new_figure, robust_limits, styled, suits_log
from jaxcoopt.report.swept import Swept
from jaxcoopt.shown import briefly

PANELS = 9
WRITTEN = 48  # a panel of at most so many cells has its numbers written in them
RULED = 600  # of at most so many, cells are set apart by white lines
NOTHING = GRID  # a cell without a number
FILLED = 0.5  # points that fill less of the grid are drawn as dots
NO_POINT = -1
HEADING = 60  # characters over a panel
SIDES = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
OUTSIDE = {"min": "the low side", "max": "the high side", "both": "both sides"}
FRAME = "#FF9F1C"  # of the best: seen on dark cells and on white


@briefly
@dataclass(frozen=True)
class Panel:
    """One combination of the axes that are not drawn: its points, and the best of them in each cell."""

    name: str
    points: Int[np.ndarray, " points"]
    cells: Int[np.ndarray, "y x"]


def is_grid(sweep: Swept, x: str, y: str) -> bool:
    """False for random samples, whose values hardly ever meet."""
    pairs = sweep.where[:, [sweep.axis(x), sweep.axis(y)]]
    size = len(sweep.axes[sweep.axis(x)].values) * len(sweep.axes[sweep.axis(y)].values)
    return len(np.unique(pairs, axis=0)) >= FILLED * size


def panels(sweep: Swept, order: Int[np.ndarray, " ranked"], x: str, y: str) -> list[Panel]:
    """One for each combination of the other axes; random samples are all in one. order: the points, the best first."""
    if not is_grid(sweep, x, y):
        return [_panel(sweep, order, np.arange(len(sweep.where)), x, y, "")]
    rest = [i for i, axis in enumerate(sweep.axes) if axis.name not in (x, y)]
    combinations, which = np.unique(sweep.where[:, rest], axis=0, return_inverse=True)
    found = []
    for i in range(len(combinations)):
        points = np.flatnonzero(which.ravel() == i)
        found.append(_panel(sweep, order, points, x, y, sweep.name_of(int(points[0]), without=(x, y))))
    return found


@styled
def heatmap_figure(sweep: Swept, metric: str, median: Float[np.ndarray, " points"], label: str, x: str, y: str) -> Any:
    """median: of the metric at the end, NaN where no run is finite; label: what it is.

    One panel for each combination of the other axes, of more than nine those with the best cells. A cross: most runs
    of the cell diverged; grey: no number. The best cell is framed, where one is better than all others.
    """
    ranked = ranking(sweep, metric, median)
    every = panels(sweep, ranked.order, x, y)
    shown = _best_panels(every, ranked.order)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(*_size(sweep, x, y, columns, rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    norm, ticks, labels, floor, beyond = _colours(median, sweep.mostly_diverged(metric))
    drawn = None
    for axes, panel in zip(grid.flat, shown, strict=False):
        drawn = _draw(axes, sweep, np.maximum(median, floor), panel, (x, y), norm)
        _mark(axes, sweep, metric, median, panel, (x, y), ranked.only)
        axes.set_title(picture(panel.name, HEADING))
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(picture(x))
    for axes in grid[:, 0]:
        axes.set_ylabel(picture(y))
    if len(ranked.order):
        bar = figure.colorbar(drawn, ax=grid, pad=0.02, aspect=26, shrink=0.9, extend=beyond)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
        if ticks is not None:
            bar.ax.minorticks_off()
            bar.set_ticks(ticks, labels=labels)
    few = f"; the best {len(shown)} of {len(every)} panels" if len(shown) < len(every) else ""
    heading(figure, sweep.title, label + few, size=11)
    notes = _notes(sweep, metric, median, ranked, is_grid(sweep, x, y), beyond)
    figure.supxlabel("; ".join(notes), fontsize=8, color=QUIET, x=0.01, ha="left")
    return figure


def _panel(sweep: Swept, order: np.ndarray, points: np.ndarray, x: str, y: str, name: str) -> Panel:
    axes = sweep.axis(y), sweep.axis(x)
    cells = np.full([len(sweep.axes[i].values) for i in axes], NO_POINT)
    ranked = order[np.isin(order, points)]
    for point in [*points[~np.isin(points, ranked)], *ranked[::-1]]:  # the best last, as it stays
        cells[tuple(sweep.where[point, list(axes)])] = point
    return Panel(name, points, cells)


def _best_panels(every: list[Panel], ranked: np.ndarray) -> list[Panel]:
    """At most nine, in the sweep's order."""
    place = {int(point): i for i, point in enumerate(ranked)}
    best = [min(place.get(int(point), len(ranked)) for point in panel.points) for panel in every]
    return [every[i] for i in sorted(np.argsort(best, kind="stable")[:PANELS])]


def _size(sweep: Swept, x: str, y: str, columns: int, rows: int) -> tuple[float, float]:
    """Inches: cells large enough to read, but no picture larger than a page."""
    across, up = (len(sweep.axes[sweep.axis(name)].values) for name in (x, y))
    width = float(np.clip(0.62 * across, 2.6 if columns > 1 else 4.2, 7.5 / columns + 1))
    height = float(np.clip(0.45 * up, 1.9 if rows > 1 else 2.8, 5.5 / rows + 0.8))
    return max(columns * width + 2.4, 8.0), rows * (height + 0.3) + 1.4


def _colours(median: np.ndarray, diverged: np.ndarray) -> tuple[Any, Any, Any, float, str]:
    """(norm, ticks and labels or None, the least number shown, on which side the scale is left), of all panels alike.

    Points of which most runs diverged have no say in the scale, nor have a few that would take most of it.
    """
    colors = require("matplotlib.colors", extra="report")
    every = median[np.isfinite(median)]
    if not every.size:
        return colors.Normalize(0, 1), [], [], -np.inf, "neither"
    trusted = median[np.isfinite(median) & ~diverged]
    finite = _told_apart(trusted if trusted.size else every)
    beyond = SIDES[bool(every.min() < finite.min()), bool(every.max() > finite.max())]
    if not suits_log(finite):
        low, high = float(finite.min()), float(finite.max())
        if low == high:
            return colors.Normalize(low - 1, low + 1), [low], [f"{low:.3g}"], -np.inf, beyond
        return colors.Normalize(low, high), None, None, -np.inf, beyond
    floor, exponents, labels = decades(finite)
    least = floor if np.any(finite <= 0) else float(finite.min())
    inside = [i for i, e in enumerate(exponents) if least <= 10.0**e * (1 + 1e-9) and 10.0**e <= finite.max()]
    norm = colors.LogNorm(least, float(finite.max()))
    if len(inside) < 2 and least > floor:  # less than two decades: let the library find numbers
        return norm, None, None, floor, beyond
    return norm, [10.0 ** exponents[i] for i in inside], [labels[i] for i in inside], floor, beyond


def _told_apart(values: np.ndarray) -> np.ndarray:
    """The values that a scale, logarithmic where that suits them, is made for."""
    shown = values
    if suits_log(values):
        shown = np.log10(np.maximum(values, decades(values)[0]))
    low, high = robust_limits(shown)
    return values[(shown >= low) & (shown <= high)]


def _draw(axes: Any, sweep: Swept, values: np.ndarray, panel: Panel, names: tuple[str, str], norm: Any) -> Any:
    across, up = (sweep.axes[sweep.axis(name)] for name in names)
    _ticks(axes, across, up, is_grid(sweep, *names))
    axes.spines[:].set_visible(False)
    if is_grid(sweep, *names):
        axes.set_facecolor(NOTHING)
        axes.grid(False)
        cells = np.where(panel.cells == NO_POINT, np.nan, values[panel.cells])
        rule = 0.6 if cells.size <= RULED else 0.0
        return axes.pcolormesh(across.edges, up.edges, cells, norm=norm, edgecolors="white", linewidth=rule)
    where = sweep.where[:, [sweep.axis(name) for name in names]]
    x, y = across.places[where[:, 0]], up.places[where[:, 1]]
    return axes.scatter(x, y, c=values, norm=norm, s=34, edgecolors="white", linewidths=0.4, plotnonfinite=False)


def _ticks(axes: Any, across: SweptAxis, up: SweptAxis, grid: bool) -> None:
    places, labels = across.ticks(grid)
    turned, labels = sum(map(len, labels)) > 40, list(map(picture, labels))
    axes.set_xticks(places, labels, rotation=30 if turned else 0, ha="right" if turned else "center")
    places, labels = up.ticks(grid)
    axes.set_yticks(places, list(map(picture, labels)))
    axes.tick_params(length=0)


def _mark(
    axes: Any,
    sweep: Swept,
    metric: str,
    median: np.ndarray,
    panel: Panel,
    names: tuple[str, str],
    best: int | None,
) -> None:
    """Numbers where there is room, crosses where runs diverged, a frame around the best of all."""
    across, up = (sweep.axes[sweep.axis(name)] for name in names)
    columns = [sweep.axis(name) for name in names]
    grid = is_grid(sweep, *names)
    written = grid and panel.cells.size <= WRITTEN
    diverged, mostly = sweep.diverged(metric), sweep.mostly_diverged(metric)
    for point in panel.cells[panel.cells != NO_POINT] if grid else panel.points:
        i, j = sweep.where[point, columns]
        x, y = float(across.places[i]), float(up.places[j])
        if written and sweep.done[point]:
            _write(axes, x, y, float(median[point]), int(diverged[point]), int(sweep.done[point]))
        elif mostly[point]:
            axes.plot(x, y, "x", color=BAD, zorder=4, markersize=6, markeredgewidth=1.4)
        if point == best and grid and panel.cells.size <= RULED:
            corner, size = (across.edges[i], up.edges[j]), (np.diff(across.edges)[i], np.diff(up.edges)[j])
            patches = require("matplotlib.patches", extra="report")
            axes.add_patch(patches.Rectangle(corner, *size, fill=False, edgecolor=FRAME, linewidth=2.2, zorder=5))
        elif point == best:
            axes.plot(
                x, y, "o", markersize=10, markerfacecolor="none", markeredgecolor=FRAME, markeredgewidth=2, zorder=5
            )


def _write(axes: Any, x: float, y: float, value: float, diverged: int, done: int) -> None:
    """The number, on a pale ground that any colour can lie below, and how many runs diverged."""
    lines = [f"{value:.3g}"] if np.isfinite(value) else []
    lines += [f"× {diverged}/{done}"] if diverged else []
    ground = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    color = BAD if 2 * diverged > done else INK
    axes.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=7.5, color=color, zorder=4, bbox=ground)


def _notes(sweep: Swept, metric: str, median: np.ndarray, ranked: Ranking, grid: bool, beyond: str) -> list[str]:
    """What the marks mean, those that there are."""
    notes = [ranked.note] if ranked.note else []
    notes += [f"the colours leave out what is far off, on {OUTSIDE[beyond]}"] if beyond != "neither" else []
    notes += ["× red: most runs diverged"] if sweep.mostly_diverged(metric).any() else []
    notes += ["grey: no number (all diverged, or not run yet)"] if grid and np.isnan(median).any() else []
    return notes
