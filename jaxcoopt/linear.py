"""Products with linear operators whose transposes are given: reverse mode runs these, symmetric ones run themselves.

JAX would make scatters of a mix's gathers, and a slow layout of a matrix product. A primitive of our own, as only that
has a transpose of its own under jvp, vjp and vmap, nested in any order.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

Apply = Callable[[Any, Array], Array]


def linear(apply: Apply, transposed: Apply, operator: Any, u: Array) -> Array:
    """A u = apply(operator, u), of u's shape, linear in the operator's floats and in u.

    transposed: A^T u, as apply gives A u.
    """
    parts, form = jax.tree.flatten(operator)
    return _product.bind(*parts, u, apply=apply, transposed=transposed, form=form)


def symmetric(apply: Apply, operator: Any, u: Array) -> Array:
    """The same with v . A u = u . A v."""
    return linear(apply, apply, operator, u)


_product = Primitive("linear_product")


def _plain(*args: Array, apply: Apply, transposed: Apply, form: Any) -> Array:
    *parts, u = args
    return apply(form.unflatten(parts), u)


def _jvp(primals: Any, tangents: Any, *, apply: Apply, **kind: Any) -> tuple[Array, Any]:
    (*parts, u), (*moved, u_moved) = primals, tangents
    out, changes = _product.bind(*parts, u, apply=apply, **kind), []
    if not isinstance(u_moved, ad.Zero):
        changes.append(_product.bind(*parts, u_moved, apply=apply, **kind))
    if not all(isinstance(each, ad.Zero) for each in moved):
        changes.append(apply(kind["form"].unflatten(list(map(_tangent, parts, moved))), u))
    return out, sum(changes[1:], start=changes[0])


def _tangent(part: Array, moved: Any) -> Array:
    """By how much a leaf is moved; neighbours and what else is no float stay."""
    if not jnp.issubdtype(part.dtype, jnp.floating):
        return part
    return jnp.zeros_like(part) if isinstance(moved, ad.Zero) else moved


def _transpose(change: Array, *args: Any, apply: Apply, transposed: Apply, form: Any) -> list[Any]:
    *parts, _ = args
    return [None] * len(parts) + [_product.bind(*parts, change, apply=transposed, transposed=apply, form=form)]


def _batched(args: Any, axes: Any, **kind: Any) -> tuple[Array, int]:
    return jax.vmap(lambda *each: _plain(*each, **kind), axes)(*args), 0


_product.def_impl(_plain)
_product.def_abstract_eval(lambda *args, **_: ShapedArray(args[-1].shape, args[-1].dtype))
mlir.register_lowering(_product, mlir.lower_fun(_plain, multiple_results=False))
ad.primitive_jvps[_product] = _jvp
ad.primitive_transposes[_product] = _transpose
batching.primitive_batchers[_product] = _batched
