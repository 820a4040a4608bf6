"""Runs of a method on many instances, in batches of one width, and the error at every record.

One error for all methods, as some meet the budget or the box only in the limit and may then cost less than the optimum:

    allocation: max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)
    training:   max(|relative loss gap|, consensus error / |optimal parameters|)
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.channel.exchange import message_bits
from jaxcoopt.compare.contenders import Contender
from jaxcoopt.compare.instances import Instances
from jaxcoopt.network.network import Network
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.result import Result
from jaxcoopt.run.solve import solve
from jaxcoopt.run.status import Status
from jaxcoopt.shown import briefly

QUANTITIES = ("error", "gap", "budget_residual", "box_violation", "consensus_error", "seconds")


@briefly
@dataclass(frozen=True)
class Case:
    """One problem family on one network and size: its instances and network draws; instance i of I uses draw
    floor(i draws / I). width: runs to a batch; seed: of link failures and mini-batches.
    """

    instances: Instances
    networks: Sequence[Network]
    width: int
    record_every: int
    seed: int = 0

    def draw(self, instance: Int[np.ndarray, " jobs"]) -> Int[np.ndarray, " jobs"]:
        """The network draw of each."""
        return instance * len(self.networks) // len(self.instances)


@briefly
@dataclass(frozen=True)
class Traces:
    """values: by the names of `QUANTITIES` that the half has, [records, jobs], infinite after a run has diverged;
    iterations, bits: [records], bits sent by the mean node.
    """

    iterations: Int[np.ndarray, " records"]
    bits: Float[np.ndarray, " records"]
    values: Mapping[str, Float[np.ndarray, "records jobs"]]

    def at(self, row: int) -> dict[str, Float[np.ndarray, " jobs"]]:
        """All values of one record."""
        return {name: value[row] for name, value in self.values.items()}


def run_jobs(
    contender: Contender,
    case: Case,
    values: Mapping[str, Float[np.ndarray, " jobs"]],
    instance: Int[np.ndarray, " jobs"],
    steps: int,
) -> Traces:
    """One run for each job: the method with the job's values on the job's instance."""
    found: dict[str, np.ndarray] = {}
    iterations = bits = np.zeros(0)
    for jobs, network, batch in _batches(case, instance):
        result, share, size = _solve(contender, case, values, instance, jobs, network, batch, steps)
        rows = 1 + math.ceil(steps / case.record_every)
        for name, array in _observed(result, share, size, rows).items():
            found.setdefault(name, np.full((rows, len(instance)), np.inf))[:, jobs] = array[:, : len(jobs)]
        iterations = _whole_clock(steps, case.record_every)
        bits = _bits_at(network, float(np.min(bits_per_link(result))), iterations)
    return Traces(iterations.astype(int), bits, found)


def probe(contender: Contender, case: Case) -> float:
    """Bits a link and iteration, as one iteration shows. It compiles the program of all later batches, too."""
    values = {name: each[:1] for name, each in contender.points().items()}
    first = np.zeros(1, int)
    return float(np.min(bits_per_link(_solve(contender, case, values, first, first, case.networks[0], 0, 1)[0])))


def _batches(case: Case, instance: Int[np.ndarray, " jobs"]) -> Iterator[tuple[np.ndarray, Network, int]]:
    """Jobs of one network draw and one batch of instances, at most `width` of them at a time."""
    keys = np.stack([case.draw(instance), case.instances.within[instance]])
    for draw, batch in np.unique(keys, axis=1).T:
        jobs = np.flatnonzero((keys[0] == draw) & (keys[1] == batch))
        for first in range(0, len(jobs), case.width):
            yield jobs[first : first + case.width], case.networks[draw], int(batch)


def _solve(
    contender: Contender,
    case: Case,
    values: Mapping[str, np.ndarray],
    instance: np.ndarray,
    jobs: np.ndarray,
    network: Network,
    batch: int,
    steps: int,
) -> tuple[Result, Any, Any]:
    """The result, mean share of each run, size of the optimal parameters; the last job fills up the width."""
    filled = np.concatenate([jobs, np.full(case.width - len(jobs), jobs[-1])])
    problem, optimum, initial = case.instances.take(batch, case.instances.column[instance[filled]])
    method = contender.method({name: each[filled] for name, each in values.items()})
    with warnings.catch_warnings():
        # A grid holds steps that are too large on purpose: what diverges is counted, not warned of.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = solve(
            problem,
            network,
            method,
            steps,
            runs=case.width,
            seed=case.seed,
            record_every=case.record_every,
            initial=initial,
            optimum=optimum,
        )
    return result, _mean_share(problem, network.nodes), _size(optimum)


def with_room(case: Case, attempt: Callable[[Case], Any]) -> Any:
    """attempt(case), at half the width again and again while the device has no room for so many runs."""
    while True:
        try:
            return attempt(case)
        except MemoryError:
            if case.width == 1:
                raise
            case = replace(case, width=case.width // 2)


def bits_per_link(result: Result) -> Float[np.ndarray, "#runs"]:
    """Bits that a node sends over each of its links in an iteration."""
    return np.atleast_1d(np.asarray(result.method.bits(result.state), float))


def one_number(contender: Contender, problem: Problem, nodes: int) -> float:
    """Bits of sending one price (allocation) or one copy of the parameters (training) over a link."""
    if problem.training is None:
        shape: Any = jax.ShapeDtypeStruct((nodes, 1), float_dtype())
    else:
        loss, features = problem.training.loss, problem.training.features.shape[2]
        params = params_like(loss, features)
        shape = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((nodes, *leaf.shape, 1), float_dtype()), params)
    return float(np.min(message_bits(contender.channel, shape)))


def bits_budget(network: Network, bits: float, iterations: int) -> float:
    """Bits that the mean node sends in so many iterations at `bits` a link."""
    return float(_bits_at(network, bits, np.array([iterations]))[0])


def last_record(traces: Traces, kind: str, limit: float) -> int:
    """The last record within a number of iterations, or of bits."""
    clock = traces.iterations if kind == "iterations" else traces.bits
    return int(np.flatnonzero(clock <= limit * (1 + 1e-9))[-1])


def _bits_at(network: Network, bits: float, iterations: np.ndarray) -> Float[np.ndarray, " records"]:
    """Cycles are counted exactly, random switching in the mean."""
    sent = np.asarray(network.links_sent, float)
    if network.switching == "random":
        return bits * sent.mean() * iterations
    cycles, rest = np.divmod(iterations.astype(int), len(sent))
    return bits * (cycles * sent.sum() + np.concatenate([[0.0], np.cumsum(sent)])[rest])


def _whole_clock(steps: int, record_every: int) -> Int[np.ndarray, " records"]:
    """The iterations of a run that stays to its end."""
    return np.unique(np.append(np.arange(0, steps + 1, record_every), steps))


def _observed(result: Result, share: Any, size: Any, rows: int) -> dict[str, Float[np.ndarray, "rows runs"]]:
    """The quantities at every record, infinite from where a run diverged to its end."""
    trace = {name: np.asarray(values, float) for name, values in result.trace.items()}
    found = {"seconds": trace["seconds"]}
    if "allocation_gap" in trace:
        found["gap"] = np.abs(trace["allocation_gap"])
        found["budget_residual"] = trace["budget_residual"]
        found["box_violation"] = trace["box_violation"] / share
    else:
        found["gap"] = np.abs(trace["training_gap"])
        found["consensus_error"] = trace["consensus_error"] / size
    found["error"] = np.max([values for name, values in found.items() if name != "seconds"], axis=0)
    recorded = len(trace["seconds"])
    left = np.asarray(result.status) == Status.DIVERGED
    gone = left & (np.asarray(result.iterations)[:, None] >= np.asarray(result.left))
    whole = {}
    for name, values in found.items():
        values = np.where(np.isfinite(values) & ~gone, values, np.inf)
        # Records stop where every run has left: all diverged, as no tolerance is set.
        whole[name] = np.concatenate([values, np.full((rows - recorded, values.shape[1]), np.inf)])
    return whole


def _mean_share(problem: Problem, nodes: int) -> Any:
    return 1.0 if problem.allocation is None else np.abs(problem.allocation.budget) / nodes


def _size(optimum: Optimum) -> float:
    """The Euclidean norm of the optimal parameters; 1 where they are 0 or there are none."""
    leaves = jax.tree.leaves(optimum.params)
    norm = math.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in leaves))
    return norm or 1.0
