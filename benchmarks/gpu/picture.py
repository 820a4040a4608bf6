"""A picture of the times: over runs and nodes, beside the floor and the rivals, and what each choice is worth."""

from typing import Any

from benchmarks.gpu import told
from jaxcoopt.report.style import BLUE, CYCLE, FAINT, new_figure, styled


@styled
def figure(report: told.Report) -> Any:
    """Three panels; those without rows stay empty."""
    made = new_figure(13.0, 4.0)
    over_runs, over_nodes, choices = made.subplots(1, 3, squeeze=False)[0]
    _over_runs(over_runs, report)
    _over_nodes(over_nodes, report)
    _choices(choices, report)
    return made


def _line(axes: Any, points: list[tuple[float, float]], label: str, color: str, style: str = "o-") -> None:
    if points:
        axes.plot(*zip(*sorted(points), strict=True), style, color=color, label=label, markersize=4, linewidth=1.6)


def _over_runs(axes: Any, report: told.Report) -> None:
    """The largest network that the rivals have, 1,000 nodes usually."""
    engine = [
        row for row in told.rows(report, "engine") if row.get("method") == "message" and row["graph"] == "regular"
    ]
    rivals = told.rows(report, "rivals")
    nodes = 1000 if any(row["nodes"] == 1000 for row in engine) else max((row["nodes"] for row in engine), default=0)
    here = [row for row in engine if row["nodes"] == nodes]
    _line(axes, [(row["runs"], row["us"]) for row in here], "jaxcoopt", BLUE)
    _line(axes, [(row["runs"], row["floor_us"]) for row in here], "floor", FAINT, "o--")
    names = dict.fromkeys(row["entrant"] for row in rivals if row["entrant"] != "engine" and "us" in row)
    for name, color in zip(names, (*CYCLE[1:], *CYCLE[1:]), strict=False):
        points = [(row["runs"], row["us"]) for row in rivals if row["entrant"] == name and row["nodes"] == nodes]
        _line(axes, points, name, color)
    _axes(axes, "runs", f"us an iteration, {nodes:,} nodes")


def _over_nodes(axes: Any, report: told.Report) -> None:
    rows = [row for row in told.rows(report, "engine") if row.get("graph") == "regular" and row.get("params", 0) <= 100]
    runs = 64 if any(row["runs"] == 64 for row in rows) else max((row["runs"] for row in rows), default=0)
    for name, color in zip(dict.fromkeys(row["method"] for row in rows), CYCLE, strict=False):
        here = [(row["nodes"], row["us"]) for row in rows if row["method"] == name and row["runs"] == runs]
        _line(axes, here, name, color)
    _axes(axes, "nodes", f"us an iteration, {runs:,} runs")


def _axes(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend(fontsize=7)


def _choices(axes: Any, report: told.Report) -> None:
    """Times without a choice over those with it: above 1 it pays."""
    heading_and_rows = told.rows(report, "choices")
    base = {row["name"].rsplit(",", 1)[0]: row["us"] for row in heading_and_rows if not row["without"]}
    bars = [
        (f"{row['without']}\n{row['method']}, n={row['nodes']} runs={row['runs']}", row["us"] / base[case])
        for row in heading_and_rows
        if row["without"] and (case := row["name"].rsplit(",", 1)[0]) in base
    ]
    if bars:
        names, ratios = zip(*bars, strict=True)
        axes.barh(range(len(bars)), ratios, color=BLUE)
        axes.set_yticks(range(len(bars)), names, fontsize=6)
        axes.axvline(1, color=FAINT)
        axes.invert_yaxis()
    axes.set_xlabel("time without a choice over with it")
