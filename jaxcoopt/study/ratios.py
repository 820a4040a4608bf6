"""Errors of a method over those of the best of others, instance by instance."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float


def ratios(
    ours: Float[np.ndarray, "*horizons instances"], best: Float[np.ndarray, "*horizons instances"], floor: float
) -> Float[np.ndarray, "*horizons instances"]:
    """ours / best with both at least `floor`; 1 where both diverged, infinite where only ours did."""
    ours, best = np.maximum(ours, floor), np.maximum(best, floor)
    both = np.isinf(ours) & np.isinf(best)
    return np.where(both, 1.0, ours / np.where(both, 1.0, best))


def winners(rivals: Mapping[str, Float[np.ndarray, " instances"]]) -> dict[str, int]:
    """On how many instances each rival is the best; the first where several are."""
    first = np.bincount(np.argmin(list(rivals.values()), axis=0), minlength=len(rivals))
    return {name: int(count) for name, count in zip(rivals, first, strict=True) if count}
