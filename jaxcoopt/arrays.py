"""Array conventions: nodes first, runs last, one float type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.dtypes import canonicalize_dtype
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
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
    return _spread(np.broadcast_shapes(row.shape, like.shape), row)


def _spread(shape: tuple[int, ...], row: Array) -> Array:
    """jnp.broadcast_to, with a transpose of its own: summed over a node's parameters first and then over the nodes. As
    one sum over both it takes XLA six times as long on a CPU.
    """
    return _spread_row.bind(row, shape=shape)


def _total(sums: Any, row: Any, *, shape: tuple[int, ...]) -> list[Any]:
    if isinstance(sums, ad.Zero):
        return [ad.Zero(row.aval)]
    of_nodes = lax.optimization_barrier(sums.sum(axis=tuple(range(1, len(shape) - 1)), keepdims=True))
    absent = tuple(axis for axis, size in enumerate(np.shape(row.aval)) if size == 1)
    return [of_nodes.sum(axis=absent, keepdims=True)]


def _batched(args: Any, axes: Any, *, shape: tuple[int, ...]) -> tuple[Array, int]:
    return jax.vmap(lambda row: jnp.broadcast_to(row, shape), axes)(*args), 0


_spread_row = Primitive("spread_row")
_spread_row.def_impl(jnp.broadcast_to)
_spread_row.def_abstract_eval(lambda row, shape: ShapedArray(shape, row.dtype, weak_type=row.weak_type))
mlir.register_lowering(_spread_row, mlir.lower_fun(jnp.broadcast_to, multiple_results=False))
ad.deflinear2(_spread_row, _total)
batching.primitive_batchers[_spread_row] = _batched


def stored(tree: Any, always: Array) -> Any:
    """The same arrays, computed once; always: a scalar that is true, but not known to the compiler.

    XLA otherwise computes a value again in every gather that reads it, d times for d neighbours, and may round it
    differently each time. An `optimization_barrier` does not stop that on the CPU; a branch does.
    """
    return lax.cond(always, lambda: tree, lambda: jax.tree.map(jnp.zeros_like, tree))
