"""Runs of a method on many instances, in batches of one width, and the error at every record.

One error for all methods, as some meet the budget or the box only in the limit and may then cost less than the optimum:

    allocation: max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)
    training:   max(|relative loss gap|, consensus error / |optimal parameters|)

Of a problem with both halves, the larger of the two.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import bits_of, numbers_in
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.calls import intervals
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock
from jaxcoopt.run.names import Trio
from jaxcoopt.run.result import Result
from jaxcoopt.run.status import Status
from jaxcoopt.shown import briefly
from jaxcoopt.study.batcher import whole
from jaxcoopt.study.chunk_width import fitting
from jaxcoopt.study.instances import Instances

QUANTITIES = ("error", "gap", "budget_residual", "box_violation", "consensus_error", "seconds")
Values = Mapping[str, Float[np.ndarray, " jobs"]]
Make = Callable[[Mapping[str, Any]], CoOptimizer]  # a method from its values, scalars or [runs]


@briefly
@dataclass(frozen=True)
class Case:
    """What methods are run on: instance i of I uses network floor(i networks / I). width: runs to a batch, at most;
    seed: of link failures and mini-batches.
    """

    instances: Instances
    networks: Sequence[Network]
    width: int
    record_every: int
    seed: int = 0
    clock: Clock = SYNCHRONOUS

    def network_of(self, instance: Int[np.ndarray, " jobs"]) -> Int[np.ndarray, " jobs"]:
        """The number of each one's network."""
        return instance * len(self.networks) // len(self.instances)


@briefly
@dataclass(frozen=True)
class Traces:
    """values: by the names of `QUANTITIES` that the problem has, [records, jobs], infinite after a run has diverged;
    iterations, bits: [records], bits sent by the mean node.
    """

    iterations: Int[np.ndarray, " records"]
    bits: Float[np.ndarray, " records"]
    values: Mapping[str, Float[np.ndarray, "records jobs"]]

    def last(self, kind: str, limit: float) -> int:
        """The last record within a number of "iterations", or of "bits"."""
        clock = self.iterations if kind == "iterations" else self.bits
        return int(np.flatnonzero(clock <= limit * (1 + 1e-9))[-1])


def run_jobs(
    make: Make, case: Case, values: Values, instance: Int[np.ndarray, " jobs"], steps: int, width: int
) -> Traces:
    """One run for each job: the method with the job's values on the job's instance. All batches are filled up to the
    width, so that each method is compiled once.
    """
    lengths = intervals(steps, case.record_every)
    iterations, found, bits = np.cumsum(lengths), {}, np.zeros(0)
    for jobs, network, batch in _batches(case, instance, width):
        result, optimum, share = _solved(make, case, values, instance, jobs, network, batch, width, lengths)
        for name, rows in _observed(result, share, size_of(optimum), iterations).items():
            found.setdefault(name, np.full((len(rows), len(instance)), np.inf))[:, jobs] = rows[:, : len(jobs)]
        bits = bits_at(network, bits_per_link(result), iterations)
    return Traces(iterations, bits, found)


def probe(make: Make, case: Case, points: Mapping[str, Float[np.ndarray, " points"]]) -> tuple[int, float]:
    """(width that fits, bits a link and iteration), as one iteration of the first point shows, with its program."""
    problem, _, _ = case.instances.take(0, case.instances.column[np.zeros(case.width, int)])
    method = make({name: np.repeat(each[:1], case.width) for name, each in points.items()})
    width = fitting(Trio(problem, case.networks[0], method), case.width)
    values, first = {name: each[:1] for name, each in points.items()}, np.zeros(1, int)
    result, *_ = _solved(make, case, values, first, first, case.networks[0], 0, width, [0, 1])
    return width, bits_per_link(result)


def _batches(
    case: Case, instance: Int[np.ndarray, " jobs"], width: int
) -> Iterator[tuple[Int[np.ndarray, " runs"], Network, int]]:
    """Jobs of one network and one batch of instances, at most `width` of them at a time."""
    keys = np.stack([case.network_of(instance), case.instances.within[instance]])
    for number, batch in np.unique(keys, axis=1).T:
        jobs = np.flatnonzero((keys[0] == number) & (keys[1] == batch))
        for first in range(0, len(jobs), width):
            yield jobs[first : first + width], case.networks[number], int(batch)


def _solved(
    make: Make,
    case: Case,
    values: Values,
    instance: Int[np.ndarray, " jobs"],
    jobs: Int[np.ndarray, " runs"],
    network: Network,
    batch: int,
    width: int,
    lengths: Sequence[int],
) -> tuple[Result, Optimum, Any]:
    """The result, the optimum, the mean share of each run; the last job fills up the width."""
    filled = np.pad(jobs, (0, width - len(jobs)), mode="edge")
    problem, optimum, initial = case.instances.take(batch, case.instances.column[instance[filled]])
    method = make({name: each[filled] for name, each in values.items()})
    options = {"optimum": optimum, "seed": case.seed, "initial": initial, "clock": case.clock}
    result = run_batch(problem, network, method, width, lengths, **options)
    share = 1.0 if problem.allocation is None else np.abs(problem.allocation.budget) / network.nodes
    return result, optimum, share


def bits_per_link(result: Result) -> float:
    """Bits that a node sends over each of its links in an iteration, in the run that sends least."""
    return float(np.min(result.method.bits(result.state)))


def one_number(channel: Channel, problem: Problem, nodes: int) -> float:
    """Bits of sending one price (allocation) and one copy of the parameters (training) over a link."""
    shapes = [] if problem.allocation is None else [()]
    if problem.training is not None:
        params = params_like(problem.training.loss, problem.training.one_sample)
        shapes += [leaf.shape for leaf in jax.tree.leaves(params)]
    sent = [jax.ShapeDtypeStruct((nodes, *shape, 1), float_dtype()) for shape in shapes]
    return float(np.min(bits_of(channel, numbers_in(sent))))


def bits_at(network: Network, bits: float, iterations: Int[np.ndarray, " records"]) -> Float[np.ndarray, " records"]:
    """Bits that the mean node sends in so many iterations at `bits` a link: cycles are counted exactly, random
    switching in the mean.
    """
    sent = np.asarray(network.links_sent, float)
    if network.switching == "random":
        return bits * sent.mean() * iterations
    cycles, rest = np.divmod(iterations.astype(int), len(sent))
    return bits * (cycles * sent.sum() + np.concatenate([[0.0], np.cumsum(sent)])[rest])


def size_of(optimum: Optimum) -> float:
    """The Euclidean norm of the optimal parameters; 1 where they are 0 or there are none."""
    return math.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in jax.tree.leaves(optimum.params))) or 1.0


def _observed(
    result: Result, share: ArrayLike, size: float, iterations: Int[np.ndarray, " records"]
) -> dict[str, Float[np.ndarray, "records runs"]]:
    """The quantities at every record, infinite from where a run diverged to its end."""
    trace = {name: whole(np.asarray(rows, float), len(iterations)) for name, rows in result.trace.items()}
    gaps = [np.abs(trace[name]) for name in ("allocation_gap", "training_gap") if name in trace]
    found = {"seconds": trace["seconds"], "gap": np.max(gaps, axis=0)}
    if "budget_residual" in trace:
        found["budget_residual"] = trace["budget_residual"]
        found["box_violation"] = trace["box_violation"] / share
    if "consensus_error" in trace:
        found["consensus_error"] = trace["consensus_error"] / size
    found["error"] = np.max([values for name, values in found.items() if name != "seconds"], axis=0)
    diverged = np.asarray(result.status) == Status.DIVERGED
    gone = diverged & (iterations[:, None] >= np.asarray(result.left))
    return {name: np.where(np.isfinite(values) & ~gone, values, np.inf) for name, values in found.items()}
