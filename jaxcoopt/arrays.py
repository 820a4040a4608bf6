"""Array conventions: nodes first, runs last, one float type."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array


def float_dtype() -> Any:
    """float32, or float64 when jax_enable_x64 is set."""
    return canonicalize_dtype(float)


def along_runs(value: Any, like: Array) -> Array:
    """A hyperparameter, scalar or [runs], shaped to broadcast against `like` [nodes, ..., runs]."""
    value = jnp.asarray(value)
    if like.ndim < 3:
        return value if value.ndim == 0 else value.reshape((1,) * (like.ndim - 1) + value.shape)
    row = value.reshape((1,) * (like.ndim - 1) + (value.shape or (1,)))
    return _spread(jnp.broadcast_shapes(row.shape, like.shape), row)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _spread(shape: tuple[int, ...], row: Array) -> Array:
    return jnp.broadcast_to(row, shape)


@_spread.defjvp
def _spread_jvp(shape: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """By way of one number for each node, so that the transpose sums over a node's parameters first: as one sum over
    both it takes XLA six times as long on a CPU.
    """
    (row,), (moved,) = primals, tangents
    of_nodes = jnp.broadcast_to(moved, (shape[0], *row.shape[1:]))
    return _spread(shape, row), jnp.broadcast_to(lax.optimization_barrier(of_nodes), shape)


def stored(tree: Any, always: Array) -> Any:
    """The same arrays, computed once; always: a scalar that is true, but not known to the compiler.

    XLA otherwise computes a value again in every gather that reads it, d times for d neighbours, and may round it
    differently each time. An `optimization_barrier` does not stop that on the CPU; a branch does.
    """
    return lax.cond(always, lambda: tree, lambda: jax.tree.map(jnp.zeros_like, tree))
