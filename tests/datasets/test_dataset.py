from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from jaxcoopt.datasets import Dataset, standardize, train_test
from jaxcoopt.datasets.apportion import apportion


def make(samples: int, features: int = 3, classes: int | None = 3, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    rows = rng.normal(2.0, 5.0, (samples, features))
    rows[:, 0] = np.arange(samples)  # the row number, so that a row can be recognised
    targets = rng.normal(size=samples) if classes is None else rng.integers(0, classes, samples)
    return Dataset(rows, targets, "made", "the test")


def test_a_dataset_is_frozen():
    with pytest.raises(FrozenInstanceError):
        make(4).name = "other"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("seed", range(20))
def test_apportion_loses_nothing_and_stays_within_one(seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(7, 0.3)) * rng.uniform(0.1, 10.0)
    total = int(rng.integers(0, 1000))
    parts = apportion(total, shares)
    assert parts.sum() == total
    assert (parts >= 0).all()
    assert np.abs(parts - total * shares / shares.sum()).max() < 1.0


def test_apportion_gives_the_largest_remainders_first():
    np.testing.assert_array_equal(apportion(4, np.array([0.35, 0.25, 0.4])), [1, 1, 2])
    np.testing.assert_array_equal(apportion(5, np.array([1.0, 0.0])), [5, 0])


@pytest.mark.parametrize("classes", [3, None])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_train_and_test_share_nothing_and_lose_nothing(classes, fraction):
    data = make(101, classes=classes)
    train, test = train_test(data, fraction, seed=4)
    assert len(test.targets) == round(fraction * 101)
    rows = np.concatenate([train.features[:, 0], test.features[:, 0]]).astype(int)
    np.testing.assert_array_equal(np.sort(rows), np.arange(101))
    np.testing.assert_array_equal(np.concatenate([train.targets, test.targets]), data.targets[rows])
    assert (train.name, train.source) == (data.name, data.source)


def test_train_test_is_stratified():
    targets = np.repeat([0, 1, 2], [600, 300, 10])
    data = Dataset(np.zeros((910, 1)), targets, "made", "the test")
    _, test = train_test(data, 0.1, seed=0)
    np.testing.assert_array_equal(np.bincount(test.targets), [60, 30, 1])


def test_train_test_follows_the_seed():
    data = make(60)
    first, again, other = (train_test(data, 0.3, seed)[1].features for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_train_test_does_not_keep_classes_in_order():
    data = Dataset(np.zeros((200, 1)), np.repeat([0, 1], 100), "made", "the test")
    train, test = train_test(data)
    for part in (train, test):
        assert (np.diff(part.targets) != 0).sum() > len(part.targets) // 4


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 1.5, float("nan")])
def test_train_test_refuses_fractions_outside(fraction):
    with pytest.raises(ValueError, match="test_fraction"):
        train_test(make(10), fraction)


def test_train_test_refuses_an_empty_side():
    with pytest.raises(ValueError, match="leaves one side empty"):
        train_test(make(4), 0.01)


def test_standardize_gives_mean_zero_and_deviation_one():
    scaled = standardize(make(80))
    np.testing.assert_allclose(scaled.features.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.features.std(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(scaled.targets, make(80).targets)


def test_standardize_uses_the_train_set_and_keeps_the_dtype():
    train = Dataset(np.array([[0.0, 7.0], [4.0, 7.0]], np.float32), np.array([0, 1]), "train", "the test")
    test = Dataset(np.array([[6.0, 9.0]], np.float32), np.array([0]), "test", "the test")
    scaled = standardize(test, like=train)
    np.testing.assert_allclose(scaled.features, [[2.0, 0.0]])  # (6 - 2) / 2; the constant feature becomes 0
    assert scaled.features.dtype == np.float32


def test_standardize_turns_a_constant_that_rounds_badly_into_zero():
    data = Dataset(np.full((10, 1), 0.1), np.zeros(10, int), "made", "the test")
    assert np.abs(standardize(data).features).max() == 0.0


def test_standardize_refuses_other_features_and_nan():
    with pytest.raises(ValueError, match="like: expected 3 features"):
        standardize(make(5), like=make(5, features=2))
    data = make(5)
    data.features[3, 1] = np.nan
    with pytest.raises(ValueError, match="features: 1 of 15 entries are not finite"):
        standardize(data)


@pytest.mark.parametrize("form", [int, float, np.float32, ">f4"])
def test_labels_are_stratified_whatever_their_type(form):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(25), 40))
    cuts = [
        train_test(Dataset(np.zeros((1000, 1)), given, "a", "b"), 0.1, 5)[1] for given in (labels, labels.astype(form))
    ]
    np.testing.assert_array_equal(cuts[1].targets, cuts[0].targets)
    np.testing.assert_array_equal(np.bincount(cuts[1].targets.astype(int)), np.full(25, 4))


def test_values_are_not_cut_by_size():
    """Whole numbers of which each is there once or twice: the test set must not be the smallest of them."""
    values = np.arange(400) // 2
    for given, classes in ((values.astype(float), None), (values, False), (values, True)):
        test = train_test(Dataset(np.zeros((400, 1)), given, "a", "b", classes), 0.1)[1]
        assert abs(test.targets.mean() - 99.5) < 40


def test_the_data_set_says_what_its_targets_are():
    table = Dataset(np.zeros((60, 1)), np.repeat([3.0, 4.0, 5.0], 20), "quality", "the test", False)
    first, second = (train_test(data, 0.5, 1)[1] for data in (table, Dataset(table.features, table.targets, "a", "b")))
    assert not np.array_equal(first.targets, second.targets)
    assert first.classes is False
