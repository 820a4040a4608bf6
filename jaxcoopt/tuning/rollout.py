"""All starts on all instances as the runs of one differentiated call."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxcoopt.arrays import Tree, shown
from jaxcoopt.host import numpy_for
from jaxcoopt.layout import changed_along
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.schedule import Schedule, is_schedule
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import aligned
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem, Training
from jaxcoopt.problem.reference import SCALARS, Optimum, reference, run_count
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.calls import intervals
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.names import Trio
from jaxcoopt.run.result import Result
from jaxcoopt.run.status import FLAGS
from jaxcoopt.shown import briefly
from jaxcoopt.tuning.objectives import Objective, parts_at_end
from jaxcoopt.tuning.parameters import Free, LinkWeights, Parameters, Values, starts_of

ANY = ("seconds", "bits", *FLAGS)  # statistics that may be infinite, or are no numbers


class Objectives(NamedTuple):
    """objective: [starts]; parts: what the error is made of at the end, the mean over the runs, [starts] each."""

    objective: Float[Array, " starts"]
    parts: dict[str, Float[Array, " starts"]]


@pytree
@dataclass(frozen=True)
class TuningRuns:
    """What all starts are run on. problem: with the runs of all starts, one start after another; optimum: of one
    start's runs; numbers: by which each run draws, the same for all starts.
    """

    problem: Problem
    optimum: Optimum
    numbers: Int[Array, " runs"]


def instances(problem: Problem, nodes: int, runs: int, starts: int, first: int = 0) -> TuningRuns:
    """The problem's own instances, [runs] of its numbers, or `runs` runs of the one it is, numbered from `first`.

    Raises RuntimeError where no optimum is found.
    """
    own, optimum = run_count(problem), reference(problem, nodes)
    numbers = jnp.asarray(np.tile(first + np.arange(runs if own == 1 else own), starts))
    problem = aligned(problem, nodes)
    training = problem.training and replace(problem.training, loss=_repeated(problem.training.loss, starts))
    problem = Problem(_repeated(problem.allocation, starts), training, _repeated(problem.work, starts))
    return TuningRuns(problem, optimum, numbers)


def _repeated(tree: Tree, starts: int) -> Tree:
    """Leaves that are scalar or end in [1] or [runs], of which the runs come once for each start."""

    def repeated(leaf: ArrayLike) -> ArrayLike:
        same = np.ndim(leaf) == 0 or np.shape(leaf)[-1] == 1
        return leaf if same else numpy_for(leaf).concatenate([leaf] * starts, axis=-1)

    return jax.tree.map(repeated, tree)


def _repeated_settings(method: CoOptimizer, starts: int) -> CoOptimizer:
    """Those of phases are [phases] or [phases, runs]."""

    def repeated(leaf: ArrayLike | Schedule) -> ArrayLike | Schedule:
        if isinstance(leaf, Schedule):
            return leaf if np.ndim(leaf.values) == 1 else replace(leaf, values=_repeated(leaf.values, starts))
        return _repeated(leaf, starts)

    return jax.tree.map(repeated, method, is_leaf=is_schedule)


def _repeated_start(initial: Initial | None, training: Training | None, starts: int) -> Initial | None:
    """Allocations are [nodes] or [nodes, runs], parameters [*shape], [nodes, *shape] or [nodes, *shape, runs]."""
    if initial is None or starts == 1:
        return initial
    x, params = initial.allocation, initial.params
    if np.ndim(x) == 2:
        x = _repeated(x, starts)
    if params is not None and training is not None:
        like = params_like(training.loss, training.one_sample)
        params = jax.tree.map(
            lambda leaf, of: _repeated(leaf, starts) if np.ndim(leaf) > of.ndim + 1 else leaf, params, like
        )
    return Initial(x, params)


@briefly
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

    def scores(self, values: Values, on: TuningRuns) -> Objectives:
        """Of each start; one start after the other where each has link weights of its own."""
        starts = starts_of(values)
        if starts > 1 and self.parameters.of_links:

            def alone(own: dict[str, Array]) -> Objectives:
                return jax.tree.map(lambda leaf: leaf[0], self.scores(jax.tree.map(lambda leaf: leaf[None], own), on))

            return lax.map(alone, values)
        return self._scored(self._run(values, on), on, starts)

    def went_bad(self, free: Free, on: TuningRuns, name: str | None) -> list[str | None]:
        """For each start, the first statistic of its runs that is not finite, or whose derivative by the parameter
        is not, and the step: from one more run, every iteration of it recorded. None where all are finite.
        """
        starts, often = starts_of(free), replace(self, record_every=1)
        if starts > 1 and self.parameters.of_links:
            own = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], free) for i in range(starts)]
            return [self.went_bad(each, on, name)[0] for each in own]

        def trace(free: Free) -> dict[str, Array]:
            found = often._run(often.parameters.values(free), on).trace
            return {key: rows for key, rows in found.items() if key not in ANY}

        def change(free: Free) -> dict[str, Array]:
            toward = {key: jnp.full_like(value, key == name) for key, value in free.items()}
            return jax.jvp(trace, (free,), (toward,))[1]

        found, what = (jax.jit(trace)(free), "") if name is None else (jax.jit(change)(free), "the derivative of ")
        of_start = {key: np.asarray(rows).reshape(len(rows), starts, -1) for key, rows in found.items()}
        return [
            _first_not_finite({key: rows[:, start] for key, rows in of_start.items()}, what) for start in range(starts)
        ]

    def _settings(self, values: Values, on: TuningRuns) -> Trio:
        """A start's values along its runs, its link weights where it is the only one, and what is not tuned."""
        starts, given = starts_of(values), self.parameters.trio
        network = changed_along(given.network, ("runs",), lambda leaf, _: _repeated(leaf, starts))  # how its links fail
        trio = Trio(on.problem, network, _repeated_settings(given.method, starts), given.clock)
        along = {
            each.name: values[each.name][0]
            if isinstance(each, LinkWeights)
            else jnp.repeat(values[each.name].T, len(on.numbers) // starts, axis=-1)
            for each in self.parameters.each
        }
        return self.parameters.applied(trio, along)

    def _run(self, values: Values, on: TuningRuns) -> Result:
        starts, trio = starts_of(values), self._settings(values, on)
        known = {name: _repeated(getattr(on.optimum, name), starts) for name in SCALARS}
        initial = _repeated_start(self.initial, trio.problem.training, starts)
        lengths, optimum = intervals(self.steps, self.record_every), replace(on.optimum, **known)
        options = {"optimum": optimum, "seed": self.seed, "initial": initial, "clock": trio.clock}
        return run_batch(*trio[:3], on.numbers, lengths, **options, concrete=False)

    def _scored(self, result: Result, on: TuningRuns, starts: int) -> Objectives:
        result = replace(result, optimum=on.optimum)
        parts = {name: getattr(result, name) for name in ("allocation", "params", "trace", "status", "left")}
        apart = jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:-1], starts, -1), parts)
        axes = jax.tree.map(lambda leaf: leaf.ndim - 2, apart)

        def of_start(mine: dict[str, Any]) -> Objectives:
            own = replace(result, **mine)
            parts = jax.tree.map(jnp.mean, lax.stop_gradient(parts_at_end(own)))
            return Objectives(_score(self.objective, own), parts)

        return jax.vmap(of_start, in_axes=(axes,))(apart)


def _score(objective: Objective, result: Result) -> Array:
    """The objective's number, or an error that says what it gave instead."""
    try:
        score = objective(result)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise TypeError(
            "objective: it is differentiated, so write it with jax.numpy, without float(), NumPy or branches on values"
        ) from error
    except (TypeError, AttributeError, LookupError) as error:
        raise TypeError(
            f"objective: it takes the Result of a start and gives a number, but raised {type(error).__name__}: "
            f"{error!s:.200}"
        ) from error
    if not jnp.issubdtype(getattr(score, "dtype", type(score)), jnp.floating):
        raise TypeError(f"objective: expected a real number with a fraction, got {shown(score)}")
    if jnp.shape(score) != ():
        raise ValueError(
            f"objective: expected one number from the result of a start, got shape {jnp.shape(score)}; take a mean, or "
            "another statistic, over the runs"
        )
    return jnp.asarray(score)


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
