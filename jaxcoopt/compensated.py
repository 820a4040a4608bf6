"""Numbers kept as an unevaluated sum high + low, each a whole multiple of a power of two, so that adding loses nothing.

What is conserved must not leak through rounding: multiples of one unit add without any, in whatever order. Adding and
taking away an anchor of 1.5 2^23 units (2^52 in float64) rounds to them. Sources: Rump, Ogita and Oishi, Accurate
floating-point summation, SIAM J. Sci. Comput. 31 (2008); Knuth, The art of computer programming 2, 4.2.2 (two_sum).
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Pair:
    """The number high + low; both [nodes, runs]. Derivatives are those of plain arithmetic, all of them in high."""

    high: Float[Array, "*shape"]
    low: Float[Array, "*shape"]

    @property
    def value(self) -> Float[Array, "*shape"]:
        """The nearest float."""
        return self.high + self.low


@pytree
@dataclass(frozen=True)
class Grid:
    """Anchors of the units that highs and lows are multiples of: [1, runs] each."""

    high: Float[Array, "1 runs"]
    low: Float[Array, "1 runs"]


def grid_for(largest: Float[Array, "1 runs"], terms: int) -> Grid:
    """The finest units in which numbers up to 8 times `largest`, and sums of `terms` lows, are exact.

    Where a node's share grows more than that between two records, float32 may lose 2e-6 of the budget.
    """
    digits = jnp.finfo(largest.dtype).nmant
    unit = leading_bits(largest, 1) * 2.0 ** (4 - digits)
    low_unit = unit * 2.0 ** (max(terms, 1).bit_length() + 2 - digits)
    return Grid(*(lax.stop_gradient(1.5 * 2.0**digits * each) for each in (unit, low_unit)))


def on_grid(value: Float[Array, "*shape"], anchor: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """The nearest multiple of the anchor's unit."""
    return (value + anchor) - anchor


def split(value: Float[Array, "*shape"], grid: Grid) -> Pair:
    """A float as multiples of both units; the same up to its sign for a value and its negative."""
    high = on_grid(value, grid.high)
    return Pair(high, lax.stop_gradient(on_grid(value - high, grid.low)))


def add(a: Pair, b: Pair, grid: Grid) -> Pair:
    """a + b, exact for multiples of the grid's units; what of `a` is on a finer grid is rounded to this one."""
    high = on_grid(a.high, grid.high)
    low = lax.stop_gradient(on_grid(a.low + (a.high - high), grid.low) + b.low)
    carry = on_grid(low, grid.high)
    return Pair(high + (b.high + carry), low - carry)


def scale(a: Pair, factor: Array, grid: Grid) -> Pair:
    """a times factor, on the grid: the leading halves multiply without rounding, however the rest is fused."""
    product = a.high * factor
    a, factor = lax.stop_gradient((a, factor))
    a_head, factor_head = _head(a.high), _head(factor)
    a_tail, factor_tail = a.high - a_head, factor - factor_head
    rest = factor_head * a_tail + (factor_tail * a_head + (factor_tail * a_tail + factor * a.low))
    no_more = product - lax.stop_gradient(
        product
    )  # 0, or fused its rounding: less than the grid tells; for derivatives
    exact = split(factor_head * a_head + no_more, grid)
    return Pair(exact.high, exact.low + on_grid(rest, grid.low))


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as its rounded value and the exact rounding error."""
    total = a + b
    b_part = total - a
    return total, lax.stop_gradient((a - (total - b_part)) + (b - b_part))


def grown(total: Pair, change: Array) -> Pair:
    """The total and a plain number, to twice the float type's digits."""
    high, lost = two_sum(total.high, change + total.low)
    return Pair(high, lost)


def compensated_sum(values: Float[Array, "nodes *rest"]) -> Float[Array, "*rest"]:
    """Sum over the first axis by a tree of `two_sum`: the error does not grow with the number of nodes."""
    error = jnp.zeros_like(values[0])
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        total, lost = two_sum(values[:half], values[half : 2 * half])
        error = error + lost.sum(axis=0)
        values = jnp.concatenate([total, values[2 * half :]]) if values.shape[0] % 2 else total
    return values[0] + error


def leading_bits(a: Array, count: int) -> Array:
    """a cut to its first `count` significant bits; a constant for derivatives, which the rest carries."""
    integer = jnp.int32 if a.dtype == jnp.float32 else jnp.int64
    dropped = jnp.finfo(a.dtype).nmant + 1 - count
    bits = lax.bitcast_convert_type(lax.stop_gradient(a), integer)
    return lax.stop_gradient(lax.bitcast_convert_type(bits & jnp.asarray(-(1 << dropped), integer), a.dtype))


def _head(a: Array) -> Array:
    """The leading half of the digits: the product of two such halves is exact."""
    return leading_bits(a, 12 if a.dtype == jnp.float32 else 26)
