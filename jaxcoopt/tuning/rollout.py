"""All starts on all instances as the runs of one differentiated call."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

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

    def scores(self, free: Free, on: Instances) -> Float[Array, " starts"]:
        """The objective of each start."""
        starts = len(next(iter(free.values())))
        per_run = len(on.numbers) // starts

        def of_runs(value: Array) -> Array:
            return value[0] if value.ndim > 1 else jnp.repeat(value, per_run)

        values = {name: of_runs(value) for name, value in self.parameters.values(free).items()}
        trio = self.parameters.applied(self.parameters.trio._replace(problem=on.problem), values)
        return self._scored(self._run(trio, on), starts)

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
