"""Errors of ours over those of the best existing method, instance by instance."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

LARGEST = 1e300  # stands for infinity while quantiles are taken: the difference of two infinities is none


def best_existing(rivals: Mapping[str, Float[np.ndarray, " instances"]]) -> Float[np.ndarray, " instances"]:
    """The least error among all rivals, for each instance by itself."""
    return np.min(list(rivals.values()), axis=0)


def winners(rivals: Mapping[str, Float[np.ndarray, " instances"]]) -> dict[str, int]:
    """On how many instances each rival is the best; the first where several are."""
    names, errors = list(rivals), np.array(list(rivals.values()))
    first = [names[i] for i in errors.argmin(axis=0)]
    return {name: first.count(name) for name in names if name in first}


def ratios(
    ours: Float[np.ndarray, " instances"], best: Float[np.ndarray, " instances"], floor: float
) -> Float[np.ndarray, " instances"]:
    """ours / best with both at least `floor`; 1 where both diverged, infinite where only ours did."""
    ours, best = np.maximum(ours, floor), np.maximum(best, floor)
    both = np.isinf(ours) & np.isinf(best)
    return np.where(both, 1.0, ours / np.where(both, 1.0, best))


def quartiles(values: Float[np.ndarray, " instances"]) -> tuple[float, float, float]:
    """(first quartile, median, third quartile), linearly interpolated; diverged runs are infinite."""
    least, middle, most = np.quantile(np.minimum(values, LARGEST), [0.25, 0.5, 0.75])
    return _finite(least), _finite(middle), _finite(most)


def median(values: Float[np.ndarray, " instances"]) -> float:
    """As in `quartiles`."""
    return quartiles(values)[1]


def share_below(values: Sequence[float] | np.ndarray, limit: float) -> float:
    """The part of the instances whose ratio is below a limit."""
    return float(np.mean(np.asarray(values) < limit))


def _finite(value: float) -> float:
    return float("inf") if value > 1e-3 * LARGEST else float(value)
