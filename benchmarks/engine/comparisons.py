"""The figures that were asked for, from the rows of a report: each with its aim and what was measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.engine.case import HEADLINE, RINGS, Case
from benchmarks.engine.rows import best_numpy
from jaxcoopt.shown import briefly

Rows = dict[str, dict[str, Any]]
SHORT, MIDDLE, LONG = RINGS


@briefly
@dataclass(frozen=True)
class Comparison:
    """What is compared, the aim in words, the figure (None where its cases were not measured) and whether it is met."""

    what: str
    aim: str
    value: float | None
    met: bool | None


def comparisons(rows: list[dict[str, Any]]) -> list[Comparison]:
    """All of them, in the order of the table."""
    timed = {row["name"]: row for row in rows if "engine" in row}
    decent, ideal = Case(nodes=100, degree=10), replace(HEADLINE, channel="ideal")
    regular, hubs = (Case(nodes=10000, runs=16, graph=graph) for graph in ("regular", "barabasi-albert"))
    return [
        _at_least("64 runs, log-quantized: times the best NumPy/SciPy", 5.0, _against_numpy(timed, HEADLINE)),
        _at_least("1 run: times the best NumPy/SciPy", 2.0, _against_numpy(timed, replace(HEADLINE, runs=1))),
        _at_least("64 runs, ideal links: times the best NumPy/SciPy", 8.0, _against_numpy(timed, ideal)),
        _at_least("n=100, d=10: times decent-bench, per node update", 3000.0, _ratio(timed, decent, "decent-bench")),
        _at_least("percent of the floor, 64 runs", 60.0, timed.get(HEADLINE.name, {}).get("percent_of_floor")),
        _at_most("n=10,000, 16 runs: Barabasi-Albert over regular, cost", 2.0, _cost_ratio(timed, hubs, regular)),
        _at_most("ring, 4 runs: cost per node update, n=100,000 over 10,000", 1.5, _cost_ratio(timed, LONG, MIDDLE)),
        _at_most("ring, 4 runs: cost per node update, n=100,000 over 1,000", 1.5, _cost_ratio(timed, LONG, SHORT)),
    ]


def _against_numpy(timed: Rows, case: Case) -> float | None:
    best = best_numpy(timed[case.name]) if case.name in timed else None
    return None if best is None else best["ratio"]


def _ratio(timed: Rows, case: Case, rival: str) -> float | None:
    return timed.get(case.name, {}).get("rivals", {}).get(rival, {}).get("ratio")


def _cost_ratio(timed: Rows, case: Case, other: Case) -> float | None:
    if case.name not in timed or other.name not in timed:
        return None
    return timed[case.name]["seconds_per_node_update"] / timed[other.name]["seconds_per_node_update"]


def _at_least(what: str, aim: float, value: float | None) -> Comparison:
    return _compared(what, f"at least {aim:,g}", value, lambda at: at >= aim)


def _at_most(what: str, aim: float, value: float | None) -> Comparison:
    return _compared(what, f"at most {aim:,g}", value, lambda at: at <= aim)


def _compared(what: str, aim: str, value: float | None, met: Callable[[float], bool]) -> Comparison:
    return Comparison(what, aim, value, None if value is None else met(value))
