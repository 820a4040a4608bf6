"""Numbers kept as an unevaluated sum high + low, so that what is conserved does not leak through rounding.

Sources: Knuth, The art of computer programming 2, 4.2.2 (two_sum); Dekker, A floating-point technique for extending the
available precision, Numer. Math. 18 (1971).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Pair:
    """The number high + low, |low| at most half a unit in the last place of high; both [nodes, runs]."""

    high: Float[Array, "*shape"]
    low: Float[Array, "*shape"]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as its rounded value and the exact rounding error."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def add(a: Pair, b: Pair) -> Pair:
    """a + b, with a relative error of about the square of the float type's."""
    high, error = two_sum(a.high, b.high)
    return Pair(*two_sum(high, error + (a.low + b.low)))


def scale(a: Pair, factor: Array) -> Pair:
    """a times factor: the leading halves multiply without rounding, however the rest is fused."""
    a_head, factor_head = _head(a.high), _head(factor)
    a_tail, factor_tail = a.high - a_head, factor - factor_head
    rest = factor_head * a_tail + (factor_tail * a_head + (factor_tail * a_tail + factor * a.low))
    return Pair(*two_sum(factor_head * a_head, rest))


def compensated_sum(values: Float[Array, "nodes *rest"]) -> Float[Array, "*rest"]:
    """Sum over the first axis by a tree of `two_sum`: the error does not grow with the number of nodes."""
    error = jnp.zeros_like(values[0])
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        total, lost = two_sum(values[:half], values[half : 2 * half])
        error = error + lost.sum(axis=0)
        values = jnp.concatenate([total, values[2 * half :]]) if values.shape[0] % 2 else total
    return values[0] + error


def _head(a: Array) -> Array:
    """The leading half of the digits; a constant for derivatives, which the tail carries."""
    integer, mask = (jnp.int32, -(1 << 12)) if a.dtype == jnp.float32 else (jnp.int64, -(1 << 27))
    bits = lax.bitcast_convert_type(lax.stop_gradient(a), integer)
    return lax.stop_gradient(lax.bitcast_convert_type(bits & jnp.asarray(mask, integer), a.dtype))


def zeros(like: Array) -> Pair:
    """The number 0, shaped like an array."""
    return jax.tree.map(jnp.zeros_like, Pair(like, like))
