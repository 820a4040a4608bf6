"""Whole numbers in given proportions, with nothing lost."""

import numpy as np
from jaxtyping import Float, Int


def apportion(total: int, shares: Float[np.ndarray, " parts"]) -> Int[np.ndarray, " parts"]:
    """`total` things in parts nearest to `shares` (none below 0, sum above 0): floors, then largest remainders."""
    quota = total * shares / shares.sum()
    parts = np.floor(quota).astype(np.int64)
    short = total - int(parts.sum())
    parts[np.argsort(parts - quota, kind="stable")[:short]] += 1
    return parts
