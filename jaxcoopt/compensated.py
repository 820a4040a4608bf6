"""Numbers kept as an unevaluated sum high + low, each a whole multiple of a power of two, so that adding loses nothing.

What is conserved must not leak through rounding: multiples of one unit add without any, in whatever order. Adding and
taking away an anchor of 1.5 2^23 units (2^52 in float64) rounds to them. Sources: Rump, Ogita and Oishi, Accurate
floating-point summation, SIAM J. Sci. Comput. 31 (2008); Knuth, The art of computer programming 2, 4.2.2 (two_sum).
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.platform import choices
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

    def in_units_for(self, largest: Float[Array, "1 runs"]) -> "Pair":
        """The nearest number in those units."""
        zero = jnp.zeros_like(self.low)
        return add(self, Pair(zero, zero), grid_for(largest))


@pytree
@dataclass(frozen=True)
class Grid:
    """Anchors of the units that highs and lows are multiples of: [1, runs] each."""

    high: Float[Array, "1 runs"]
    low: Float[Array, "1 runs"]


GROWTH = 10  # bits, by which an addition may make the largest number larger than what the units were made for
SUMS = 3  # bits: sums of 32 lows are exact, each half a unit of high; longer ones are `settled` on the way


def grid_for(largest: Float[Array, "1 runs"]) -> Grid:
    """The units for additions to numbers of which `largest` is the largest, exact up to 2^10 times that.

    Low's unit is about 2^-33 of the largest in float32, 2^-91 in float64.
    """
    digits = jnp.finfo(largest.dtype).nmant
    unit = leading_bits(largest, 1) * 2.0 ** (GROWTH - digits)
    return Grid(*(lax.stop_gradient(1.5 * 2.0**digits * each) for each in (unit, unit * 2.0 ** (SUMS - digits))))


@pytree
@dataclass(frozen=True)
class Total:
    """The number high + low + dust that much is added to; [nodes, runs] each.

    high and low are whole multiples of the units for `largest`, [1, runs]. dust: what was too small for the units when
    they last became coarser; it is added to low again when they become finer, so that nothing is lost.
    """

    high: Float[Array, "nodes runs"]
    low: Float[Array, "nodes runs"]
    dust: Float[Array, "nodes runs"]
    largest: Float[Array, "1 runs"]

    @property
    def value(self) -> Float[Array, "nodes runs"]:
        """The nearest float, but for the dust, which a sum of thousands does not see."""
        return self.high + self.low

    @property
    def exact(self) -> Float[Array, "nodes runs"]:
        """The nearest float: the same before and after a change of units, as a box asks for."""
        return self.high + (self.low + self.dust)

    @property
    def grid(self) -> Grid:
        """The units."""
        return grid_for(self.largest)

    def plus(self, change: Pair) -> "Total":
        """With a change in whole units added, exact."""
        low = lax.stop_gradient(self.low + change.low)
        carry = on_grid(low, self.grid.high)
        return replace(self, high=self.high + (change.high + carry), low=low - carry)

    def in_units_for(self, largest: Float[Array, "1 runs"]) -> "Total":
        """The same number, exact, in other units."""
        grid = grid_for(largest)
        low, dust = lax.stop_gradient((self.low, self.dust))
        large, small = split(self.high, grid), split(low, grid)
        dust = dust + lax.stop_gradient((self.high - large.high) - large.low) + ((low - small.high) - small.low)
        back = on_grid(dust, grid.low)
        return Total(large.high + small.high, large.low + (small.low + back), dust - back, largest)


def total_of(start: Pair) -> Total:
    """A total that begins with a number [nodes, runs], which need not be in whole units."""
    largest = lax.stop_gradient(jnp.abs(start.high).max(axis=0, keepdims=True))
    return Total(start.high, start.low, jnp.zeros_like(start.low), largest).in_units_for(largest)


def on_grid(value: Float[Array, "*shape"], anchor: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """The nearest multiple of the anchor's unit."""
    return (value + anchor) - anchor


def split(value: Float[Array, "*shape"], grid: Grid) -> Pair:
    """A float as multiples of both units; the same up to its sign for a value and its negative."""
    high = on_grid(value, grid.high)
    return Pair(high, lax.stop_gradient(on_grid(value - high, grid.low)))


def settled(sums: Pair, grid: Grid) -> Pair:
    """The same sums, of which no more than half a unit of high is in low."""
    carry = on_grid(sums.low, grid.high)
    return Pair(sums.high + carry, sums.low - carry)


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
    if choices().pairs_reduced:
        return _sum_of_pairs(values)
    error = jnp.zeros_like(values[0])
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        total, lost = two_sum(values[:half], values[half : 2 * half])
        error = error + lost.sum(axis=0)
        values = jnp.concatenate([total, values[2 * half :]]) if values.shape[0] % 2 else total
    return values[0] + error


@jax.custom_jvp
def _sum_of_pairs(values: Float[Array, "nodes *rest"]) -> Float[Array, "*rest"]:
    """The same as one reduction of sums and what they lost. JAX does not differentiate such a reduction in reverse."""

    def together(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        total, lost = two_sum(a[0], b[0])
        return total, a[1] + b[1] + lost

    zero = jnp.zeros((), values.dtype)
    total, lost = lax.reduce((values, jnp.zeros_like(values)), (zero, zero), together, (0,))
    return total + lost


@_sum_of_pairs.defjvp
def _slope_of_sum(values: tuple[Array], slopes: tuple[Array]) -> tuple[Array, Array]:
    return _sum_of_pairs(*values), slopes[0].sum(axis=0)


def leading_bits(a: Array, count: int) -> Array:
    """a cut to its first `count` significant bits; a constant for derivatives, which the rest carries."""
    integer = jnp.int32 if a.dtype == jnp.float32 else jnp.int64
    dropped = jnp.finfo(a.dtype).nmant + 1 - count
    bits = lax.bitcast_convert_type(lax.stop_gradient(a), integer)
    return lax.stop_gradient(lax.bitcast_convert_type(bits & jnp.asarray(-(1 << dropped), integer), a.dtype))


def _head(a: Array) -> Array:
    """The leading half of the digits: the product of two such halves is exact."""
    return leading_bits(a, 12 if a.dtype == jnp.float32 else 26)
