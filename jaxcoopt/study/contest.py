"""One method in a comparison: tuned by a grid search, then run on other instances."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.names import Trio, assigned, find
from jaxcoopt.shown import briefly
from jaxcoopt.study.jobs import Case, Make, Traces, bits_at, one_number, probe, run_jobs
from jaxcoopt.study.statistics import quartiles

Horizon = tuple[str, float]  # ("iterations", limit) or ("bits", limit)
Stages = dict[str, float]  # seconds by stage


@briefly
@dataclass(frozen=True)
class Contender:
    """A method that takes part. make: it from what is tuned, scalars or [runs]; grid: name of that -> values
    that are tried; ours: whether it is measured against the others.
    """

    label: str
    make: Make
    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)
    ours: bool = False

    @cached_property
    def points(self) -> dict[str, Float[np.ndarray, " points"]]:
        """All combinations of the grid's values; no names where nothing is tuned."""
        combinations = list(itertools.product(*self.grid.values()))
        return {name: np.array([each[i] for each in combinations]) for i, name in enumerate(self.grid)}

    @cached_property
    def first(self) -> CoOptimizer:
        """At the first point of the grid. Raises ValueError naming what the method does not have."""
        return self.make({name: values[0] for name, values in self.grid.items()})

    @property
    def keeps_budget(self) -> bool:
        """At every iteration; True of what allocates nothing."""
        return getattr(self.first.allocation, "keeps_sum", True)


def with_settings(method: CoOptimizer, values: Mapping[str, Any], argument: str) -> CoOptimizer:
    """With values, scalars or [runs], at dotted names. Raises ValueError for one that is not there."""
    trio: Any = Trio(Problem(), None, method)  # pyright: ignore[reportArgumentType]
    places = [(find(name, trio, argument), value) for name, value in values.items()]
    return reduce(lambda trio, pair: assigned(trio, *pair), places, trio).method


@briefly
@dataclass(frozen=True)
class GridWinners:
    """winners: the grid point of each horizon; scores: their median errors; at_edge: the tuned names whose value is the
    first or last of its grid at some horizon.
    """

    winners: list[dict[str, float]]
    scores: list[float]
    at_edge: list[str]


@briefly
@dataclass(frozen=True)
class ContenderScores:
    """One method on one case. at: for each horizon, every quantity [instances]; curve: with the settings of the last
    horizon in iterations, iterations, bits and median seconds [records], and the quartiles of the error [3, records].
    """

    contender: Contender
    tuned: GridWinners
    at: list[dict[str, Float[np.ndarray, " instances"]]]
    curve: dict[str, np.ndarray]


@briefly
@dataclass(frozen=True)
class Contest:
    """One problem family on one network and size; skipped: label and reason of who cannot take part; clock: seconds."""

    problem: str
    network: str
    nodes: int
    scores: list[ContenderScores]
    skipped: dict[str, str]
    clock: Stages

    @property
    def name(self) -> str:
        """Of the case, in tables."""
        return f"{self.problem}, {self.network}, n = {self.nodes}"


@briefly
@dataclass(frozen=True)
class Rules:
    """checkpoints: iterations at which methods are compared, and whose bits at one number a link are the budgets of the
    comparison at equal bits. steps: of a run; longest: times as many for methods that send less.
    """

    checkpoints: Sequence[int]
    steps: int
    longest: float = 16.0

    @property
    def horizons(self) -> list[tuple[str, int]]:
        """("iterations", k) for every checkpoint, then ("bits", k)."""
        return [(kind, k) for kind in ("iterations", "bits") for k in self.checkpoints]

    def limits(self, network: Network, word: float) -> list[Horizon]:
        """The horizons as iterations, or as bits of this network's mean node; word: bits of one number on a link."""
        budgets = bits_at(network, word, np.array(self.checkpoints))
        return [("iterations", float(k)) for k in self.checkpoints] + [("bits", float(each)) for each in budgets]

    def enough(self, limits: Sequence[Horizon], per_iteration: float, record_every: int) -> int:
        """Iterations for every limit, in whole intervals between records."""
        needed = max(limit / per_iteration if kind == "bits" else limit for kind, limit in limits)
        most = min(needed, self.longest * self.steps)
        return max(self.steps, record_every * math.ceil(most / record_every - 1e-9))


def scores_of(
    contender: Contender, tuning: Case, evaluation: Case, rules: Rules, clock: Stages | None = None
) -> ContenderScores:
    """Tuned on one case and run on another: each distinct winner of a horizon once, on all instances."""
    clock = {} if clock is None else clock
    network, problem = evaluation.networks[0], evaluation.instances.batches[0][0]
    with timed(clock, "compile"):
        width, bits = probe(contender.make, tuning, contender.points)
    limits = rules.limits(network, one_number(contender.first.channel, problem, network.nodes))
    per_iteration = float(bits_at(network, bits, np.array([1000]))[0]) / 1000
    steps = rules.enough(limits, per_iteration, evaluation.record_every)
    with timed(clock, "tune"):
        tuned = grid_search(contender, tuning, limits, steps, width)
    with timed(clock, "evaluate"):
        at, curve = _evaluated(contender, evaluation, tuned, limits, steps, width, rules)
    return ContenderScores(contender, tuned, at, curve)


@contextmanager
def timed(clock: Stages, stage: str) -> Iterator[None]:
    """Adds the seconds that its block takes."""
    start = time.perf_counter()
    yield
    clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start


def grid_search(contender: Contender, case: Case, limits: Sequence[Horizon], steps: int, width: int) -> GridWinners:
    """The point with the least median error over the instances at each limit: all points as one batch of runs."""
    points = contender.points
    if not points:
        return GridWinners([{} for _ in limits], [float("nan")] * len(limits), [])
    count, instances = len(next(iter(points.values()))), len(case.instances)
    values = {name: np.repeat(each, instances) for name, each in points.items()}
    traces = run_jobs(contender.make, case, values, np.tile(np.arange(instances), count), steps, width)
    scores = point_scores(traces, limits, count)
    best = scores.argmin(axis=1)
    winners = [{name: float(each[i]) for name, each in points.items()} for i in best]
    return GridWinners(winners, scores.min(axis=1).tolist(), _at_edge(winners, contender.grid))


def point_scores(traces: Traces, limits: Sequence[Horizon], count: int) -> Float[np.ndarray, "horizons points"]:
    """The median error over the instances of every point; jobs are sorted by point."""
    rows = [traces.last(kind, limit) for kind, limit in limits]
    return np.median(traces.values["error"][rows].reshape(len(rows), count, -1), axis=2)


def _at_edge(winners: Sequence[Mapping[str, float]], grid: Mapping[str, Sequence[float]]) -> list[str]:
    """Names that a wider grid might serve better."""
    ends = {name: (min(values), max(values)) for name, values in grid.items() if len(set(values)) > 2}
    return [name for name, edge in ends.items() if any(winner[name] in edge for winner in winners)]


def _evaluated(
    contender: Contender,
    case: Case,
    tuned: GridWinners,
    limits: Sequence[Horizon],
    steps: int,
    width: int,
    rules: Rules,
) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """The quantities at each limit with its own winner, and the curve."""
    distinct = list(dict.fromkeys(tuple(winner.items()) for winner in tuned.winners))
    instances = len(case.instances)
    values = {name: np.repeat([dict(each)[name] for each in distinct], instances) for name in tuned.winners[0]}
    order = np.tile(np.arange(instances), len(distinct))
    traces = run_jobs(contender.make, case, values, order, steps, width)

    def jobs(horizon: int) -> slice:
        point = distinct.index(tuple(tuned.winners[horizon].items()))
        return slice(point * instances, (point + 1) * instances)

    rows = [traces.last(kind, limit) for kind, limit in limits]
    at = [{name: each[row, jobs(i)] for name, each in traces.values.items()} for i, row in enumerate(rows)]
    return at, _curve(traces, jobs(int(np.argmax(rules.checkpoints))), rules.steps)


def _curve(traces: Traces, jobs: slice, last: int) -> dict[str, np.ndarray]:
    """At every record up to `last` iterations."""
    rows = np.flatnonzero(traces.iterations <= last)
    error, seconds = (quartiles(traces.values[name][rows, jobs]) for name in ("error", "seconds"))
    return {"iterations": traces.iterations[rows], "bits": traces.bits[rows], "seconds": seconds[1], "error": error}
