"""Descent of all starts at once, over every problem and network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from jaxcoopt.run.progress import counted
from jaxcoopt.tuning.parameters import Free, Parameters, Values, starts_of
from jaxcoopt.tuning.rollout import Objectives, Rollout, TuningRuns
from jaxcoopt.tuning.trust import warn_of_slopes

FINITE = "all that is recorded is finite; at_bits is NaN beyond the bits that a run sends"


class Compiled(NamedTuple):
    """Over one network, for all instances of a shape; slope: from free numbers, scores: from the settings."""

    rollout: Rollout
    slope: Callable[[Free, TuningRuns], Any]
    scores: Callable[[Values, TuningRuns], Objectives]


Case = tuple[Compiled, TuningRuns]


def compiled(rollout: Rollout, options: dict[str, Any]) -> Compiled:
    """For all that is run over the rollout's network."""

    def total(free: Free, on: TuningRuns) -> tuple[Array, Array]:
        scores = rollout.scores(rollout.parameters.values(free), on).objective
        return scores.sum(), scores  # a start's gradient is that of its own score

    slope = jax.jit(jax.value_and_grad(total, has_aux=True), compiler_options=options)
    return Compiled(rollout, slope, jax.jit(rollout.scores, compiler_options=options))


class Search:
    """The descent of all starts at once."""

    def __init__(
        self, parameters: Parameters, cases: list[Case], others: list[Case], optimizer: optax.GradientTransformation
    ) -> None:
        """cases, others: what is learned from, and validated on. broken: the starts that went bad, with the reason;
        parts: of the held-out error, [starts] each, at every iteration.
        """
        self.parameters, self.optimizer, self.broken, self.parts = parameters, optimizer, {}, []
        self._cases, self._others = cases, others

    def _slope(self, free: Free) -> tuple[np.ndarray, Free]:
        """The objective of each start and its slope, the mean over all problems and networks."""
        found = [over.slope(free, on) for over, on in self._cases]
        slope = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *(slope for _, slope in found))
        return np.mean([np.asarray(scores) for (_, scores), _ in found], axis=0), slope

    def as_given(self, starts: int) -> tuple[float, float, dict[str, float]]:
        """The objective of the settings that were given, on what is learned from and on the others; its parts there."""
        values = self.parameters.given(starts)
        other = _mean_scores(self._others, values)
        parts = {name: float(each[0]) for name, each in other.parts.items()}
        return _mean_scores(self._cases, values).objective[0].item(), other.objective[0].item(), parts

    def run(self, free: Free, iterations: int, patience: int | None, progress: bool) -> dict[str, np.ndarray]:
        """What was seen at each iteration; the last is only looked at."""
        state, rows, best, since = self.optimizer.init(free), [], np.inf, 0
        with counted(progress, iterations + 1, "iterations", first=True) as done:
            for iteration in range(iterations + 1):
                scores, slope = self._slope(free)
                held_out, parts = _mean_scores(self._others, self.parameters.values(free))
                self._mark(iteration, free, scores, slope)
                if iteration == 0 and 0 not in self.broken:
                    warn_of_slopes(free, scores, slope, lambda at: self._slope(at)[1], self._look)
                self.parts.append(parts)
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

    def _look(self, free: Free) -> np.ndarray:
        """The objective of each start alone."""
        return np.asarray(_mean_scores(self._cases, self.parameters.values(free)).objective)

    def _values(self, free: Free) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in self.parameters.values(free).items()}

    def _moved(self, free: Free, slope: Free, state: PyTree) -> tuple[Free, PyTree]:
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


def _mean_scores(cases: list[Case], values: Values) -> Objectives:
    """Of each start, over all problems and networks; of the parts, those that all of them have."""
    found = [over.scores(values, on) for over, on in cases]
    names = [name for name in found[0].parts if all(name in each.parts for each in found)]
    parts = {name: np.mean([np.asarray(each.parts[name]) for each in found], axis=0) for name in names}
    return Objectives(np.mean([np.asarray(each.objective) for each in found], axis=0), parts)
