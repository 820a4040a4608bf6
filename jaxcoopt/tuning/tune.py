"""`tune`: settings by gradient descent through whole runs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import optax

from jaxcoopt.arrays import float_dtype, plain_tree, shown
from jaxcoopt.channel.check import warn_of_rule
from jaxcoopt.compiler import options_for
from jaxcoopt.errors import a_flag, at_least_one, check_seed, listed
from jaxcoopt.methods.check import received
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem import check
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import run_count
from jaxcoopt.programs import bounded_programs
from jaxcoopt.run.check import check_run, received_clock, received_start
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.theory.auto import asks_for_auto, warn_of_links, with_placeholders, with_steps
from jaxcoopt.tuning.described import told
from jaxcoopt.tuning.objectives import Objective, objective_of
from jaxcoopt.tuning.parameters import Parameters, parameters_of
from jaxcoopt.tuning.rollout import Rollout, instances
from jaxcoopt.tuning.search import FINITE, Search, compiled
from jaxcoopt.tuning.trust import SAME

RECORDS = 20  # of a run, unless said otherwise
WORSE = 1.1  # times: parts of the error that grew more are warned of
RATE = 0.1  # of Adam, in free numbers: about a tenth of the setting an iteration


class Untuned(float):
    """A number that still answers to [0] and [1], as the pair (objective, held-out objective) that it once was."""

    objective: float

    def __getitem__(self, place: int) -> float:
        warnings.warn("Tuned.untuned is a number now: the held-out objective", DeprecationWarning, stacklevel=2)
        return (self.objective, float(self))[place]


def _untuned(objective: float, held_out: float) -> float:
    number = Untuned(held_out)
    number.objective = objective
    return number


@dataclass(frozen=True)
class Tuned:
    """The best settings of all starts and iterations, by the held-out objective.

    method, network: ready for `jaxcoopt.solve`, the first of several networks; values: of the parameters. held_out:
    their objective on held-out runs, and untuned: that of the settings that were given, on the same; objective,
    objective_untuned: both on the runs that were learned from. The descent starts just inside of what a setting may be
    where it is given at an end of that; the settings given are returned where nothing better is found. parts: what the
    error on held-out runs is made of at the end, name to (untuned, tuned), means over the runs. start, iteration: where
    the best was found. history: "objective" and "held_out" [iterations, starts], and the parameters, [iterations,
    starts, ...]. broken: the starts that left the finite numbers, with what went bad first.
    """

    method: CoOptimizer
    network: Network
    values: dict[str, Any]
    objective: float
    objective_untuned: float
    held_out: float
    untuned: float
    parts: dict[str, tuple[float, float]]
    start: int
    iteration: int
    history: dict[str, np.ndarray]
    broken: dict[int, str]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {told(value)}" for name, value in self.values.items())
        parts = ", ".join(f"{name} {before:.2g} -> {after:.2g}" for name, (before, after) in self.parts.items())
        starts = f", {len(self.broken)} starts broken" if self.broken else ""
        lines = [
            f"Tuned: {values}",
            f"held-out objective {self.untuned:.4g} -> {self.held_out:.4g} "
            f"(start {self.start}, iteration {self.iteration}{starts})",
            *([parts] if parts else []),
        ]
        return "\n  ".join(lines)


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
    clock: Clock | None = None,
    progress: bool = True,
) -> Tuned:
    """Minimise `objective` of runs of `steps` iterations over the settings named in `parameters`.

    t <- t - optimizer(d objective / d t),   setting = low + exp(t), or between low and high by a sigmoid of t

    parameters: dotted names of the method's numbers, or `methods.Schedule`, or a dict name -> (low, high), or None for
    what the method's own check admits, and steps below `theory.step_bound` where they start below it. "weights" are
    those of the links: symmetric, above 0, no node's sum above 0.99. objective: "final" (log10 of the error at the end:
    the gap, and what budget, box and consensus lack, see `objectives.error`), "worst" (of the runs), "area" (under the
    curve), `objectives.at_bits(...)`, or any function from the `Result` of one start to a number that JAX can
    differentiate. problem: one or a list, one program for all of a shape, with numbers that may be
    [nodes, instances]; where there is one instance, it is run `runs` times (starts, failures, batches). network: one or
    a list, each of which every problem is run over. All of it for each of `starts`, the settings given and random ones
    around them: in one call, or one after the other where link weights are tuned. held_out, held_out_network: what to
    validate on, None: the same; where both are None, other runs. patience: iterations without any gain on it after
    which it stops. optimizer: of optax, one that needs nothing but gradients, None: Adam at 0.1. record_every:
    iterations between the records that the objective sees, None: steps / 20. initial, clock: as in
    `jaxcoopt.solve`. seed: of the starts, failures and batches, and of the random settings.

    Raises ValueError or TypeError for what cannot be tuned, RuntimeError where every start is broken, warns
    (RuntimeWarning) of those that are.
    """
    iterations, starts = at_least_one("iterations", iterations), at_least_one("starts", starts)
    steps, runs = at_least_one("steps", steps), at_least_one("runs", runs)
    patience = None if patience is None else at_least_one("patience", patience)
    if not isinstance(optimizer, optax.GradientTransformation | None):
        raise TypeError(f"optimizer: expected one of optax, such as optax.adam(0.1), got {shown(optimizer)}")
    every = max(1, steps // RECORDS) if record_every is None else at_least_one("record_every", record_every)
    objective, seed, progress = objective_of(objective), check_seed("seed", seed), a_flag("progress", progress)
    problems, networks = _problems("problem", problem), _networks("network", network)
    other_problems = problems if held_out is None else _problems("held_out", held_out)
    other_networks = networks if held_out_network is None else _networks("held_out_network", held_out_network)
    method, initial, clock = received(method), received_start(initial), received_clock(clock)
    all_cases = [*product(problems, networks), *product(other_problems, other_networks)]
    sizes = [runs if run_count(each) == 1 else run_count(each) for each, _ in all_cases]
    for (each, net), size in zip(all_cases, sizes, strict=True):
        check_run(each, net, with_placeholders(method), size, seed, initial, clock)
    method = _with_steps(method, all_cases, initial)
    for channel in method.channels():
        warn_of_rule(channel)
    found = parameters_of(parameters, method, all_cases, sizes[0], clock)
    if found.of_links and (len(networks) > 1 or held_out_network is not None):
        raise ValueError("parameters: link weights are those of one network; leave the others out")
    if not found.of_links:
        warn_of_links((method, each) for each in (*networks, *other_networks))
    rollout = Rollout(found, objective, steps, every, seed, initial)
    at_once = 1 if found.of_links else starts
    on = [instances(each, networks[0].nodes, runs, at_once) for each in problems]
    first = len(on[0].numbers) // at_once if held_out is None and held_out_network is None else 0
    other = [instances(each, networks[0].nodes, runs, at_once, first) for each in other_problems]
    options = options_for(max(len(each.numbers) for each in (*on, *other)))
    learned, validated = ([compiled(rollout.over(net), options) for net in nets] for nets in (networks, other_networks))
    cases, others = list(product(learned, on)), list(product(validated, other))
    search = Search(found, cases, others, optax.adam(RATE) if optimizer is None else optimizer)
    with bounded_programs("tune", problems, networks, method, steps, starts, runs, str(parameters)):
        history = search.run(found.start(starts, seed), iterations, patience, progress)
        return _best(found, history, search, starts)


def _problems(name: str, given: object) -> list[Problem]:
    """One or several, with plain arrays."""
    return [check.received(each) for each in listed(name, given, Problem)]


def _networks(name: str, given: object) -> list[Network]:
    return [plain_tree(each, "network") for each in listed(name, given, Network)]


def _with_steps(method: CoOptimizer, cases: list[tuple[Problem, Network]], initial: Initial | None) -> CoOptimizer:
    """With one number for every step that is "auto", which all problems and networks stand."""
    found = [with_steps(method, *case, initial) for case in cases]
    least = {half: min(float(np.min(getattr(each, half).step)) for each in found) for half in asks_for_auto(method)}
    return replace(method, **{half: replace(getattr(method, half), step=step) for half, step in least.items()})


def _reasons(broken: Mapping[int, str]) -> str:
    """Each reason with its starts."""
    starts: dict[str, list[str]] = {}
    for start, reason in broken.items():
        starts.setdefault(reason, []).append(str(start))
    return "; ".join(f"start {', '.join(which)}: {reason}" for reason, which in starts.items())


def _best(parameters: Parameters, history: dict[str, np.ndarray], search: Search, starts: int) -> Tuned:
    held_out, scores, broken = history["held_out"], history["objective"], search.broken
    why = _reasons(broken)
    if np.isnan(held_out).all():
        advice = "change the objective" if FINITE in why else "start from smaller steps"
        raise RuntimeError(f"every start is broken ({why}): {advice}")
    if broken:
        _warn(f"{len(broken)} of {held_out.shape[1]} starts are broken: {why}")
    iteration, start = np.unravel_index(np.nanargmin(held_out), held_out.shape)
    chosen = {each.name: history[each.name][iteration, start] for each in parameters.each}
    found = float(scores[iteration, start]), float(held_out[iteration, start])
    *untuned, parts_before = search.as_given(starts)
    parts = {name: float(each[start]) for name, each in search.parts[iteration].items()}
    if untuned[1] < found[1] - SAME * abs(found[1]):
        _warn(
            f"nothing better was found than the settings that were given ({untuned[1]:.3g} on what is held out, "
            f"{found[1]:.3g} tuned), so these are returned: try more iterations, more starts, or other intervals"
        )
    if untuned[1] <= found[1]:
        chosen = {each.name: each.given(parameters.trio) for each in parameters.each}
        found, parts, start, iteration = untuned, parts_before, 0, 0
    parts = {name: (before, parts[name]) for name, before in parts_before.items()}
    _warn_of_worse(parts)
    values = {name: value.item() if np.ndim(value) == 0 else value for name, value in chosen.items()}
    trio = parameters.applied(parameters.trio, values)
    return Tuned(
        method=trio.method,
        network=trio.network,
        values=values,
        objective=found[0],
        objective_untuned=untuned[0],
        held_out=found[1],
        untuned=_untuned(*untuned),
        parts=parts,
        start=int(start),
        iteration=int(iteration),
        history=history,
        broken=broken,
    )


def _warn_of_worse(parts: Mapping[str, tuple[float, float]]) -> None:
    """Of parts of the error that grew, with the figures; those of rounding aside."""
    rounding = 100 * float(np.finfo(float_dtype()).eps)
    grew = [
        f"the {name} from {before:.2g} to {after:.2g}"
        for name, (before, after) in parts.items()
        if after > WORSE * before + rounding
    ]
    if grew:
        _warn(
            f"the objective is better, but on held-out runs {' and '.join(grew)} got worse (box violation in mean "
            "shares, all else relative); where that matters, give an objective of your own"
        )


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=5)
