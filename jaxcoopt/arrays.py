"""Array conventions: nodes first, runs last, one float type, sums that do not drift."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array, Float


def float_dtype() -> Any:
    """float32, or float64 when jax_enable_x64 is set."""
    return canonicalize_dtype(float)


def along_runs(value: Any, like: Array) -> Array:
    """A hyperparameter, scalar or [runs], shaped to broadcast against `like` [nodes, ..., runs]."""
    value = jnp.asarray(value)
    return value if value.ndim == 0 else value.reshape((1,) * (like.ndim - 1) + value.shape)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as its rounded value and the exact rounding error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def compensated_sum(values: Float[Array, "nodes *rest"]) -> Float[Array, "*rest"]:
    """Sum over the first axis by a tree of `two_sum`: the error does not grow with the number of nodes."""
    error = jnp.zeros_like(values[0])
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        total, lost = two_sum(values[:half], values[half : 2 * half])
        error = error + lost.sum(axis=0)
        values = jnp.concatenate([total, values[2 * half :]]) if values.shape[0] % 2 else total
    return values[0] + error


def tree_mix(fn: Any, *trees: Any) -> Any:
    """`fn` over the leaves of trees that may share None leaves (a channel without memory keeps none)."""
    return jax.tree.map(fn, *trees, is_leaf=lambda leaf: leaf is None)
