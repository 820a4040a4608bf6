"""Descent of all starts at once, over every problem and network."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxcoopt.run.progress import counted
from jaxcoopt.tuning.parameters import Free, Parameters, Values, starts_of
from jaxcoopt.tuning.rollout import Instances, Rollout

FINITE = "all that is recorded is finite; at_bits is NaN beyond the bits that a run sends"


class Compiled(NamedTuple):
    """Over one network, for all instances of a shape; slope: from free numbers, scores: from the settings."""

    rollout: Rollout
    slope: Callable[[Free, Instances], Any]
    scores: Callable[[Values, Instances], Array]


Case = tuple[Compiled, Instances]


def compiled(rollout: Rollout, options: dict[str, Any]) -> Compiled:
    """For all that is run over the rollout's network."""

    def total(free: Free, on: Instances) -> tuple[Array, Array]:
        scores = rollout.scores(rollout.parameters.values(free), on)
        return scores.sum(), scores  # a start's gradient is that of its own score

    slope = jax.jit(jax.value_and_grad(total, has_aux=True), compiler_options=options)
    return Compiled(rollout, slope, jax.jit(rollout.scores, compiler_options=options))


class Search:
    """The descent of all starts at once."""

    def __init__(self, parameters: Parameters, cases: list[Case], others: list[Case], optimizer: Any) -> None:
        """cases, others: what is learned from, and validated on. broken: the starts that went bad, with the reason."""
        self.parameters, self.optimizer, self.broken = parameters, optimizer, {}
        self._cases, self._others = cases, others

    def _slope(self, free: Free) -> tuple[np.ndarray, Free]:
        """The objective of each start and its slope, the mean over all problems and networks."""
        found = [over.slope(free, on) for over, on in self._cases]
        slope = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *(slope for _, slope in found))
        return np.mean([np.asarray(scores) for (_, scores), _ in found], axis=0), slope

    def as_given(self, starts: int) -> tuple[float, float]:
        """The objective of the settings that were given, on what is learned from and on the others."""
        values = self.parameters.given(starts)
        return _mean_score(self._cases, values)[0].item(), _mean_score(self._others, values)[0].item()

    def run(self, free: Free, iterations: int, patience: int | None, progress: bool) -> dict[str, np.ndarray]:
        """What was seen at each iteration; the last is only looked at."""
        state, rows, best, since = self.optimizer.init(free), [], np.inf, 0
        with counted(progress, iterations + 1) as done:
            for iteration in range(iterations + 1):
                scores, slope = self._slope(free)
                held_out = _mean_score(self._others, self.parameters.values(free))
                self._mark(iteration, free, scores, slope)
                if iteration == 0 and not self.broken:
                    _warn_of_no_effect(slope)
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
        standing = np.isin(np.arange(starts_of(free)), list(self.broken))

        def still(leaf: Array) -> Array:
            return jnp.where(standing.reshape(-1, *(1,) * (leaf.ndim - 1)), 0.0, leaf)

        with jax.numpy_dtype_promotion("standard"):  # optax counts in whole numbers
            updates, state = self.optimizer.update(jax.tree.map(still, slope), state, free)
        moves: Any = optax.apply_updates(free, jax.tree.map(still, updates))
        return self.parameters.admitted(moves), state

    def _mark(self, iteration: int, free: Free, scores: np.ndarray, slope: Free) -> None:
        """Starts whose objective or slope is not finite."""
        for name, values in ((None, scores), *slope.items()):  # None: the objective
            bad = [i for i, each in enumerate(values) if i not in self.broken and not np.isfinite(each).all()]
            if not bad:
                continue
            seen = list(zip(*(over.rollout.went_bad(free, on, name) for over, on in self._cases), strict=True))
            for start in bad:
                what = "the objective" if name is None else f"the slope in {name}"
                why = next(filter(None, seen[start]), FINITE)
                self.broken[start] = f"{what} is not finite at iteration {iteration} ({why})"


def _warn_of_no_effect(slope: Free) -> None:
    """Tell of parameters, or phases of one, that change nothing."""
    for name, of_starts in slope.items():
        still = np.all(np.asarray(of_starts) == 0, axis=0)
        if still.all() or (still.ndim == 1 and still.any()):
            which = name if still.all() else f"{name}{np.flatnonzero(still).tolist()}"
            warnings.warn(
                f"parameters: {which} has no effect on the objective: its slope is 0 at the start",
                RuntimeWarning,
                stacklevel=5,
            )


def _mean_score(cases: list[Case], values: Values) -> np.ndarray:
    """Of each start, over all problems and networks."""
    return np.mean([np.asarray(over.scores(values, on)) for over, on in cases], axis=0)
