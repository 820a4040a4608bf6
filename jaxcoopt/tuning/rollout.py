"""All starts on all instances as the runs of one differentiated call."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum, reference, run_count
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.drive import intervals
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.prepare import prepare
from jaxcoopt.run.result import Result, result_of
from jaxcoopt.run.unrolled import unrolled
from jaxcoopt.sweeps.names import Trio
from jaxcoopt.tuning.free import Free, Parameters
from jaxcoopt.tuning.objectives import Objective

ANY = ("seconds", "bits", "diverged", "converged")  # statistics that may be infinite, or are no numbers


@pytree
@dataclass(frozen=True)
class Instances:
    """What one start is run on. problem: with the runs of all starts, one start after another; numbers: by which each
    run draws, the same for all starts.
    """

    problem: Problem
    optimum: Optimum
    numbers: Int[Array, " runs"]


def instances(problem: Problem, nodes: int, runs: int, starts: int, first: int = 0) -> Instances:
    """The problem's own instances, [runs] of its numbers, or `runs` runs of the one it is, numbered from `first`.

    Raises RuntimeError where no optimum is found.
    """
    own, optimum = run_count(problem), reference(problem, nodes)
    numbers = jnp.asarray(np.tile(first + np.arange(runs if own == 1 else own), starts))
    if own == 1:
        return Instances(problem, optimum, numbers)

    def repeated(leaf: Any, dims: int = 2) -> Any:
        """[nodes, runs], or [runs] with dims = 1; what is smaller is the same in all runs."""
        per_run = np.ndim(leaf) == dims and np.shape(leaf)[-1] == own
        return np.concatenate([np.asarray(leaf)] * starts, axis=-1) if per_run else leaf

    allocation, work = jax.tree.map(repeated, (problem.allocation, problem.work))
    if allocation is not None:
        allocation = replace(allocation, budget=repeated(allocation.budget, dims=1))
    known = {name: repeated(getattr(optimum, name), dims=1) for name in ("allocation_cost", "price")}
    problem = replace(problem, allocation=allocation, work=work)
    return Instances(problem, replace(optimum, allocation=None, **known), numbers)


@dataclass(frozen=True)
class Rollout:
    """One number for each start from its free numbers."""

    parameters: Parameters
    objective: Objective
    steps: int
    record_every: int
    seed: int
    initial: Initial | None

    def over(self, network: Network) -> "Rollout":
        """The same on another network."""
        trio = self.parameters.trio._replace(network=network)
        return replace(self, parameters=replace(self.parameters, trio=trio))

    def scores(self, free: Free, on: Instances) -> Float[Array, " starts"]:
        """The objective of each start."""
        starts = len(next(iter(free.values())))
        return self._scored(self._run(self._settings(free, on, len(on.numbers) // starts), on), starts)

    def went_bad(self, free: Free, on: Instances, name: str | None) -> list[str | None]:
        """For each start, the first statistic of its runs that is not finite, or whose derivative by the parameter
        is not, and the step: from one more run, every iteration of it recorded. None where all are finite.
        """
        starts, often = len(next(iter(free.values()))), replace(self, record_every=1)

        def trace(free: Free) -> dict[str, Array]:
            found = often._run(often._settings(free, on, len(on.numbers) // starts), on).trace
            return {key: rows for key, rows in found.items() if key not in ANY}

        def change(free: Free) -> dict[str, Array]:
            toward = {key: jnp.full_like(value, key == name) for key, value in free.items()}
            return jax.jvp(trace, (free,), (toward,))[1]

        found, what = (jax.jit(trace)(free), "") if name is None else (jax.jit(change)(free), "the derivative of ")
        of_start = {key: np.asarray(rows).reshape(len(rows), starts, -1) for key, rows in found.items()}
        return [
            _first_not_finite({key: rows[:, start] for key, rows in of_start.items()}, what) for start in range(starts)
        ]

    def _settings(self, free: Free, on: Instances, per_run: int) -> Trio:
        values = self.parameters.values(free)
        for name, place, _ in self.parameters.each:  # a start's settings along its runs; all have the same weights
            values[name] = values[name][0] if place is None else jnp.repeat(values[name].T, per_run, axis=-1)
        return self.parameters.applied(self.parameters.trio._replace(problem=on.problem), values)

    def _run(self, trio: Trio, on: Instances) -> Result:
        setup, carry = prepare(*trio, on.numbers, self.seed, self.initial, None, on.optimum)
        lengths = intervals(self.steps, self.record_every)
        carry, records = unrolled(setup, carry, lengths)
        return result_of(setup, carry, records, np.cumsum(lengths), trio.method)

    def _scored(self, result: Result, starts: int) -> Float[Array, " starts"]:
        parts = {name: getattr(result, name) for name in ("allocation", "params", "trace", "status", "left")}
        apart = jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:-1], starts, -1), parts)
        axes = jax.tree.map(lambda leaf: leaf.ndim - 2, apart)

        def of_start(mine: dict[str, Any]) -> Array:
            score = jnp.asarray(self.objective(replace(result, **mine)))
            if score.shape != ():
                raise ValueError(
                    f"objective: expected one number from the result of a start, got shape {score.shape}; take a mean, "
                    "or another statistic, over the runs"
                )
            return score

        return jax.vmap(of_start, in_axes=(axes,))(apart)


def _first_not_finite(trace: dict[str, np.ndarray], what: str) -> str | None:
    """In words; trace: [steps + 1, runs] each."""
    first = {}
    for key, rows in trace.items():
        steps = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(steps):
            first[key] = steps[0]
    if not first:
        return None
    key = min(first, key=lambda name: first[name])
    row = trace[key][first[key]]
    return f"{what}{key} is {row[~np.isfinite(row)][0]} from step {first[key]} on"
