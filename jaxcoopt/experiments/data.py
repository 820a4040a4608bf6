"""From the `data` table to samples dealt to the nodes, and the test set held out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Shaped

from jaxcoopt import datasets
from jaxcoopt.datasets import Dataset
from jaxcoopt.datasets.shards import Shards
from jaxcoopt.experiments.amounts import under
from jaxcoopt.experiments.data_tables import Data, Fourier, QuadraticFeatures
from jaxcoopt.experiments.limits import check_count
from jaxcoopt.problem import features
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Samples:
    """Train samples at the nodes; test features [samples, features] and targets [samples]; classes, 0: regression."""

    name: str
    shards: Shards
    test_features: Float[np.ndarray, "samples features"]
    test_targets: Shaped[np.ndarray, " samples"]
    classes: int


def load_samples(data: Data, nodes: int, seed: int) -> Samples:
    """Load, hold out the test set, scale, map, deal. Raises what `jaxcoopt.datasets` raises."""
    seed = seed if data.seed is None else data.seed
    with under("data"):
        dataset = _load(data)
        if data.samples is not None and data.samples > len(dataset.targets):
            there = f"{len(dataset.targets):,}"
            raise ValueError(f"samples: {dataset.name} has {there}, got {data.samples:,}; give {there} at most")
        dataset = replace(dataset, classes=datasets.are_classes(dataset.targets, dataset.classes))
        if data.samples is not None and data.samples < len(dataset.targets):
            dataset = datasets.train_test(dataset, data.samples / len(dataset.targets), seed)[1]
        train, test = datasets.train_test(dataset, data.test_fraction, seed)
    train, test = _mapped(data.map, *_scaled(data.scaling, train, test))
    with under("data.split"):
        options = {name: value for name, value in data.split if name != "kind"}
        shards = datasets.split(
            train.features, train.targets, nodes, how=data.split.kind, seed=seed, classes=dataset.classes, **options
        )
    classes = int(dataset.targets.max()) + 1 if dataset.classes else 0
    return Samples(dataset.name, shards, test.features, test.targets, classes)


def _load(data: Data) -> Dataset:
    if data.folder is not None:
        try:
            return datasets.idx_folder(data.folder)
        except (OSError, ValueError) as error:
            raise type(error)(f"{error}".replace("path: ", "folder: ", 1)) from error
    return getattr(datasets, str(data.name))()


def _scaled(scaling: str, train: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
    if scaling == "none":
        return train, test
    varies = train.features.max(axis=0) > train.features.min(axis=0)
    train, test = (replace(part, features=part.features[:, varies]) for part in (train, test))
    if scaling == "standardize":
        return datasets.standardize(train), datasets.standardize(test, like=train)
    mean = train.features.mean(axis=0)
    return replace(train, features=train.features - mean), replace(test, features=test.features - mean)


def _mapped(chosen: QuadraticFeatures | Fourier | None, train: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
    def both(function: Callable[[np.ndarray], np.ndarray]) -> tuple[Dataset, Dataset]:
        mapped = (replace(part, features=function(part.features)) for part in (train, test))
        return next(mapped), next(mapped)

    width, rows = train.features.shape[1], len(train.features) + len(test.features)
    match chosen:
        case QuadraticFeatures():
            check_count("data.map: products of features", width * (width + 3) // 2, rows * train.features.itemsize)
            return both(features.quadratic)
        case Fourier():
            check_count("data.map.components", chosen.components, (rows + width) * train.features.itemsize)
            variance = max(float(train.features.var()), 1e-12)
            gamma = 1 / (train.features.shape[1] * variance) if chosen.gamma is None else chosen.gamma
            return both(lambda x: features.fourier(x, chosen.components, gamma, chosen.seed))
        case None:
            return train, test
