"""Preparation runs in NumPy where numbers are known, as JAX compiles a program for each operation outside of jit."""

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.typing import DTypeLike
from jaxtyping import PyTree

from jaxcoopt.arrays import Given, Numbers
from jaxcoopt.errors import traced


def numpy_for(*trees: PyTree) -> ModuleType:
    """`numpy` where every number is known, `jax.numpy` where one is traced."""
    return jnp if traced(trees) else np


def in_type(value: Given, dtype: DTypeLike) -> Numbers:
    """`value` as a NumPy array of this type, or as a JAX array where it is traced. What is too large becomes infinite,
    as JAX has it.
    """
    if isinstance(value, jax.core.Tracer):
        return jnp.asarray(value, dtype)
    with np.errstate(over="ignore"):
        return np.asarray(value, dtype)


def array_of(value: Given, dtype: DTypeLike) -> jax.Array:
    """The same as a JAX array."""
    return as_jax(in_type(value, dtype))


def as_jax(tree: PyTree) -> PyTree:
    """The same pytree of JAX arrays. Outside of jit `jnp.asarray` would compile a copy for each shape."""
    if inside_jit():
        return jax.tree.map(jnp.asarray, tree)
    if traced(tree):
        return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.core.Tracer) else jax.device_put(leaf), tree)
    return jax.device_put(tree)


def evaluated_now() -> AbstractContextManager[None]:
    """A context in which known numbers are computed with at once, inside someone else's jit too.

    Outside of jit nothing has to be done, and `ensure_compile_time_eval` would even take constants out of functions
    that are compiled there, and compile an operation on each by itself.
    """
    return jax.ensure_compile_time_eval() if inside_jit() else nullcontext()


def inside_jit() -> bool:
    """True inside someone else's jit, where even what is computed from known numbers is traced."""
    return isinstance(_nothing.bind(), jax.core.Tracer)


_nothing = Primitive("nothing")  # unlike jnp.zeros(()), it compiles nothing outside of jit
_nothing.def_impl(lambda: np.zeros((), bool))
_nothing.def_abstract_eval(lambda: ShapedArray((), np.dtype(bool)))
mlir.register_lowering(_nothing, mlir.lower_fun(lambda: jnp.zeros((), bool), multiple_results=False))
