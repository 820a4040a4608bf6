"""Build an experiment and run it, with a stopwatch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxcoopt.experiments.build import Built, build
from jaxcoopt.experiments.notes import noted
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.methods.check import check_method
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum, reference
from jaxcoopt.run.memory import Memory, memory
from jaxcoopt.run.result import Result
from jaxcoopt.run.solve import solve
from jaxcoopt.run.status import worse_than_start
from jaxcoopt.shown import briefly
from jaxcoopt.study.contest import Stages, timed
from jaxcoopt.theory.auto import with_placeholders

Stage = Callable[[str], AbstractContextManager[Any]]


@briefly
@dataclass(frozen=True)
class Played:
    """A finished experiment: what was built, the result, wall seconds of each stage, and what was warned of."""

    built: Built
    result: Result
    timings: dict[str, float]
    notes: list[str]


def play(settings: Experiment, progress: bool = False, stage: Stage | None = None) -> Played:
    """Load the data, find the reference optimum, run. `stage` opens a context around what comes before the run.

    Raises ValueError, TypeError or ImportError for settings that cannot be run.
    """
    stage = stage or (lambda text: nullcontext())
    timings: Stages = {}
    with noted(settings.precision) as notes:
        with stage("loading data and networks"), timed(timings, "load"):
            built = build(settings)
            _check(built)  # `solve` does too, but only after the reference
        with stage("finding the reference optimum"), timed(timings, "reference"):
            optimum = _reference(built.problem, built.network.nodes)
        with timed(timings, "solve"):
            result = solve(
                built.problem,
                built.network,
                built.method,
                settings.steps,
                runs=settings.runs,
                seed=settings.seed,
                record=built.record,
                initial=built.initial,
                tol=settings.tol,
                optimum=optimum,
                progress=progress,
                shard=settings.shard,
                clock=built.clock,
                stop=built.stop,
            )
            jax.block_until_ready(result.state)
    if "allocation_gap" in result.trace:
        worse = worse_than_start(np.asarray(result.trace["allocation_gap"]), np.asarray(result.status))
        notes += [words for words in worse if words not in notes]  # `solve` may have said so
    return Played(built, result, timings, notes)


def needed(settings: Experiment) -> Memory:
    """What the experiment would need of memory; nothing is run. Raises as `play`."""
    with jax.enable_x64(settings.precision == "float64"):
        built = build(settings)
        _check(built)
        return memory(built.problem, built.network, built.method, settings.runs, initial=built.initial)


def _check(built: Built) -> None:
    """Raise ValueError or TypeError for a method that cannot be run on the problem."""
    check_method(with_placeholders(built.method), built.problem, built.settings.runs)


def _reference(problem: Problem, nodes: int) -> Optimum | None:
    """None, which leaves it to `solve`, where training has no optimum that can be found."""
    try:
        return reference(problem, nodes)
    except RuntimeError:
        return None
