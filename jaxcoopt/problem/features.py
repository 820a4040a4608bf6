"""Explicit feature maps that turn a linear model into a kernel machine, applied to the local data once."""

import numpy as np
from jaxtyping import Float, Real

from jaxcoopt.arrays import plain
from jaxcoopt.errors import at_least_one, finite, generator, one_number, positive


def quadratic(features: Real[np.ndarray, "*rest features"]) -> Float[np.ndarray, "*rest mapped"]:
    """All x_a, x_a^2 and sqrt(2) x_a x_b (a < b): inner products become (x.z) + (x.z)^2.

    [..., f] -> [..., f + f (f + 1) / 2].

    >>> quadratic(np.array([2.0, 3.0])).round(3)
    array([2.   , 3.   , 4.   , 9.   , 8.485])
    """
    features = _floating(features)
    first, second = np.triu_indices(features.shape[-1], k=1)
    cross = np.sqrt(np.array(2, features.dtype)) * features[..., first] * features[..., second]
    return np.concatenate([features, features**2, cross], axis=-1)


def fourier(
    features: Real[np.ndarray, "*rest features"], components: int = 256, gamma: float | None = None, seed: int = 0
) -> Float[np.ndarray, "*rest components"]:
    """Random Fourier features sqrt(2/D) cos(W x + u): inner products approach exp(-gamma |x - z|^2).

    `components` is D; gamma defaults to 1 / (number of features x variance of the features given here): pass it to
    map other data, a test set say, alike. Every node must use the same seed. Source: Rahimi and Recht, NeurIPS 2007.
    """
    features = _floating(features)
    components, rng = at_least_one("components", components), generator(seed)
    if gamma is None:
        gamma = 1.0 / (features.shape[-1] * max(float(features.var()), 1e-12))
    one_number("gamma", gamma)
    scale = np.sqrt(2 * positive("gamma", gamma))
    directions = rng.normal(scale=scale, size=(features.shape[-1], components))
    phases = rng.uniform(0, 2 * np.pi, components)
    return (np.sqrt(2 / components) * np.cos(features @ directions + phases)).astype(features.dtype)


def _floating(features: np.ndarray) -> np.ndarray:
    """Finite and in floating point: whole numbers would overflow or be cut."""
    features = np.asarray(plain("features", features))
    exact = finite("features", features, flags=True)
    if not exact.size or not exact.ndim:
        raise ValueError(f"features: expected an array [..., features] that holds numbers, got shape {exact.shape}")
    return features if features.dtype.kind == "f" else exact
