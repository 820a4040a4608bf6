"""Feature maps against the kernels that they stand for."""

import numpy as np
import pytest

import jaxcoopt as jc

N = 4  # nodes


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_quadratic_features_are_the_quadratic_kernel(dtype):
    points = np.random.default_rng(1).integers(0, 40, (6, 5)).astype(dtype)
    mapped = jc.features.quadratic(points)
    assert mapped.shape == (6, 5 + 15)
    inner = points.astype(float) @ points.astype(float).T
    np.testing.assert_allclose(np.asarray(mapped, float) @ np.asarray(mapped, float).T, inner + inner**2, rtol=1e-5)


@pytest.mark.fast
def test_quadratic_features_of_every_node():
    points = np.random.default_rng(1).normal(size=(N, 6, 3))
    np.testing.assert_array_equal(jc.features.quadratic(points)[2, 5], jc.features.quadratic(points[2, 5]))


@pytest.mark.parametrize("gamma", [0.05, 0.5])
def test_fourier_features_approach_the_gaussian_kernel(gamma):
    """The error of D components is about 1 / sqrt(D)."""
    points = np.random.default_rng(2).normal(size=(20, 3))
    distance = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    errors = []
    for components in (200, 20_000):
        mapped = jc.features.fourier(points, components, gamma, seed=5)
        assert mapped.shape == (20, components)
        errors.append(np.sqrt(np.mean((mapped @ mapped.T - np.exp(-gamma * distance)) ** 2)))
        assert errors[-1] < 2 / np.sqrt(components)
    assert errors[1] < errors[0] / 3


@pytest.mark.fast
def test_fourier_features_are_the_same_for_the_same_seed():
    points = np.random.default_rng(2).normal(size=(N, 5, 3))
    one, again, other = (jc.features.fourier(points, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(jc.features.fourier(points[1], 8, 0.4), jc.features.fourier(points, 8, 0.4)[1])
    default = jc.features.fourier(points, 8, 1 / (3 * points.var()), seed=1)
    np.testing.assert_allclose(one, default)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_fourier_features_of_whole_numbers(dtype):
    points = np.arange(6).reshape(3, 2)
    wanted = jc.features.fourier(points.astype(float), 16, 0.1)
    np.testing.assert_allclose(jc.features.fourier(points.astype(dtype), 16, 0.1), wanted, rtol=1e-6)


@pytest.mark.fast
def test_features_refuse_bad_input():
    points = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"features.*nan at index \(0, 1\)"):
        jc.features.quadratic(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="components: expected 1 or more, got 0"):
        jc.features.fourier(points, 0)
    with pytest.raises(ValueError, match="gamma: must be above 0, got -1"):
        jc.features.fourier(points, gamma=-1.0)
    with pytest.raises(TypeError, match="features"):
        jc.features.fourier(np.array([["a"]]))
