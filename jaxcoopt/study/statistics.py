"""Statistics over runs: quartiles, means and their intervals."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcoopt.shown import briefly

QUARTILES = (0.25, 0.5, 0.75)
LARGEST = 1e300  # stands for infinity while quantiles are taken: the difference of two infinities is none
LEVEL = 0.95  # of the confidence intervals
RESAMPLES = 999
BATCH_SIZE = 2_000_000  # numbers that the bootstrap draws at once


@briefly
@dataclass(frozen=True)
class Statistics:
    """[points] each: finite runs; mean with its t interval; median with its bootstrap interval; quartiles. NaN where
    there are too few runs: an interval needs two.

    Where no number is negative, as of gaps and errors, the mean's interval is taken on a log scale (the delta method),
    so that it stays above 0.
    """

    runs: Int[np.ndarray, " points"]
    mean: Float[np.ndarray, " points"]
    mean_low: Float[np.ndarray, " points"]
    mean_high: Float[np.ndarray, " points"]
    median: Float[np.ndarray, " points"]
    median_low: Float[np.ndarray, " points"]
    median_high: Float[np.ndarray, " points"]
    q1: Float[np.ndarray, " points"]
    q3: Float[np.ndarray, " points"]


def statistics(values: Float[np.ndarray, "points seeds"]) -> Statistics:
    """Over the seeds; entries that are NaN are left out."""
    ordered = np.sort(values, axis=1)  # NaN last
    runs = np.isfinite(values).sum(axis=1)
    q1, median, q3 = quartiles(values, axis=1)
    with np.errstate(all="ignore"):  # points without runs, numbers near the largest float
        mean = np.where(runs > 0, np.nansum(values, axis=1) / runs, np.nan)
        variance = np.nansum((values - mean[:, None]) ** 2, axis=1) / (runs - 1)
        half = np.where(runs > 1, _stats().t.ppf((1 + LEVEL) / 2, runs - 1) * np.sqrt(variance / runs), np.nan)
        low, high = _around(mean, half, positive=not np.any(values < 0))
    median_low, median_high = _bootstrap(ordered, runs)
    return Statistics(runs, mean, low, high, median, median_low, median_high, q1, q3)


def _stats() -> Any:
    """scipy.stats, which takes longer to import than all of the rest."""
    return importlib.import_module("scipy.stats")


def _around(mean: np.ndarray, half: np.ndarray, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """mean +- half, or mean times and over exp(half / mean): the same to first order, and above 0."""
    if not positive:
        return mean - half, mean + half
    times = np.exp(np.where(mean > 0, half / np.where(mean > 0, mean, 1), half))
    return mean / times, mean * times


def quartiles(values: Float[np.ndarray, "..."], axis: int = -1) -> Float[np.ndarray, "3 ..."]:
    """25 %, 50 % and 75 % along an axis, linearly interpolated; NaN is left out, infinity is a number like others."""
    finite = np.moveaxis(np.minimum(values, LARGEST), axis, -1)
    found = np.moveaxis(_stats().quantile(finite, np.array(QUARTILES), axis=-1, nan_policy="omit"), -1, 0)
    return np.where(found > 1e-3 * LARGEST, np.inf, found)


def best_first(median: Float[np.ndarray, " points"], last: Bool[np.ndarray, " points"]) -> Int[np.ndarray, " ranked"]:
    """The points that have a median, from the smallest on; those flagged `last` come after all others."""
    order = np.lexsort((median, last))
    return order[np.isfinite(median[order])]


def _bootstrap(
    ordered: Float[np.ndarray, "points seeds"], runs: Int[np.ndarray, " points"]
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of the median, all points with as many runs at once; the same numbers every time."""
    low, high = np.full((2, len(runs)), np.nan)
    for count in np.unique(runs[runs > 1]):
        chosen = np.flatnonzero(runs == count)
        interval = (
            _stats()
            .bootstrap(
                (ordered[chosen, :count],),
                np.median,
                axis=1,
                n_resamples=RESAMPLES,
                batch=max(1, BATCH_SIZE // (len(chosen) * int(count))),
                confidence_level=LEVEL,
                method="percentile",
                rng=np.random.default_rng(0),
            )
            .confidence_interval
        )
        low[chosen], high[chosen] = interval.low, interval.high
    return low, high
