"""The linear rate of a run, fitted to its trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcoopt.arrays import Given, shown
from jaxcoopt.errors import finite, numbers
from jaxcoopt.shown import briefly

TRANSIENT = 0.4  # of the fall on a log scale that is left out: fast modes die away in it
FLOOR_MARGIN = 30.0  # times the floor: nearer to it rounding bends the line
FEWEST = 5  # records that a rate is fitted to


@briefly
@dataclass(frozen=True)
class FittedRate:
    """value(k) ~ scale rate^k between iterations `first` and `last`.

    rms: of the residuals of log10 value, so 0.1 is 26 %; decades: how far the values fall (rise, if negative) on the
    way; records: how many were fitted.
    """

    rate: float
    rms: float
    decades: float
    first: int
    last: int
    records: int


def rate_of_run(result: Any, name: str = "training_gap", run: int = 0) -> FittedRate:
    """The rate an iteration of one statistic of one run of a `Result`.

    Gaps are quadratic in the distance to the optimum, so their rate is the square of `spectral_rate`; that of
    consensus_error is it itself. Raises KeyError for a name that is not in the trace, ValueError where too few records
    lie between the transient and the floor.
    """
    if not isinstance(getattr(result, "trace", None), Mapping):
        raise TypeError(f"result: expected what jaxcoopt.solve returns, got {shown(result)}")
    if not isinstance(name, str) or name not in result.trace:
        raise KeyError(f"name: {shown(name)} is not in the trace, which has {', '.join(result.trace)}")
    values = np.asarray(result.trace[name], np.float64)
    if isinstance(run, bool) or not isinstance(run, int | np.integer):
        raise TypeError(f"run: expected a whole number, got {shown(run)}")
    if not -values.shape[1] <= run < values.shape[1]:
        raise ValueError(f"run: expected below {values.shape[1]}, got {shown(run)}")
    return fit_rate(np.asarray(result.iterations), values[:, run])


def fit_rate(iterations: Given, values: Given) -> FittedRate:
    """A line through log10 of values [records] by least squares with a soft loss, which single outliers hardly move.

    Left out are what comes before the peak, the first `TRANSIENT` of the fall, and what lies within `FLOOR_MARGIN` of
    the floor, the largest of the last tenth where that has stopped falling. Values that rise are fitted likewise.
    """
    iterations, values = finite("iterations", iterations), numbers("values", values)
    if iterations.shape != values.shape or values.ndim != 1:
        raise ValueError(
            f"values: expected [records] like iterations, which are {iterations.shape}, got {values.shape}"
        )
    end = int(np.argmin(np.isfinite(values))) if not np.isfinite(values).all() else len(values)
    peak = int(np.argmax(values[:end])) if end and values[end - 1] < 0.1 * values[:end].max() else 0
    held = peak + np.flatnonzero(values[peak:end] > _floor(values[peak:end]) * FLOOR_MARGIN)
    if len(held) >= 2:  # up to the first time at the floor
        below = np.flatnonzero(np.diff(held) > 1)
        held = held[: below[0] + 1] if len(below) and below[0] + 1 >= FEWEST else held
        logs = np.log10(values[held])
        fall = TRANSIENT * (logs[-1] - logs[0])
        reached = np.maximum.accumulate((logs - logs[0]) * np.sign(fall)) >= abs(fall)
        held = held[int(np.argmax(reached)) :] if reached.any() else held
    if len(held) < FEWEST:
        raise ValueError(
            f"only {len(held)} records lie between the transient and the floor, {FEWEST} are needed: record more often "
            "(record_every), or run longer"
        )
    return _line(iterations[held], np.log10(values[held]))


def _line(iterations: np.ndarray, logs: np.ndarray) -> FittedRate:
    import scipy.optimize  # not at the top: it takes a third of a second

    slope, level = np.polyfit(iterations, logs, 1)
    spread = max(float(np.median(np.abs(logs - slope * iterations - level))), 1e-12)
    span, first = max(float(np.ptp(iterations)), 1.0), iterations[0]
    at = (iterations - first) / span
    fit = scipy.optimize.least_squares(
        lambda line: line[0] * at + line[1] - logs,
        (slope * span, level + slope * first),
        loss="soft_l1",
        f_scale=3 * spread,
    )
    rms = float(np.sqrt(np.mean((fit.x[0] * at + fit.x[1] - logs) ** 2)))
    rate, last = 10.0 ** (fit.x[0] / span), int(iterations[-1])
    return FittedRate(float(rate), rms, -float(fit.x[0]), int(first), last, len(logs))


def _floor(values: np.ndarray) -> float:
    """The level at which the values have stopped falling, 0 where they have not."""
    tail = max(3, len(values) // 10)
    if len(values) < 2 * tail:
        return 0.0
    last, before = values[-tail:], values[-2 * tail : -tail]
    still = np.median(np.abs(last)) > 0.3 * np.median(np.abs(before))
    settled = still and np.median(np.abs(last)) < 1e-3 * np.abs(values).max()
    return float(np.abs(last).max()) if settled or np.any(last <= 0) else 0.0
