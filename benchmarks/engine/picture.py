"""A picture of the cost of a node update against n, d, runs and m."""

from typing import Any

from benchmarks.engine.case import HEADLINE
from benchmarks.engine.rows import best_numpy
from jaxcoopt.report.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, log_ticks, new_figure, styled

AXES = {"nodes": "nodes n", "degree": "degree d", "runs": "runs", "params": "parameters m"}


@styled
def cost_figure(rows: list[dict[str, Any]]) -> Any:
    """One panel an axis: the rows that differ in nothing else, the largest such set (the headline's among equals)."""
    figure = new_figure(13.0, 3.6)
    panels = figure.subplots(1, len(AXES), sharey=True, squeeze=False)[0]
    for axes, (axis, label) in zip(panels, AXES.items(), strict=True):
        chosen = series(rows, axis)
        for name, color, style, cost in _LINES:
            points = [(row["case"][axis], 1e9 * value) for row in chosen if (value := cost(row)) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=color, label=name, markersize=4, linewidth=1.6)
        ticks = [row["case"][axis] for row in chosen]
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(f"{label}  ({_centre(chosen, axis)})", fontsize=9)
    log_ticks(panels[0].yaxis, *panels[0].get_ylim())
    panels[0].set_ylabel("ns per node update")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="outside upper left")
    return figure


def series(rows: list[dict[str, Any]], axis: str) -> list[dict[str, Any]]:
    """The largest set of rows along an axis, sorted."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if "engine" in row:
            sets.setdefault(str({k: v for k, v in row["case"].items() if k != axis}), []).append(row)
    centre = HEADLINE.settings()

    def rank(each: list[dict[str, Any]]) -> tuple[int, bool]:
        return len(each), each[0]["case"] | {axis: centre[axis]} == centre

    largest = max(sets.values(), key=rank, default=[])
    return sorted(largest, key=lambda row: row["case"][axis])


def _centre(chosen: list[dict[str, Any]], axis: str) -> str:
    short = {"nodes": "n", "degree": "d", "runs": "runs", "params": "m"}
    case = chosen[0]["case"] if chosen else {}
    return ", ".join(f"{name}={case[key]:,}" for key, name in short.items() if key != axis and case)


def _numpy(row: dict[str, Any]) -> float | None:
    best = best_numpy(row)
    return None if best is None else best["seconds_per_node_update"]


def _floor(row: dict[str, Any]) -> float | None:
    updates = row["case"]["nodes"] * row["case"]["runs"]
    return row["floor"]["seconds"] / updates if "floor" in row else None


_LINES = (
    ("jaxcoopt", BLUE, "o-", lambda row: row["seconds_per_node_update"]),
    ("NumPy/SciPy, the best", ORANGE, "o-", _numpy),
    ("jax.vmap", GREEN, "o-", lambda row: row["rivals"].get("vmap", {}).get("seconds_per_node_update")),
    ("decent-bench", PURPLE, "o", lambda row: row["rivals"].get("decent-bench", {}).get("seconds_per_node_update")),
    ("floor", FAINT, "o--", _floor),
)
