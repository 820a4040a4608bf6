"""Hyperparameters, scalar or [runs], beside arrays [nodes, *shape, runs].

Primitives of our own where JAX's derivatives are slow: reverse mode would keep a setting at the array's full size, and
read it there in every pass, forward ones included; and its sum over nodes and parameters at once takes XLA six times as
long on a CPU as two sums in turn.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxcoopt.derivative import Tangent


def row_of(value: ArrayLike, like: Array) -> Array:
    """A hyperparameter shaped to broadcast against `like` [nodes, ..., runs]; a scalar stays one, so that what follows
    from it alone is the same for arrays of any number of axes, and computed once.
    """
    value = jnp.asarray(value)
    return value if value.ndim == 0 else _with_axes(value, like)


def _with_axes(value: ArrayLike, like: Array) -> Array:
    value = jnp.asarray(value)
    return value.reshape((1,) * (like.ndim - 1) + (value.shape or (1,)))


def along_runs(value: ArrayLike, like: Array) -> Array:
    """The same, as large as `like` where that has parameters: for what is differentiated by it."""
    if like.ndim < 3:
        return row_of(value, like)
    row = _with_axes(value, like)
    return _spread.bind(row, shape=np.broadcast_shapes(row.shape, like.shape))


def scaled(value: ArrayLike, u: Array) -> Array:
    """A hyperparameter times u."""
    return row_of(value, u) * u if u.ndim < 3 else _scaled.bind(u, _with_axes(value, u).astype(u.dtype))


def _total(sums: Tangent, row: ad.UndefinedPrimal, *, shape: tuple[int, ...]) -> list[Tangent]:
    if isinstance(sums, ad.Zero):
        return [ad.Zero(row.aval)]
    of_nodes = lax.optimization_barrier(sums.sum(axis=tuple(range(1, len(shape) - 1)), keepdims=True))
    of_runs = lax.optimization_barrier(of_nodes.sum(axis=0, keepdims=True))
    return [of_runs.sum(axis=-1, keepdims=True) if np.shape(row.aval)[-1] == 1 else of_runs]


def _spread_batched(args: Sequence[Array], axes: Sequence[int | None], *, shape: tuple[int, ...]) -> tuple[Array, int]:
    return jax.vmap(lambda row: jnp.broadcast_to(row, shape), axes)(*args), 0


_spread = Primitive("spread")
_spread.def_impl(jnp.broadcast_to)
_spread.def_abstract_eval(lambda row, shape: ShapedArray(shape, row.dtype, weak_type=row.weak_type))
mlir.register_lowering(_spread, mlir.lower_fun(jnp.broadcast_to, multiple_results=False))
ad.deflinear2(_spread, _total)
batching.primitive_batchers[_spread] = _spread_batched


def _scaled_jvp(primals: Sequence[Array], tangents: Sequence[Tangent]) -> tuple[Array, Tangent]:
    (u, row), (u_moved, row_moved) = primals, tangents
    parts = []
    if not isinstance(u_moved, ad.Zero):
        parts.append(_scaled.bind(u_moved, row))
    if not isinstance(row_moved, ad.Zero):
        parts.append(_spread.bind(row_moved, shape=u.shape) * u)
    return _scaled.bind(u, row), sum(parts[1:], start=parts[0])


def _scaled_transposed(change: Tangent, u: ad.UndefinedPrimal, row: Array) -> list[Tangent | None]:
    return [ad.Zero(u.aval) if isinstance(change, ad.Zero) else _scaled.bind(change, row), None]


def _scaled_batched(args: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
    return jax.vmap(jnp.multiply, axes)(*args), 0


_scaled = Primitive("scaled")
_scaled.def_impl(jnp.multiply)
_scaled.def_abstract_eval(lambda u, row: ShapedArray(np.broadcast_shapes(u.shape, row.shape), u.dtype))
mlir.register_lowering(_scaled, mlir.lower_fun(jnp.multiply, multiple_results=False))
ad.primitive_jvps[_scaled] = _scaled_jvp
ad.primitive_transposes[_scaled] = _scaled_transposed
batching.primitive_batchers[_scaled] = _scaled_batched
