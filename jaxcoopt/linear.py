"""Products with linear operators whose transposes are given: reverse mode runs these, symmetric ones run themselves.

JAX would make scatters of a mix's gathers, and a slow layout of a matrix product. A primitive of our own, as only that
has a transpose of its own under jvp, vjp and vmap, nested in any order.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, PyTree

from jaxcoopt.derivative import Tangent

Apply = Callable[[Any, Array], Array]


def linear(apply: Apply, transposed: Apply, operator: PyTree, u: Array) -> Array:
    """A u = apply(operator, u), of u's shape, linear in the operator's floats and in u.

    transposed: A^T u, as apply gives A u.
    """
    parts, form = jax.tree.flatten(operator)
    return _product.bind(*parts, u, apply=apply, transposed=transposed, form=form)


def symmetric(apply: Apply, operator: PyTree, u: Array) -> Array:
    """The same with v . A u = u . A v."""
    return linear(apply, apply, operator, u)


_product = Primitive("linear_product")


def _plain(*args: Array, apply: Apply, transposed: Apply, form: Hashable) -> Array:
    *parts, u = args
    return apply(jax.tree.unflatten(form, parts), u)


def _jvp(
    primals: Sequence[Array], tangents: Sequence[Tangent], *, apply: Apply, transposed: Apply, form: Hashable
) -> tuple[Array, Tangent]:
    (*parts, u), (*moved, u_moved) = primals, tangents
    out, changes = _product.bind(*parts, u, apply=apply, transposed=transposed, form=form), []
    if not isinstance(u_moved, ad.Zero):
        changes.append(_product.bind(*parts, u_moved, apply=apply, transposed=transposed, form=form))
    if not all(isinstance(each, ad.Zero) for each in moved):
        changes.append(apply(jax.tree.unflatten(form, list(map(_tangent, parts, moved))), u))
    return out, sum(changes[1:], start=changes[0])


def _tangent(part: Array, moved: Tangent) -> Array:
    """By how much a leaf is moved; neighbours and what else is no float stay."""
    if not jnp.issubdtype(part.dtype, jnp.floating):
        return part
    return jnp.zeros_like(part) if isinstance(moved, ad.Zero) else moved


def _transpose(
    change: Array, *args: Array | ad.UndefinedPrimal, apply: Apply, transposed: Apply, form: Hashable
) -> Sequence[Array | None]:
    *parts, _ = args
    return [None] * len(parts) + [_product.bind(*parts, change, apply=transposed, transposed=apply, form=form)]


def _batched(
    args: Sequence[Array], axes: Sequence[int | None], *, apply: Apply, transposed: Apply, form: Hashable
) -> tuple[Array, int]:
    return jax.vmap(lambda *each: _plain(*each, apply=apply, transposed=transposed, form=form), axes)(*args), 0


_product.def_impl(_plain)
_product.def_abstract_eval(lambda *args, **_: ShapedArray(args[-1].shape, args[-1].dtype))
mlir.register_lowering(_product, mlir.lower_fun(_plain, multiple_results=False))
ad.primitive_jvps[_product] = _jvp
ad.primitive_transposes[_product] = _transpose
batching.primitive_batchers[_product] = _batched
