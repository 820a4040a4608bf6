"""A value from one formula, its derivative from another: for what has no slope, a useless one, or a cheaper one.

Primitives, as their rules stay with them in derivatives of derivatives; those of jax.custom_jvp are lost in a loop that
has been linearized.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

Tangent = Array | ad.Zero  # the second where it is known to be 0


def derivative_from(exact: Array, surrogate: Array) -> Array:
    """The value of `exact` with the derivative of `surrogate`, nothing of which is computed where none is wanted."""
    return _derivative_from.bind(exact, jnp.broadcast_to(surrogate, exact.shape))


def with_slope(value: Array, slope: Array, setting: Array) -> Array:
    """The value with the derivative `slope` in a setting beside its own, of which likewise nothing is computed."""
    return _with_slope.bind(value, *(_with_axes_of(value, each) for each in (slope, setting)))


def proportional(product: Array, rest: Array, factor: Array) -> Array:
    """A product with the derivative (product + rest) / factor in a factor, not 0, that was a constant when it was made.

    rest: what rounding left of the product. For a sum of terms that all have one factor: of each term reverse mode
    would keep what the factor multiplies.
    """
    return _proportional.bind(product, *(_with_axes_of(product, each) for each in (factor, rest)))


def _with_axes_of(value: Array, other: Array) -> Array:
    """As many axes: vmap puts its own before them."""
    return other.reshape((1,) * (value.ndim - other.ndim) + other.shape)


def _surrogates(primals: Sequence[Array], tangents: Sequence[Tangent]) -> tuple[Array, Tangent]:
    return _derivative_from.bind(*primals), tangents[1]


def _and_slope(primals: Sequence[Array], tangents: Sequence[Tangent]) -> tuple[Array, Tangent]:
    (_, slope, _), (change, _, moved) = primals, tangents
    out = _with_slope.bind(*primals)
    if isinstance(moved, ad.Zero):
        return out, change
    return out, slope * moved if isinstance(change, ad.Zero) else change + slope * moved


def _and_in_proportion(primals: Sequence[Array], tangents: Sequence[Tangent]) -> tuple[Array, Tangent]:
    """What changes the product is in proportion to the factor, too."""
    (_, factor, *rest), (change, moved, *_) = primals, tangents
    out, parts = _proportional.bind(*primals), []
    if not isinstance(change, ad.Zero):
        parts.append(_proportional.bind(change, factor))
    if not isinstance(moved, ad.Zero):
        parts.append(sum(rest, start=out) / factor * moved)
    return out, sum(parts[1:], start=parts[0])


def _transposed(change: Tangent, product: ad.UndefinedPrimal, factor: Array) -> list[Tangent | None]:
    return [ad.Zero(product.aval) if isinstance(change, ad.Zero) else _proportional.bind(change, factor), None]


def _first(value: Array, *rest: Array) -> Array:
    return value


def _registered(name: str, jvp: Callable[[Sequence[Array], Sequence[Tangent]], tuple[Array, Tangent]]) -> Primitive:
    """A primitive that is its first operand."""
    primitive = Primitive(name)

    def batched(args: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
        size = next(arg.shape[axis] for arg, axis in zip(args, axes, strict=True) if axis is not None)
        moved = (
            jnp.broadcast_to(arg, (size, *arg.shape)) if axis is None else jnp.moveaxis(arg, axis, 0)
            for arg, axis in zip(args, axes, strict=True)
        )
        return primitive.bind(*moved), 0

    primitive.def_impl(_first)
    primitive.def_abstract_eval(lambda value, *_: ShapedArray(value.shape, value.dtype))
    mlir.register_lowering(primitive, mlir.lower_fun(_first, multiple_results=False))
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batched
    return primitive


_derivative_from = _registered("derivative_from", _surrogates)
_with_slope = _registered("with_slope", _and_slope)
_proportional = _registered("proportional", _and_in_proportion)
ad.primitive_transposes[_proportional] = _transposed
