"""Array conventions: nodes first, runs last, one float type."""

from typing import Any

import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array


def float_dtype() -> Any:
    """float32, or float64 when jax_enable_x64 is set."""
    return canonicalize_dtype(float)


def along_runs(value: Any, like: Array) -> Array:
    """A hyperparameter, scalar or [runs], shaped to broadcast against `like` [nodes, ..., runs]."""
    value = jnp.asarray(value)
    return value if value.ndim == 0 else value.reshape((1,) * (like.ndim - 1) + value.shape)
