"""Steps that `solve` chooses, and a warning for those that no run survives."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from jaxcoopt.channel.channel import Channel
from jaxcoopt.errors import traced
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.method import Method
from jaxcoopt.methods.schedule import in_each_phase, is_schedule
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.theory.curvature import NoNumber
from jaxcoopt.theory.steps import known_bound, unstable_beyond
from jaxcoopt.theory.strong_links import too_strong
from jaxcoopt.theory.trial import longest, may_try

AUTO = "auto"
FRACTION = 0.5  # of the bound: near the fastest step of a plain descent, far enough from the edge for quantized links
HALVES = ("allocation", "training")
IN_INITIAL = {"allocation": "allocation", "training": "params"}


def asks_for_auto(method: object) -> list[str]:
    """The halves whose step is "auto"."""
    steps = {half: getattr(getattr(method, half, None), "step", None) for half in HALVES}
    return [half for half, step in steps.items() if isinstance(step, str) and step == AUTO]


def with_placeholders(method: CoOptimizer) -> CoOptimizer:
    """The method with 1.0 for every step that is "auto": for checks that want numbers."""
    chosen = {half: replace(getattr(method, half), step=1.0) for half in asks_for_auto(method)}
    return replace(method, **chosen) if chosen else method  # what is no method is left to the checks


def with_steps(method: CoOptimizer, problem: Problem, network: Network, start: object = None) -> CoOptimizer:
    """The method with a number, a float or [runs], for every step that is "auto".

    It is `FRACTION` of `step_bound` where that is sharp. Elsewhere that bound may be hundreds of times too small, as it
    takes the largest curvature anywhere for the one that a run meets; so the method itself is tried (see `trial`), and
    the step is the larger one of that `FRACTION` and of what the trial says. start: the run's `Initial`, or None. The
    start and the draws of a trial are its own, so the step does not depend on the seed. Raises ValueError, with the
    reason, where no step is found.
    """
    chosen = {}
    for half in asks_for_auto(method):
        part, begin = replace(getattr(method, half), step=1.0), getattr(start, IN_INITIAL[half], None)
        try:
            steps = [_step(each, problem, network, method.channel_of(half), begin) for each in in_each_phase(part)]
        except NoNumber as reason:
            raise ValueError(f"method.{half}.step: 'auto' found no step, as {reason}; give a number") from None
        step = reduce(np.minimum, steps)
        if not (np.isfinite(step).all() and np.min(step) > 0):
            raise ValueError(f"method.{half}.step: 'auto' found no step but {np.min(step):g}; give a number")
        chosen[half] = replace(part, step=step)
    return replace(method, **chosen)


def check_auto(method: CoOptimizer, problem: Problem, network: Network) -> None:
    """As `with_steps` where that raises without having tried anything."""
    for half in asks_for_auto(method):
        channel = method.channel_of(half)
        for part in in_each_phase(replace(getattr(method, half), step=1.0)):
            try:
                known_bound(part, problem, network, channel)
            except NoNumber as reason:
                if not may_try(part, problem, network, channel):
                    raise ValueError(f"method.{half}.step: 'auto' found no step, as {reason}; give a number") from None


def _step(part: Method, problem: Problem, network: Network, channel: Channel, start: PyTree) -> ArrayLike:
    """What "auto" is for one half of a method; raises `NoNumber` where that is nothing."""
    tries = may_try(part, problem, network, channel)
    try:
        bound = known_bound(part, problem, network, channel)
    except NoNumber as reason:
        try:
            if tries:
                return longest(part, problem, network, channel, start)
        except NoNumber:
            pass
        raise reason
    safe = FRACTION * bound.value
    if bound.sharp or not tries:
        return safe
    try:
        return np.maximum(safe, longest(part, problem, network, channel, start))
    except NoNumber:
        return safe


def warn_of_steps(method: CoOptimizer, problem: Problem, network: Network, stacklevel: int = 3) -> None:
    """Warn (RuntimeWarning) of a step beyond which the iteration is known to grow; silent where that is not known.

    A longer step than the bound of `step_bound` draws no warning: where that is not sharp, many converge.
    """
    if traced(method, problem, network):
        return
    for half in HALVES:
        part, channel = getattr(method, half), method.channel_of(half)
        step = getattr(part, "step", None)
        if (
            step is None
            or is_schedule(step)
            or not _one_run((replace(part, step=0.0), getattr(problem, half), channel), half)
        ):
            continue
        limit = unstable_beyond(part, problem, network, channel, step=float(np.max(step)))
        if limit is not None and np.max(step) > limit * (1 + 1e-6):
            warnings.warn(
                f"method.{half}.step: {np.max(step):.3g} is beyond {limit:.3g}, where the iteration of "
                f"{type(part).__name__} on this problem and network grows without limit (its spectrum leaves the unit "
                f"circle: jaxcoopt.theory.spectral_rate); make it smaller, or step='auto'",
                RuntimeWarning,
                stacklevel=stacklevel,
            )


def warn_of_links(cases: Iterable[tuple[CoOptimizer, Network]], stacklevel: int = 3) -> None:
    """Warn (RuntimeWarning) of link weights with which runs diverge whatever the step is, once for each method."""
    told = {}
    for method, network in cases:
        if not traced(method, network):
            for half, part in _parts(method):
                words = too_strong(part, network, method.channel_of(half), surely=True)
                if words is not None:
                    told.setdefault(type(part), words)
    for words in told.values():
        warnings.warn(f"{words}; as it is, the runs will diverge", RuntimeWarning, stacklevel=stacklevel)


def why_diverged(method: CoOptimizer, network: Network) -> str:
    """What to do about runs that all diverged."""
    told = [too_strong(part, network, method.channel_of(half), surely=False) for half, part in _parts(method)]
    found = [each for each in told if each is not None]
    return found[0] if found else "make the steps smaller, or start inside the domain of the cost"


def _parts(method: CoOptimizer) -> list[tuple[str, Method]]:
    return [(half, part) for half in HALVES if (part := getattr(method, half)) is not None]


def _one_run(settings: PyTree, half: str) -> bool:
    """Whether the settings that the spectrum depends on are the same for all runs."""
    part, problem, channel = settings
    per_run = jax.tree.leaves((part, channel)) + (jax.tree.leaves(problem.loss) if half == "training" else [])
    return not any(np.ndim(leaf) for leaf in per_run)
