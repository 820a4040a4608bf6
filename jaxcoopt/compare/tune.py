"""Grid search: all points on all tuning instances as one batch of runs, a winner for each horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxcoopt.compare.contenders import Contender
from jaxcoopt.compare.measure import Case, Traces, last_record, run_jobs
from jaxcoopt.shown import briefly

Horizon = tuple[str, float]


@briefly
@dataclass(frozen=True)
class Tuned:
    """winners: the grid point of each horizon; scores: their median errors; at_edge: the tuned names whose value is the
    first or last of its grid at some horizon.
    """

    winners: list[dict[str, float]]
    scores: list[float]
    at_edge: list[str]


def grid_search(contender: Contender, case: Case, horizons: Sequence[Horizon], steps: int) -> Tuned:
    """The point with the least median error over the instances at each horizon ("iterations" or "bits", limit)."""
    points = contender.points()
    if not points:
        return Tuned([{} for _ in horizons], [float("nan")] * len(horizons), [])
    count, instances = len(next(iter(points.values()))), len(case.instances)
    values = {name: np.repeat(each, instances) for name, each in points.items()}
    traces = run_jobs(contender, case, values, np.tile(np.arange(instances), count), steps)
    scores = point_scores(traces, horizons, count)
    best = scores.argmin(axis=1)
    winners = [{name: float(each[i]) for name, each in points.items()} for i in best]
    return Tuned(winners, [float(row[i]) for row, i in zip(scores, best, strict=True)], _at_edge(winners, points))


def point_scores(traces: Traces, horizons: Sequence[Horizon], count: int) -> Float[np.ndarray, "horizons points"]:
    """The median error over the instances of every point; jobs are sorted by point."""
    rows = [last_record(traces, kind, limit) for kind, limit in horizons]
    errors = traces.values["error"][rows].reshape(len(rows), count, -1)
    return np.median(errors, axis=2)


def _at_edge(winners: Sequence[Mapping[str, float]], points: Mapping[str, np.ndarray]) -> list[str]:
    """Names that a wider grid might serve better."""
    tried = {name: np.unique(each) for name, each in points.items()}
    return [
        name
        for name, each in tried.items()
        if len(each) > 2 and any(winner[name] in (each[0], each[-1]) for winner in winners)
    ]
