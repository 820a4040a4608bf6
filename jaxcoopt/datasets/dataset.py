"""A data set in memory, its checks, the cut into train and test, and the scaling of its features."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Real, Shaped
from numpy.typing import ArrayLike

from jaxcoopt.datasets.apportion import apportion
from jaxcoopt.errors import finite
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Dataset:
    """Samples with their targets, held in numpy.

    Attributes:
        features: [samples, features], float32 or float64.
        targets: [samples], int64 class labels counted from 0, or float64 values for regression.
        name: what to call it in tables and plots.
        source: where the numbers were first published.
    """

    features: Real[np.ndarray, "samples features"]
    targets: Shaped[np.ndarray, " samples"]
    name: str
    source: str


def check_samples(features: ArrayLike, targets: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Features [samples, features] and targets [samples] as arrays; boolean targets become 0 and 1.

    Raises:
        TypeError: entries that are not real numbers.
        ValueError: wrong number of axes, lengths that differ, no samples, NaN or infinite entries.
    """
    features, targets = np.asarray(features), np.asarray(targets)
    if targets.dtype == bool:
        targets = targets.astype(np.int64)
    for name, array, axes in (("features", features, "[samples, features]"), ("targets", targets, "[samples]")):
        if array.dtype.kind not in "iuf":
            raise TypeError(
                f"{name}: expected numbers, got an array of {array.dtype}; encode the entries as numbers first"
            )
        if array.ndim != len(axes.split(",")):
            raise ValueError(f"{name}: expected shape {axes}, got {array.shape}; reshape it first")
        if not np.isfinite(array).all():
            finite(name, array)
    if len(features) != len(targets):
        raise ValueError(f"targets: expected one for each of the {len(features)} rows of features, got {len(targets)}")
    if len(targets) == 0:
        raise ValueError("features: expected at least one sample, got none")
    return features, targets


def train_test(dataset: Dataset, test_fraction: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """The samples in random order, cut into a train and a test set.

    Integer targets are stratified: every class gives the test set `test_fraction` of its samples, to within one sample.

    Args:
        dataset: what to cut.
        test_fraction: share of the samples that go to the test set, between 0 and 1 (both excluded).
        seed: same seed, same cut.

    Raises:
        ValueError: a fraction outside (0, 1) or one that leaves a side empty; data that `check_samples` refuses.
    """
    features, targets = check_samples(dataset.features, dataset.targets)
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction: expected a number between 0 and 1 (both excluded), got {test_fraction}")
    samples = len(targets)
    held = round(test_fraction * samples)
    if held in (0, samples):
        raise ValueError(
            f"test_fraction: {test_fraction} of {samples} samples leaves one side empty; move it towards 0.5"
        )
    rng = np.random.default_rng(seed)
    classes = targets if targets.dtype.kind in "iu" else np.zeros(samples, dtype=np.int64)
    labels, counts = np.unique(classes, return_counts=True)
    taken = [
        rng.permutation(np.flatnonzero(classes == label))[:quota]
        for label, quota in zip(labels, apportion(held, counts / samples), strict=True)
    ]
    in_test = np.zeros(samples, dtype=bool)
    in_test[np.concatenate(taken)] = True
    order = rng.permutation(samples)
    train, test = order[~in_test[order]], order[in_test[order]]
    return (
        replace(dataset, features=features[train], targets=targets[train]),
        replace(dataset, features=features[test], targets=targets[test]),
    )


def standardize(dataset: Dataset, like: Dataset | None = None) -> Dataset:
    """Each feature shifted and scaled to mean 0 and standard deviation 1 over the samples; targets stay as they are.

    A feature that never changes becomes 0. The dtype of the features is kept.

    Args:
        dataset: what to scale.
        like: take the means and deviations from this set instead (the train set, when `dataset` is the test set).

    Raises:
        ValueError: `like` has another number of features; data that `check_samples` refuses.
    """
    features, _ = check_samples(dataset.features, dataset.targets)
    model = features if like is None else check_samples(like.features, like.targets)[0]
    if model.shape[1] != features.shape[1]:
        raise ValueError(f"like: expected {features.shape[1]} features as in the data set, got {model.shape[1]}")
    mean = model.mean(axis=0, dtype=np.float64)
    constant = model.max(axis=0) == model.min(axis=0)
    deviation = np.where(constant, np.inf, model.std(axis=0, dtype=np.float64))
    dtype = features.dtype if features.dtype.kind == "f" else np.float64
    return replace(dataset, features=((features - mean) / deviation).astype(dtype))
