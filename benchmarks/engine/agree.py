"""Whether a rival gives the same answer as the engine, from the same start."""

from typing import Any

import numpy as np

from benchmarks.engine.engine import State

ITERATIONS = 3
TIGHT = 1e-10  # of the largest number, in float64
LOOSE, OFF = 1e-4, 0.01  # in float32: 99 % of the numbers within 1e-4 of the largest one


def agreement(ours: State, theirs: State) -> dict[str, Any]:
    """The largest difference over the largest number, in x and in y, and the part of the numbers that are off.

    float64: every number must be within 1e-10. float32: a value within rounding of a quantizer's bin edge may fall on
    the other side in one of the two, which moves the node's neighbours by a visible step; so all but 1 % of the
    numbers must be within 1e-4. The same code is held to 1e-10 in float64 by the tests.
    """
    wide = ours.x.dtype == np.float64
    limit, allowed = (TIGHT, 0.0) if wide else (LOOSE, OFF)
    worst, off = 0.0, 0.0
    for mine, other in ((ours.x, theirs.x), (ours.y, theirs.y)):
        distance = np.abs(mine.astype(np.float64) - other) / max(float(np.abs(mine).max()), 1e-30)
        distance = np.where(np.isfinite(distance), distance, np.inf)
        worst, off = max(worst, float(distance.max())), max(off, float(np.mean(distance > limit)))
    largest = worst if np.isfinite(worst) else None  # JSON has no infinity
    return {"iterations": ITERATIONS, "largest": largest, "part_off": off, "limit": limit, "agrees": off <= allowed}
