"""A data set in memory, its checks, the cut into train and test, and the scaling of its features."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Real, Shaped
from numpy.typing import ArrayLike

from jaxcoopt.datasets.apportion import apportion
from jaxcoopt.datasets.labels import are_classes
from jaxcoopt.errors import finite, generator, one_number, plain, shown
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Dataset:
    """Samples with their targets, held in numpy.

    Attributes:
        features: [samples, features], float32 or float64.
        targets: [samples], class labels counted from 0, or values for regression.
        name: what to call it in tables and plots.
        source: where the numbers were first published.
        classes: whether the targets are class labels; None: as their values look (`jaxcoopt.datasets.are_classes`).
    """

    features: Real[np.ndarray, "samples features"]
    targets: Shaped[np.ndarray, " samples"]
    name: str
    source: str
    classes: bool | None = None


def check_samples(features: ArrayLike, targets: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Features [samples, features] and targets [samples] as plain arrays; True and False become 1 and 0.

    Raises:
        TypeError: entries that are not real numbers.
        ValueError: wrong number of axes, lengths that differ, no samples, masked, NaN or infinite entries.
    """
    features, targets = (np.asarray(plain(*pair)) for pair in (("features", features), ("targets", targets)))
    features, targets = (array.astype(np.int64) if array.dtype == bool else array for array in (features, targets))
    for name, array, axes in (("features", features, "[samples, features]"), ("targets", targets, "[samples]")):
        if array.ndim != len(axes.split(",")):
            raise ValueError(f"{name}: expected shape {axes}, got {array.shape}; reshape it first")
        if not np.isfinite(array).all():
            finite(name, array)
    if len(features) != len(targets):
        raise ValueError(f"targets: expected one for each of the {len(features)} rows of features, got {len(targets)}")
    if len(targets) == 0:
        raise ValueError("features: expected at least one sample, got none")
    return features, targets


def train_test(
    dataset: Dataset, test_fraction: float = 0.2, seed: int = 0, classes: bool | None = None
) -> tuple[Dataset, Dataset]:
    """The samples in random order, cut into a train and a test set.

    Class labels are stratified: every class gives the test set `test_fraction` of its samples, to within one sample.

    Args:
        dataset: what to cut.
        test_fraction: share of the samples that go to the test set, between 0 and 1 (both excluded).
        seed: same seed, same cut.
        classes: whether the targets are class labels; None: what the data set says, else as their values look: whole
            numbers of which there are few, see `are_classes`.

    Raises:
        ValueError: a fraction outside (0, 1) or one that leaves a side empty; data that `check_samples` refuses.
    """
    features, targets = _samples("dataset", dataset)
    test_fraction, rng = one_number("test_fraction", test_fraction), generator(seed)
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction: expected a number between 0 and 1 (both excluded), got {test_fraction}")
    samples = len(targets)
    held = round(test_fraction * samples)
    if held in (0, samples):
        raise ValueError(
            f"test_fraction: {test_fraction} of {samples} samples leaves one side empty; move it towards 0.5"
        )
    stratified = are_classes(targets, dataset.classes if classes is None else classes)
    counts = np.unique(targets if stratified else np.zeros(samples), return_counts=True)[1]
    of_class = np.split(
        np.argsort(targets, kind="stable") if stratified else np.arange(samples), np.cumsum(counts)[:-1]
    )
    quotas = _quotas(held, counts, seed)
    taken = [rng.permutation(members)[:quota] for members, quota in zip(of_class, quotas, strict=True)]
    in_test = np.zeros(samples, dtype=bool)
    in_test[np.concatenate(taken)] = True
    order = rng.permutation(samples)
    train, test = order[~in_test[order]], order[in_test[order]]
    return (
        replace(dataset, features=features[train], targets=targets[train]),
        replace(dataset, features=features[test], targets=targets[test]),
    )


def _quotas(held: int, counts: np.ndarray, seed: int) -> np.ndarray:
    """How many samples each class gives; which of classes that are as large gives one more is drawn."""
    order = generator(seed).permutation(len(counts))
    quotas = np.empty(len(counts), np.int64)
    quotas[order] = apportion(held, counts[order] / counts.sum())
    return quotas


def _samples(name: str, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The checked features and targets of a data set."""
    if not isinstance(dataset, Dataset):
        raise TypeError(f"{name}: expected a jaxcoopt.datasets.Dataset, got {shown(dataset)}")
    return check_samples(dataset.features, dataset.targets)


def standardize(dataset: Dataset, like: Dataset | None = None) -> Dataset:
    """Each feature shifted and scaled to mean 0 and standard deviation 1 over the samples; targets stay as they are.

    A feature that never changes becomes 0. The dtype of the features is kept.

    Args:
        dataset: what to scale.
        like: take the means and deviations from this set instead (the train set, when `dataset` is the test set).

    Raises:
        ValueError: `like` has another number of features; data that `check_samples` refuses.
    """
    features, _ = _samples("dataset", dataset)
    model = features if like is None else _samples("like", like)[0]
    if model.shape[1] != features.shape[1]:
        raise ValueError(f"like: expected {features.shape[1]} features as in the data set, got {model.shape[1]}")
    mean = model.mean(axis=0, dtype=np.float64)
    constant = model.max(axis=0) == model.min(axis=0)
    deviation = np.where(constant, np.inf, model.std(axis=0, dtype=np.float64))
    dtype = features.dtype if features.dtype.kind == "f" else np.float64
    return replace(dataset, features=((features - mean) / deviation).astype(dtype))
