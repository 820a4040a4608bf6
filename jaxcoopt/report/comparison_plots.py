"""Pictures of a comparison: errors against three clocks, and ratios case by case."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcoopt.escaping import csv_text, label, labels, picture
from jaxcoopt.report.curves import CLOCKS, Curve, clock_panels, legend_beside
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
    strokes,
    styled,
)
from jaxcoopt.report.table import csv_lines
from jaxcoopt.study.contest import ContenderScores, Contest
from jaxcoopt.study.ratios import ALL, ANYTIME, CLAIM

OURS = (BLUE, ORANGE, GREEN, PURPLE, "#000000")
STROKES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1, 1, 1)))
CEILING = 1e3  # an error as large tells no more: what diverges is drawn along the top
GREYS = ("#6B7280", "#9AA3AF", "#B08968")


@styled
def error_figure(contest: Contest, floor: float) -> Any:
    """Median error and quartile band against iterations, bits and simulated seconds, log axes; ours in colour, the
    others in greys and browns, each with the parameters tuned for the last checkpoint.
    """
    figure = new_figure(12.4, 4.4)
    heading(figure, contest.name)
    panels = clock_panels(figure, list(CLOCKS.values()), _curves(contest.scores, floor))
    for axes in panels:
        axes.set(xscale="log", yscale="log")
        log_ticks(axes.xaxis, *axes.get_xlim())
    panels[0].set_ylabel("error")
    legend_beside(figure, panels[0])
    return figure


@styled
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
            axes.set_xscale("log")
            axes.axvline(1.0, color=FAINT, linewidth=1.0, label="1: as good as the best")
            axes.axvline(CLAIM, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), label=f"{CLAIM:g}: the claim")
            axes.set_title(f"{against}\n{mark:,} iterations", fontsize=8)
            for i, method in enumerate(methods):
                _dots(axes, report["cases"], (method, against, mark), OURS[i % len(OURS)], (i + 1) / (len(methods) + 1))
            axes.set_yticks([0.5 + place for place in range(len(names))], names, fontsize=8)
            axes.set_ylim(len(names), 0)
            log_ticks(axes.xaxis, *axes.get_xlim())
    for axes in grid[-1]:
        axes.set_xlabel("error of ours / error of the best", fontsize=9)
    handles = grid[0][0].get_legend_handles_labels()
    if handles[0]:
        figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def curves_csv(contests: Sequence[Contest]) -> str:
    """What the error pictures show, one line for each record."""
    headings, rows = ["problem", "network", "nodes", "method", *CLOCKS, "error_q1", "error_median", "error_q3"], []
    for contest in contests:
        for scores in contest.scores:
            case = contest.problem, csv_text(contest.network), contest.nodes, csv_text(scores.contender.label)
            columns = *(scores.curve[clock] for clock in CLOCKS), *scores.curve["error"]
            rows += [[*case, *numbers] for numbers in zip(*columns, strict=True)]
    return csv_lines(rows, headings, float_format="%.6g")


def _curves(scores: Sequence[ContenderScores], floor: float) -> list[Curve]:
    """Ours in colours, the others in greys with strokes of their own; dashed where they lie on each other."""
    bands = [np.clip(each.curve["error"], floor, CEILING) for each in scores]
    alike = len({band.shape for band in bands}) == 1
    dashes = strokes([band[1] for band in bands], log=True) if alike else ["-"] * len(bands)
    found, counts = [], {True: 0, False: 0}
    for each, band, dash in zip(scores, bands, dashes, strict=True):
        ours, i = each.contender.ours, counts[each.contender.ours]
        counts[ours] += 1
        color = OURS[i % len(OURS)] if ours else GREYS[i // len(STROKES) % len(GREYS)]
        stroke = dash if ours or dash != "-" else STROKES[i % len(STROKES)]
        positive = [np.where(each.curve[clock] > 0, each.curve[clock], np.nan) for clock in CLOCKS]
        band = np.where(np.isfinite(each.curve["error"][1]), band, np.nan)
        width, order = (2.0, 5.0) if ours else (1.2, 3.0)
        found.append(Curve(label(each.contender.label), positive, band, color, [stroke] * len(positive), width, order))
    return found


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
