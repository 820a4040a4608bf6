"""`tune`: settings by gradient descent through whole runs."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxcoopt.channel.check import warn_of_rule
from jaxcoopt.errors import at_least_one, listed
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import run_count
from jaxcoopt.run.check import check_run
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.loop import vectors_for
from jaxcoopt.run.progress import counted
from jaxcoopt.sweeps.names import Trio
from jaxcoopt.theory.auto import with_steps
from jaxcoopt.tuning.free import Free, Parameters, parameters_of
from jaxcoopt.tuning.objectives import Objective, objective_of
from jaxcoopt.tuning.rollout import Instances, Rollout, instances

RECORDS = 20  # of a run, unless said otherwise
RATE = 0.1  # of Adam, in free numbers: about a tenth of the setting an iteration


@dataclass(frozen=True)
class Tuned:
    """The best settings of all starts and iterations, by the held-out objective.

    method, network: ready for `jaxcoopt.solve`, the first of several networks; values: of the parameters; objective,
    held_out: on the instances they were tuned on, and on the others; untuned: both of the settings that were given;
    start, iteration: where it was found. history: "objective" and "held_out" [iterations, starts], and the parameters,
    [iterations, starts, ...]. broken: the starts that left the finite numbers, with what went bad first.
    """

    method: CoOptimizer
    network: Network
    values: dict[str, Any]
    objective: float
    held_out: float
    untuned: tuple[float, float]
    start: int
    iteration: int
    history: dict[str, np.ndarray]
    broken: dict[int, str]


def tune(
    problem: Problem | Sequence[Problem],
    network: Network | Sequence[Network],
    method: CoOptimizer,
    parameters: Sequence[str] | Mapping[str, Any],
    *,
    steps: int,
    objective: str | Objective = "final",
    optimizer: optax.GradientTransformation | None = None,
    iterations: int = 100,
    starts: int = 1,
    runs: int = 1,
    held_out: Problem | Sequence[Problem] | None = None,
    held_out_network: Network | Sequence[Network] | None = None,
    patience: int | None = None,
    record_every: int | None = None,
    initial: Initial | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Tuned:
    """Minimise `objective` of runs of `steps` iterations over the settings named in `parameters`.

    t <- t - optimizer(d objective / d t),   setting = low + exp(t), or between low and high by a sigmoid of t

    parameters: dotted names of the method's numbers, or `methods.Phases`, or a dict name -> (low, high), or None for
    what the method's own check and `theory.step_bound` admit. "weights" are those of the links: symmetric, above
    0, no node's sum above 0.99. objective: "final" (log10 of the gap), "worst" (of the runs), "area" (under the curve),
    `objectives.at_bits(...)`, or any function from the `Result` of one start to a number that JAX can differentiate.
    problem: one or a list, one program for all of a shape, with numbers that may be [nodes, instances]; where there is
    one instance, it is run `runs` times (starts, failures, batches). network: one or a list, each of which every
    problem is run over. All of it for each of `starts`: the settings given, and random ones around them, in one call.
    held_out, held_out_network: what to validate on, None: the same; where both are None, other runs. patience:
    iterations without any gain on it after which it stops. optimizer: any of optax, None: Adam at 0.1.

    Raises ValueError or TypeError for what cannot be tuned, RuntimeError where every start is broken, warns
    (RuntimeWarning) of those that are.
    """
    iterations, starts = at_least_one("iterations", iterations), at_least_one("starts", starts)
    steps, runs = at_least_one("steps", steps), at_least_one("runs", runs)
    every = max(1, steps // RECORDS) if record_every is None else at_least_one("record_every", record_every)
    problems, networks = listed("problem", problem, Problem), listed("network", network, Network)
    other_problems = problems if held_out is None else listed("held_out", held_out, Problem)
    other_networks = networks if held_out_network is None else listed("held_out_network", held_out_network, Network)
    method = with_steps(method, problems[0], networks[0])
    warn_of_rule(method.channel)
    for each, net in (*product(problems, networks), *product(other_problems, other_networks)):
        check_run(each, net, method, run_count(each), seed, initial, None)
    found = parameters_of(parameters, Trio(problems[0], networks[0], method), starts)
    if found.of_links and (len(networks) > 1 or held_out_network is not None):
        raise ValueError("parameters: link weights are those of one network; leave the others out")
    rollout = Rollout(found, objective_of(objective), steps, every, seed, initial)
    on = [instances(each, networks[0].nodes, runs, starts) for each in problems]
    first = len(on[0].numbers) // starts if held_out is None and held_out_network is None else 0
    other = [instances(each, networks[0].nodes, runs, starts, first) for each in other_problems]
    options = vectors_for(max(len(each.numbers) for each in (*on, *other)))
    learned, validated = (
        [_compiled(rollout.over(net), options) for net in nets] for nets in (networks, other_networks)
    )
    cases, others = list(product(learned, on)), list(product(validated, other))
    search = _Search(found, cases, others, optax.adam(RATE) if optimizer is None else optimizer)
    history = search.run(found.start(starts, seed), iterations, patience, progress)
    return _best(found, history, search.broken)


class _Compiled(NamedTuple):
    """Over one network, for all instances of a shape."""

    rollout: Rollout
    slope: Callable[[Free, Instances], Any]
    scores: Callable[[Free, Instances], Array]


Case = tuple[_Compiled, Instances]


def _compiled(rollout: Rollout, options: dict[str, Any]) -> _Compiled:
    def total(free: Free, on: Instances) -> tuple[Array, Array]:
        scores = rollout.scores(free, on)
        return scores.sum(), scores  # a start's gradient is that of its own score

    slope = jax.jit(jax.value_and_grad(total, has_aux=True), compiler_options=options)
    return _Compiled(rollout, slope, jax.jit(rollout.scores, compiler_options=options))


class _Search:
    """The descent of all starts at once."""

    def __init__(self, parameters: Parameters, cases: list[Case], others: list[Case], optimizer: Any) -> None:
        self.parameters, self.optimizer, self.broken = parameters, optimizer, {}
        self._cases, self._others = cases, others

    def _slope(self, free: Free) -> tuple[np.ndarray, Free]:
        """The objective of each start and its slope, the mean over all problems and networks."""
        found = [over.slope(free, on) for over, on in self._cases]
        slope = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *(slope for _, slope in found))
        return np.mean([np.asarray(scores) for (_, scores), _ in found], axis=0), slope

    def _validate(self, free: Free) -> np.ndarray:
        return np.mean([np.asarray(over.scores(free, on)) for over, on in self._others], axis=0)

    def run(self, free: Free, iterations: int, patience: int | None, progress: bool) -> dict[str, np.ndarray]:
        """What was seen at each iteration; the last is only looked at."""
        state, rows, best, since = self.optimizer.init(free), [], np.inf, 0
        with counted(progress, iterations + 1) as done:
            for iteration in range(iterations + 1):
                scores, slope = self._slope(free)
                held_out = self._validate(free)
                self._mark(iteration, free, scores, slope)
                held_out[list(self.broken)] = np.nan
                rows.append({"objective": scores, "held_out": held_out} | self._values(free))
                least = np.min(np.where(np.isnan(held_out), np.inf, held_out))
                done(f"held-out objective {least:.3g}")
                since = 0 if least < best else since + 1
                best = min(best, least)
                if len(self.broken) == len(held_out) or (patience is not None and since >= patience):
                    break
                free, state = self._moved(free, slope, state)
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _values(self, free: Free) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in self.parameters.values(free).items()}

    def _moved(self, free: Free, slope: Free, state: Any) -> tuple[Free, Any]:
        """Broken starts stand still."""
        standing = np.isin(np.arange(len(next(iter(free.values())))), list(self.broken))

        def still(leaf: Array) -> Array:
            return jnp.where(standing.reshape(-1, *(1,) * (leaf.ndim - 1)), 0.0, leaf)

        with jax.numpy_dtype_promotion("standard"):  # optax counts in whole numbers
            updates, state = self.optimizer.update(jax.tree.map(still, slope), state, free)
        moves: Any = optax.apply_updates(free, jax.tree.map(still, updates))
        return moves, state

    def _mark(self, iteration: int, free: Free, scores: np.ndarray, slope: Free) -> None:
        """Starts whose objective or slope is not finite."""
        for name, values in ((None, scores), *slope.items()):  # None: the objective
            bad = [i for i, each in enumerate(values) if i not in self.broken and not np.isfinite(each).all()]
            if not bad:
                continue
            seen = list(zip(*(over.rollout.went_bad(free, on, name) for over, on in self._cases), strict=True))
            for start in bad:
                what = "the objective" if name is None else f"the slope in {name}"
                why = next(filter(None, seen[start]), "all that is recorded is finite")
                self.broken[start] = f"{what} is not finite at iteration {iteration} ({why})"


def _best(parameters: Parameters, history: dict[str, np.ndarray], broken: dict[int, str]) -> Tuned:
    held_out, scores = history["held_out"], history["objective"]
    told = "; ".join(f"start {start}: {what}" for start, what in broken.items())
    if np.isnan(held_out).all():
        raise RuntimeError(
            f"every start is broken ({told}): start from smaller steps, or record a statistic that stays finite"
        )
    if broken:
        warnings.warn(f"{len(broken)} of {held_out.shape[1]} starts are broken: {told}", RuntimeWarning, stacklevel=3)
    iteration, start = np.unravel_index(np.nanargmin(held_out), held_out.shape)
    chosen = {each.name: history[each.name][iteration, start] for each in parameters.each}
    values = {name: value.item() if np.ndim(value) == 0 else value for name, value in chosen.items()}
    trio = parameters.applied(parameters.trio, values)
    return Tuned(
        method=trio.method,
        network=trio.network,
        values=values,
        objective=float(scores[iteration, start]),
        held_out=float(held_out[iteration, start]),
        untuned=(float(scores[0, 0]), float(held_out[0, 0])),
        start=int(start),
        iteration=int(iteration),
        history=history,
        broken=broken,
    )
