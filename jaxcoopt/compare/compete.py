"""All contenders on all cases: tuned, run, measured."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxcoopt.compare.contenders import Contender, contenders
from jaxcoopt.compare.instances import Instances, draw_instances
from jaxcoopt.compare.measure import (
    Case,
    Traces,
    bits_budget,
    last_record,
    one_number,
    probe,
    run_jobs,
    with_room,
)
from jaxcoopt.compare.networks import PARTS, draw_networks, sizes
from jaxcoopt.compare.ratios import median, quartiles
from jaxcoopt.compare.settings import Comparison, Family, Graphs, horizons
from jaxcoopt.compare.tune import Horizon, Tuned, grid_search
from jaxcoopt.methods.check import check_method
from jaxcoopt.shown import briefly

Clock = dict[str, float]
STAGES = ("instances", "compile", "tune", "evaluate")


@briefly
@dataclass(frozen=True)
class Scores:
    """One contender on one case. at: for each horizon, every quantity [instances]; curve: error quartiles, bits and
    median seconds at every record with the parameters of the last iteration horizon. keeps_budget: at every iteration.
    """

    label: str
    ours: bool
    keeps_budget: bool
    tuned: Tuned
    points: int
    at: list[dict[str, Float[np.ndarray, " instances"]]]
    curve: dict[str, list[Any]]


@briefly
@dataclass(frozen=True)
class Contest:
    """One problem family on one network and size; skipped: label and reason of who cannot take part; clock: seconds."""

    problem: str
    network: str
    nodes: int
    scores: list[Scores]
    skipped: dict[str, str]
    clock: Clock

    @property
    def name(self) -> str:
        """Of the case, in tables."""
        return f"{self.problem}, {self.network}, n = {self.nodes}"


def cases(settings: Comparison) -> list[tuple[Family, Graphs, int]]:
    """Every family on every network and size."""
    return [
        (family, graphs, nodes)
        for family in settings.problems
        for graphs in settings.networks
        for nodes in sizes(graphs)
    ]


def compete(settings: Comparison, done: Callable[[str], None] = lambda _: None) -> Iterator[Contest]:
    """One contest after the other, in the settings' precision; `done` is told after every method.

    Raises ValueError or ImportError before anything is computed, ValueError for a method named in the settings that a
    problem does not suit.
    """
    entrants, todo = contenders(settings), cases(settings)
    drawn: dict[tuple[str, int], tuple[Instances, Instances]] = {}
    for family, graphs, nodes in todo:
        with jax.enable_x64(settings.precision == "float64"):
            key = (family.model_dump_json(), nodes)
            clock: Clock = dict.fromkeys(STAGES, 0.0)
            with timed(clock, "instances"):
                if key not in drawn:
                    drawn[key] = _instances(settings, family, nodes)
            contest = _contest(settings, entrants, family, graphs, nodes, drawn[key], clock, done)
        yield contest


def _instances(settings: Comparison, family: Family, nodes: int) -> tuple[Instances, Instances]:
    return (
        draw_instances(family, nodes, settings.tuning_instances, settings.seed, "tuning"),
        draw_instances(family, nodes, settings.instances, settings.seed, "evaluation"),
    )


def _contest(
    settings: Comparison,
    entrants: Sequence[Contender],
    family: Family,
    graphs: Graphs,
    nodes: int,
    drawn: tuple[Instances, Instances],
    clock: Clock,
    done: Callable[[str], None],
) -> Contest:
    name, networks = graphs.label or graphs.name, draw_networks(graphs, nodes, settings.seed)
    parts = [
        Case(instances, networks[part], settings.width, settings.record_every, settings.seed)
        for part, instances in zip(PARTS, drawn, strict=True)
    ]
    scores, skipped = [], {}
    for contender in entrants:
        reason = _unfit(contender, parts[0])
        if reason is None:
            scores.append(_scores(settings, contender, parts[0], parts[1], clock))
        elif settings.methods:
            raise ValueError(f"methods: {contender.label} on {family.kind} problems: {reason}")
        else:
            skipped[contender.label] = reason
        done(f"{name} {nodes}: {contender.label}")
    return Contest(family.kind, name, nodes, scores, skipped, clock)


def _unfit(contender: Contender, case: Case) -> str | None:
    """Why a method cannot solve the problem, if so."""
    values = {name: each[0] for name, each in contender.points().items()}
    problem = case.instances.batches[0][0]
    try:
        check_method(contender.method(values), problem, 1)
    except ValueError as error:
        return str(error)
    return None


def _scores(settings: Comparison, contender: Contender, tuning: Case, evaluation: Case, clock: Clock) -> Scores:
    with timed(clock, "compile"):
        bits = with_room(tuning, lambda case: probe(contender, case))
    limits = _limits(settings, contender, evaluation)
    steps = _steps(settings, limits, bits, evaluation)
    with timed(clock, "tune"):
        tuned = with_room(tuning, lambda case: grid_search(contender, case, limits, steps))
    with timed(clock, "evaluate"):
        at, curve = with_room(evaluation, lambda case: _evaluate(settings, contender, case, tuned, limits, steps))
    points = len(next(iter(contender.points().values()), ()))
    keeps = getattr(getattr(contender.method(tuned.winners[0]), settings.half), "keeps_sum", True)
    return Scores(contender.label, contender.ours, keeps, tuned, points, at, curve)


@contextmanager
def timed(clock: Clock, stage: str) -> Iterator[None]:
    """Adds the seconds that its block takes."""
    start = time.perf_counter()
    yield
    clock[stage] += time.perf_counter() - start


def _limits(settings: Comparison, contender: Contender, case: Case) -> list[Horizon]:
    """The horizons as limits of this network: iterations, or bits of the mean node."""
    network, problem = case.networks[0], case.instances.batches[0][0]
    word = one_number(contender, problem, network.nodes)
    return [
        (kind, float(k) if kind == "iterations" else bits_budget(network, word, k)) for kind, k in horizons(settings)
    ]


def _steps(settings: Comparison, limits: Sequence[Horizon], bits: float, case: Case) -> int:
    """Enough iterations for every limit, whole record intervals, at most `longest` times the usual."""
    per_iteration = bits_budget(case.networks[0], bits, 1000) / 1000
    needed = max(limit / per_iteration if kind == "bits" else limit for kind, limit in limits)
    most = settings.longest * settings.last
    whole = settings.record_every * math.ceil(min(needed, most) / settings.record_every - 1e-9)
    return max(settings.last, whole)


def _evaluate(
    settings: Comparison,
    contender: Contender,
    case: Case,
    tuned: Tuned,
    limits: Sequence[Horizon],
    steps: int,
) -> tuple[list[dict[str, np.ndarray]], dict[str, list[Any]]]:
    """The quantities at each horizon with its own winner; every distinct winner is run once, on all instances."""
    distinct = list(dict.fromkeys(tuple(winner.items()) for winner in tuned.winners))
    instances = len(case.instances)
    values = {name: np.repeat([dict(each)[name] for each in distinct], instances) for name in tuned.winners[0]}
    traces = run_jobs(contender, case, values, np.tile(np.arange(instances), len(distinct)), steps)
    at = []
    for winner, (kind, limit) in zip(tuned.winners, limits, strict=True):
        jobs = _jobs(distinct.index(tuple(winner.items())), instances)
        at.append({name: each[jobs] for name, each in traces.at(last_record(traces, kind, limit)).items()})
    shown = max(range(len(settings.checkpoints)), key=lambda i: settings.checkpoints[i])
    jobs = _jobs(distinct.index(tuple(tuned.winners[shown].items())), instances)
    return at, _curve(traces, jobs, settings.last)


def _jobs(point: int, instances: int) -> slice:
    return slice(point * instances, (point + 1) * instances)


def _curve(traces: Traces, jobs: slice, last: int) -> dict[str, list[Any]]:
    """At every record up to `last` iterations."""
    rows = np.flatnonzero(traces.iterations <= last)
    error, seconds = traces.values["error"][rows, jobs], traces.values["seconds"][rows, jobs]
    return {
        "iterations": traces.iterations[rows].tolist(),
        "bits": traces.bits[rows].tolist(),
        "seconds": [median(row) for row in seconds],
        "error": [quartiles(row) for row in error],
    }
