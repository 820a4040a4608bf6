"""One chunk of a sweep: one compiled call."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum, reference
from jaxcoopt.programs import bounded_programs
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.calls import intervals
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.record import Extra
from jaxcoopt.run.result import trajectory_name
from jaxcoopt.run.stops import Stop
from jaxcoopt.shown import briefly
from jaxcoopt.study.plan import Plan
from jaxcoopt.study.trajectories import until_left
from jaxcoopt.theory.auto import with_steps

VECTOR = 16  # runs: rows that are no multiple of it cost a fifth (benchmarks/NOTES.md)


@briefly
@dataclass(frozen=True)
class Job:
    """All that a chunk's numbers depend on. seeds: the run number of each; records: iterations from one to the next."""

    plan: Plan
    steps: int
    record_every: int
    seed: int
    seeds: Int[np.ndarray, " seeds"]
    stop: Stop | None = None
    initial: Initial | None = None
    extra: Extra | None = None
    training_every: int | None = None
    optima: "Optima" = field(default_factory=lambda: Optima())

    @property
    def lengths(self) -> list[int]:
        """Iterations before each record."""
        return intervals(self.steps, self.record_every)


@briefly
@dataclass(frozen=True)
class Outcome:
    """traces: name to [records, runs], of trajectories [records, nodes, *shape, runs]; status, left: [runs]."""

    traces: dict[str, np.ndarray]
    status: Int[np.ndarray, " runs"]
    left: Int[np.ndarray, " runs"]


class Optima:
    """Reference optima, found once for each problem."""

    def __init__(self) -> None:
        self._known: dict[Any, Optimum] = {}
        self.notes: list[str] = []

    def of(self, plan: Plan, indices: Int[np.ndarray, "axes runs"]) -> Optimum:
        """Of the problem in each run, allocation and training apart: most sweeps change one of them at most."""
        problem, known = plan.group(indices[:, 0].tolist()).problem, Optimum()
        if problem.allocation is not None:
            found = self._half(plan, "allocation", indices)
            known = replace(known, allocation_cost=found.allocation_cost, price=found.price)
        if problem.training is not None:
            known = replace(known, training_loss=self._half(plan, "training", indices).training_loss)
        return known

    def _half(self, plan: Plan, half: str, indices: Int[np.ndarray, "axes runs"]) -> Optimum:
        deciding = plan.touching(f"problem.{half}")
        unique, back = np.unique(indices[deciding], axis=1, return_inverse=True)
        key = half, unique.tobytes()
        if key not in self._known:
            first = np.unique(back, return_index=True)[1]
            self._known[key] = self._found(plan, half, indices[:, first])
        optimum = self._known[key]
        return jax.tree.map(lambda leaf: leaf[back] if np.ndim(leaf) else leaf, optimum)

    def _found(self, plan: Plan, half: str, indices: Int[np.ndarray, "axes runs"]) -> Optimum:
        trio = plan.columns(indices)
        try:
            found = reference(Problem(**{half: getattr(trio.problem, half)}), trio.network.nodes)
        except RuntimeError as error:
            self.notes.append(f"no {half} gap is recorded: {error}")
            return Optimum()
        return replace(found, allocation=None, params=None)


def run_chunk(job: Job, indices: Int[np.ndarray, "dims runs"], *, device: Any = None) -> Outcome:
    """The runs at the columns of indices (axes, then seeds), on a device."""
    runs = indices.shape[1]
    spare = -runs % VECTOR if runs >= VECTOR else 0
    *axes, seeds = np.pad(indices, ((0, 0), (0, spare)), mode="edge")
    at, iterations = np.stack(axes), np.cumsum(job.lengths)
    with jax.default_device(device or jax.local_devices()[0]):
        trio = job.plan.columns(at)
        with bounded_programs("chunk", trio, runs):
            trio = trio._replace(method=with_steps(trio.method, trio.problem, trio.network, job.initial))
            options: dict[str, Any] = {"seed": job.seed, "initial": job.initial, "stop": job.stop, "extra": job.extra}
            options |= {
                "optimum": job.optima.of(job.plan, at),
                "clock": trio.clock,
                "training_every": job.training_every,
            }
            result = run_batch(*trio[:3], job.seeds[seeds], job.lengths, **options)
            trace, stands, status, left, recorded = jax.device_get(
                (result.trace, result.trajectories, result.status, result.left, result.iterations)
            )
    traces, last = dict(trace), np.searchsorted(recorded, left)
    for path, rows in jax.tree_util.tree_leaves_with_path(stands):
        traces[trajectory_name(path)] = until_left(rows, last)
    traces = {name: whole(rows[..., :runs], len(iterations)) for name, rows in traces.items()}
    return Outcome(traces, status[:runs], iterations[last[:runs]])


def whole(rows: np.ndarray, records: int) -> np.ndarray:
    """Where all runs have left before the end, their last record stands."""
    return np.concatenate([rows, np.repeat(rows[-1:], records - len(rows), axis=0)])
