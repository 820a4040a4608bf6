"""Pictures of a comparison: errors against three clocks, and ratios case by case."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcoopt.comparison.compete import Contest
from jaxcoopt.comparison.summary import ALL, ANYTIME, CLAIM
from jaxcoopt.report.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    heading,
    log_ticks,
    new_figure,
    plain_axes,
    strokes,
)
from jaxcoopt.study.contest import Scores
from jaxcoopt.words import csv_text, label, labels, picture

OURS = (BLUE, ORANGE, GREEN, PURPLE, "#000000")
CLOCKS = {"iterations": "iterations", "bits": "bits sent by the mean node", "seconds": "simulated seconds"}
STROKES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1, 1, 1)))
CEILING = 1e3  # an error as large tells no more: what diverges is drawn along the top
GREYS = ("#6B7280", "#9AA3AF", "#B08968")


def error_figure(contest: Contest, floor: float) -> Any:
    """Median error and quartile band against iterations, bits and simulated seconds, log axes; ours in colour, the
    others in greys and browns, each with the parameters tuned for the last checkpoint.
    """
    figure = new_figure(12.4, 4.4)
    heading(figure, contest.name)
    panels = figure.subplots(1, len(CLOCKS), sharey=True)
    styles = _styles(contest.scores, floor)
    for axes, (clock, what) in zip(panels, CLOCKS.items(), strict=True):
        plain_axes(axes)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(what, fontsize=10, color=INK)
        for scores in contest.scores:
            _line(axes, scores, clock, floor, styles[scores.contender.label])
        log_ticks(axes.xaxis, *axes.get_xlim())
    panels[0].set_ylabel("error", fontsize=10, color=INK)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8, handlelength=3.5
    )
    return figure


def ratio_figure(report: dict[str, Any]) -> Any:
    """Medians and quartiles of ours / best existing for every case and iteration horizon, with the paper's claim."""
    names = [picture(name) for name in labels([case["name"] for case in report["cases"]])]
    methods = list(dict.fromkeys(row["method"] for row in report["ratios"]))
    standards = [each for each in (ALL, ANYTIME) if any(row["against"] == each for row in report["ratios"])]
    marks = report["settings"]["checkpoints"]
    figure = new_figure(3.1 * len(marks) + 2.6, max(1, len(standards)) * (0.5 + 0.34 * max(2, len(names))) + 1.1)
    grid = figure.subplots(max(1, len(standards)), len(marks), sharex=True, sharey=True, squeeze=False)
    for row, against in zip(grid, standards, strict=False):
        for axes, mark in zip(row, marks, strict=True):
            plain_axes(axes)
            axes.set_xscale("log")
            axes.axvline(1.0, color=FAINT, linewidth=1.0, label="1: as good as the best")
            axes.axvline(CLAIM, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), label=f"{CLAIM:g}: the claim")
            axes.set_title(f"{against}\n{mark:,} iterations", fontsize=8, color=INK, loc="left")
            for i, method in enumerate(methods):
                _dots(axes, report["cases"], (method, against, mark), OURS[i % len(OURS)], (i + 1) / (len(methods) + 1))
            axes.set_yticks([0.5 + place for place in range(len(names))], names, fontsize=8)
            axes.set_ylim(len(names), 0)
            log_ticks(axes.xaxis, *axes.get_xlim())
    for axes in grid[-1]:
        axes.set_xlabel("error of ours / error of the best", fontsize=9, color=INK)
    handles = grid[0][0].get_legend_handles_labels()
    if handles[0]:
        figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def curves_csv(contests: Sequence[Contest]) -> str:
    """What the error pictures show, one line for each record."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["problem", "network", "nodes", "method", *CLOCKS, "error_q1", "error_median", "error_q3"])
    for contest in contests:
        for scores in contest.scores:
            curve = scores.curve
            for *clocks, error in zip(*(curve[clock] for clock in CLOCKS), curve["error"], strict=True):
                numbers = [f"{value:.6g}" for value in (*clocks, *error)]
                case = contest.problem, csv_text(contest.network), contest.nodes, csv_text(scores.contender.label)
                writer.writerow([*case, *numbers])
    return text.getvalue()


def _styles(scores: Sequence[Scores], floor: float) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    ours = [each.contender.label for each in scores if each.contender.ours]
    others = [each.contender.label for each in scores if not each.contender.ours]
    for i, name in enumerate(ours):
        found[name] = {"color": OURS[i % len(OURS)], "linewidth": 2.0, "zorder": 5}
    for i, name in enumerate(others):
        stroke, color = STROKES[i % len(STROKES)], GREYS[i // len(STROKES) % len(GREYS)]
        found[name] = {"color": color, "linewidth": 1.2, "linestyle": stroke, "zorder": 3}
    curves = [np.clip([error[1] for error in each.curve["error"]], floor, CEILING) for each in scores]
    if len({len(curve) for curve in curves}) == 1:
        for each, stroke in zip(scores, strokes(curves, log=True), strict=True):
            if stroke != "-":  # it lies on another
                found[each.contender.label]["linestyle"] = stroke
    return found


def _line(axes: Any, scores: Scores, clock: str, floor: float, style: dict[str, Any]) -> None:
    x, error = np.array(scores.curve[clock], float), np.array(scores.curve["error"], float)
    shown = np.isfinite(x) & (x > 0) & np.isfinite(error[:, 1])
    low, middle, high = np.clip(error[shown], floor, CEILING).T
    axes.plot(x[shown], middle, label=picture(label(scores.contender.label)), **style)
    high = np.where(np.isfinite(high), high, CEILING)
    axes.fill_between(x[shown], low, high, color=style["color"], alpha=0.15, linewidth=0, zorder=2)


def _dots(axes: Any, cases: Sequence[dict[str, Any]], wanted: tuple[str, str, int], color: str, offset: float) -> None:
    """One dot a case, with a whisker from quartile to quartile."""
    method, against, mark = wanted
    for place, case in enumerate(cases):
        for row in case["ratios"]:
            if (row["method"], row["against"], row["kind"], row["checkpoint"]) != (method, against, "iterations", mark):
                continue
            low, middle, high = row["error"]
            if middle is None or low is None:
                continue
            name = picture(label(method)) if place == 0 else None
            axes.plot(middle, place + offset, "o", color=color, markersize=4.5, label=name)
            axes.plot([low, high or middle], [place + offset] * 2, color=color, linewidth=1.4)
