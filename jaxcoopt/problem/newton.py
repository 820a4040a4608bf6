"""Newton's method with a line search, stopped by its decrement: how much the loss can still fall, in its own unit."""

import abc
from typing import Any, NamedTuple

import numpy as np

ACCURACY = 1e-9  # of the loss, which another Newton step may still lower by so much
MOST_STEPS = 200
ROUNDING = 1e-14


class Seen(NamedTuple):
    """An objective at one point: its value and gradient; detail: what else its Newton step needs."""

    v: np.ndarray
    value: float
    slope: np.ndarray
    detail: Any = None


class Objective(abc.ABC):
    """A smooth convex function of one vector."""

    @property
    def finished(self) -> float:
        """Of the value: a step that gains less is the last one; 0: go on to rounding."""
        return 0.0

    @abc.abstractmethod
    def look(self, v: np.ndarray) -> Seen:
        """What it is at v."""

    @abc.abstractmethod
    def step(self, at: Seen) -> tuple[np.ndarray, float]:
        """The Newton step, and the least curvature relative to the largest (1 where it is not known)."""


class Found(NamedTuple):
    """Where the method stopped; settled: the certificate holds there."""

    v: np.ndarray
    value: float
    falls: float
    weakest: float
    settled: bool


def descend(objective: Objective, v: np.ndarray, accuracy: float = ACCURACY) -> Found:
    """Newton steps from v until half the squared decrement is `accuracy` of the value, then on to rounding.

    At an optimum the steps shrink as well. Where there is none the decrement may vanish while they do not: the loss
    falls ever more slowly, ever further out. Source: Boyd and Vandenberghe, Convex optimization, algorithm 9.5.
    """
    at = objective.look(v)
    start, longest, best = at.value, 0.0, None
    found = Found(v, at.value, np.inf, 1.0, False)
    for count in range(MOST_STEPS):
        (v, value, slope, _), (step, weakest) = at, objective.step(at)
        falls, length = -0.5 * float(slope @ step), float(np.linalg.norm(step))
        longest = max(longest, length)
        shrunk = count < 2 or length <= 1e-3 * longest
        small = abs(falls) <= accuracy * max(abs(value), 1e-15 * abs(start - value))
        found = Found(v, value, falls, weakest, bool(small and shrunk))
        if best is not None and not (found.settled and falls < 0.25 * best.falls):
            return best
        if found.settled:
            if accuracy > ACCURACY or not falls > 0:
                return found
            if falls <= objective.finished * abs(value):
                return found._replace(v=v + step)
            best = found
        moved = _search(objective, found, step)
        if moved is None:
            return found
        at = moved
    return found


def _search(objective: Objective, at: Found, step: np.ndarray) -> Seen | None:
    """The first of the step, its half, its quarter, ... that lowers the value enough; None where none does."""
    if not (np.isfinite(at.falls) and at.falls > 0):
        return None
    part = 1.0
    for _ in range(60):
        new = objective.look(at.v + part * step)
        if new.value <= at.value - 0.2 * part * at.falls + ROUNDING * abs(at.value) and np.isfinite(new.slope).all():
            return new
        part *= 0.5
    return None


def dense_step(
    hessian: np.ndarray, slope: np.ndarray, noise: float, longest: float = np.inf
) -> tuple[np.ndarray, float]:
    """-(H + t)^-1 slope, with the least t >= 0 that makes it no longer than `longest`; and H's least eigenvalue over
    its largest.

    Where H and the slope (up to its rounding, `noise`) both vanish nothing is to be gained, and the step is 0; where
    only H does, the step is long: nothing is left out of the decrement.
    """
    values, vectors = np.linalg.eigh(hessian)
    along, largest = vectors.T @ slope, max(float(values[-1]), np.finfo(float).tiny)
    floor = 10 * len(values) * np.finfo(float).eps * largest
    along = np.where((values <= floor) & (np.abs(along) <= noise), 0, along)
    curved = np.maximum(values, floor)
    return -vectors @ (along / (curved + _damping(along, curved, longest))), float(values[0]) / largest


def _damping(along: np.ndarray, curved: np.ndarray, longest: float) -> float:
    """The t >= 0 at which along / (curved + t) is as long as allowed; by bisection of its logarithm."""
    low, high = float(curved.min()) * 1e-3, float(np.linalg.norm(along)) / longest
    if np.linalg.norm(along / curved) <= longest or high <= low:
        return 0.0
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if np.linalg.norm(along / (curved + middle)) > longest else (low, middle)
    return high


def by_curvature(hessian: np.ndarray) -> np.ndarray:
    """Units for the parameters in which the Hessian's diagonal is 1."""
    diagonal = np.diagonal(hessian)
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
