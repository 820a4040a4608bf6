"""`compare`: methods tuned alike, on the same instances, networks and links."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxcoopt.arrays import plain_tree, shown
from jaxcoopt.errors import a_flag, at_least_one, check_seed, listed, require, unknown_name
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem import check as problems
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.check import check_run, received_clock, received_start
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.progress import counted
from jaxcoopt.study.contest import Contender, ContenderScores, Rules, scores_of, with_settings
from jaxcoopt.study.instances import instances_of
from jaxcoopt.study.jobs import Case
from jaxcoopt.study.ratios import ratios
from jaxcoopt.study.sweep import spacing
from jaxcoopt.theory.auto import asks_for_auto

WIDTH = 100  # runs at once
FLOOR = 1e-12  # errors below count as this: what is smaller is rounding


def compare(
    problem: Problem | Sequence[Problem],
    network: Network | Sequence[Network],
    methods: Mapping[str, CoOptimizer],
    *,
    steps: int,
    grids: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    tuned_on: Problem | Sequence[Problem] | None = None,
    checkpoints: Sequence[int] | None = None,
    ours: Sequence[str] = (),
    runs: int = 1,
    record_every: int | None = None,
    initial: Initial | None = None,
    seed: int = 0,
    clock: Clock | None = None,
    progress: bool = False,
) -> Any:
    """Tune every method by the same grid search, run it on the same instances, and return an xarray.Dataset.

    error = max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)      of an allocation
    error = max(|relative loss gap|, consensus error / |optimal parameters|)             of training

    problem: one or several of a shape, with numbers that may be [nodes, instances]; one that is a single instance is
    run `runs` times. network: one or several, which share the instances evenly. methods: label -> a `CoOptimizer`.
    grids: label -> {dotted name in the method, such as "allocation.step": the values tried}, all combinations.
    tuned_on: other problems for that; None: the same. checkpoints: iterations at which methods are compared, and at
    whose bits, of one number a link; None: `steps`. For each the best point of the grid is taken by the median error.
    ours: labels of methods that are measured against the best of the others. record_every: None: steps / 20. seed: of
    link failures and mini-batches. clock: as in `jaxcoopt.solve`.

    Dimensions algorithm, horizon (coordinates kind, "iterations" or "bits", and checkpoint), instance: error, gap,
    budget_residual, box_violation (or consensus_error), seconds, infinite where a run diverged, and ratio, the error of
    `ours` over the best of the others. Beside them tuned/NAME [algorithm, horizon].

    Raises ValueError or TypeError for what cannot be run, RuntimeError where no optimum is found, MemoryError where
    not even one run fits.
    """
    steps, every = spacing(steps, record_every)
    runs, seed = at_least_one("runs", runs), check_seed("seed", seed)
    rules = Rules(_checked(checkpoints, steps), steps)
    networks = [plain_tree(each, "network") for each in listed("network", network, Network)]
    given, initial = listed("problem", problem, Problem), received_start(initial)
    clock = received_clock(clock)
    others = given if tuned_on is None else listed("tuned_on", tuned_on, Problem)
    contenders = _contenders(methods, {} if grids is None else grids, ours)
    given, others = ([problems.received(each) for each in each_of] for each_of in (given, others))
    if any(each.training is not None and not each.training.loss.convex for each in (*given, *others)):
        raise ValueError("problem.training.loss: it is not convex, so no optimum is known to compare with")
    evaluation, tuning = (instances_of(each_of, networks[0].nodes, runs, initial) for each_of in (given, others))
    if len(evaluation) % len(networks):
        raise ValueError(f"network: {len(networks)} cannot share {len(evaluation)} instances evenly; give as many runs")
    for contender in contenders:
        for half in asks_for_auto(contender.first):
            raise ValueError(f"methods[{contender.label!r}].{half}.step: 'auto' is one problem's; give numbers")
        check_run(evaluation.batches[0][0], networks[0], contender.first, len(evaluation), seed, initial, clock)
    on, over = (Case(each, networks, WIDTH, every, seed, clock) for each in (tuning, evaluation))
    scores = []
    with counted(a_flag("progress", progress), len(contenders)) as done:
        for contender in contenders:
            scores.append(scores_of(contender, on, over, rules))
            done(contender.label)
    return dataset_of(scores, rules)


def dataset_of(scores: Sequence[ContenderScores], rules: Rules, floor: float = FLOOR) -> Any:
    """The numbers of several methods at their horizons."""
    xarray = require("xarray", extra="sweep")
    dims = ("algorithm", "horizon", "instance")  # not "method", which xarray's sel takes for its own
    values = {name: np.array([[at[name] for at in each.at] for each in scores]) for name in scores[0].at[0]}
    names = dict.fromkeys(name for each in scores for name in each.contender.grid)
    kinds, marks = zip(*rules.horizons, strict=True)
    variables: dict[str, Any] = {name: (dims, rows) for name, rows in values.items()}
    for name in names:
        rows = [[winner.get(name, np.nan) for winner in each.tuned.winners] for each in scores]
        variables[f"tuned/{name}"] = (dims[:2], np.array(rows))
    ours = np.array([each.contender.ours for each in scores])
    if ours.any():
        error = values["error"]
        best = np.broadcast_to(error[~ours].min(axis=0), error.shape)
        variables["ratio"] = (dims, np.where(ours[:, None, None], ratios(error, best, floor), np.nan))
    coordinates = {
        "algorithm": [each.contender.label for each in scores],
        "ours": (dims[0], ours),
        "keeps_budget": (dims[0], [each.contender.keeps_budget for each in scores]),
        "kind": (dims[1], list(kinds)),
        "checkpoint": (dims[1], list(marks)),
    }
    return xarray.Dataset(variables, coordinates)


def _checked(checkpoints: Sequence[int] | None, steps: int) -> list[int]:
    if not isinstance(checkpoints, list | tuple | None):
        raise TypeError(f"checkpoints: expected a list of iterations, got {shown(checkpoints)}")
    marks = [steps] if checkpoints is None else [at_least_one("checkpoints", mark) for mark in checkpoints]
    if not marks or max(marks) > steps:
        raise ValueError(f"checkpoints: expected one or more up to steps = {steps}, got {marks}")
    return marks


def _contenders(
    methods: Mapping[str, CoOptimizer], grids: Mapping[str, Mapping[str, Sequence[float]]], ours: Sequence[str]
) -> list[Contender]:
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(f"methods: expected a dict label -> jaxcoopt.CoOptimizer, got {shown(methods)}")
    if not isinstance(grids, Mapping) or not all(isinstance(grid, Mapping) for grid in grids.values()):
        raise TypeError(f"grids: expected a dict label -> {{name of a setting: its values}}, got {shown(grids)}")
    if not isinstance(ours, list | tuple) or not all(isinstance(label, str) for label in ours):
        raise TypeError(f"ours: expected a list of labels, got {shown(ours)}")
    for argument, labels in (("grids", grids), ("ours", ours)):
        for label in labels:
            if label not in methods:
                raise ValueError(f"{unknown_name(argument, label, tuple(methods))}, the labels of methods")
    if set(ours) >= set(methods):
        raise ValueError("ours: all methods are, so there is no other to compare with")
    return [_contender(label, method, grids.get(label, {}), label in ours) for label, method in methods.items()]


def _contender(label: str, method: CoOptimizer, grid: Mapping[str, Sequence[float]], ours: bool) -> Contender:
    if not isinstance(method, CoOptimizer):
        raise TypeError(f"methods[{label!r}]: expected a jaxcoopt.CoOptimizer, got {shown(method)}")
    method = plain_tree(method, f"methods[{label!r}]")
    return Contender(label, partial(with_settings, method, argument=f"grids[{label!r}]"), grid, ours)
