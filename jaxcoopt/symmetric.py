"""Products with symmetric operators, whose transposes are themselves: reverse mode runs what forward mode does."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero, linear_call
from jaxtyping import Array

Apply = Callable[[Any, Array], Array]


def symmetric(apply: Apply, operator: Any, u: Array) -> Array:
    """A u = apply(operator, u), linear in the operator's floats and in u, with v . A u = u . A v.

    JAX would make scatters of a mix's gathers, and a slow layout of a matrix product.
    """
    parts, form = jax.tree.flatten(operator)
    return _applied((apply, form), parts, u)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _applied(form: Any, parts: list[Array], u: Array) -> Array:
    apply, operator = form
    return apply(operator.unflatten(parts), u)


@partial(_applied.defjvp, symbolic_zeros=True)
def _applied_jvp(form: Any, primals: tuple[list[Array], Array], tangents: tuple[list[Any], Any]) -> Any:
    """The operator's leaves are apart, as what stands for a derivative of 0 is no array."""
    (parts, u), (moved, u_moved) = primals, tangents
    out, change = _applied(form, parts, u), jnp.zeros_like(u)
    if not isinstance(u_moved, SymbolicZero):
        itself = partial(_applied, form)
        change = linear_call(itself, itself, [lax.stop_gradient(part) for part in parts], u_moved)
    if not all(isinstance(each, SymbolicZero) for each in moved):
        apply, operator = form
        change = change + apply(operator.unflatten(list(map(_tangent, parts, moved))), u)
    return out, change


def _tangent(part: Array, moved: Any) -> Array:
    """By how much a leaf is moved; neighbours and what else is no float stay."""
    if not jnp.issubdtype(part.dtype, jnp.floating):
        return part
    return jnp.zeros_like(part) if isinstance(moved, SymbolicZero) else moved
