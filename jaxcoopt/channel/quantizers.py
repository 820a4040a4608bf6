"""Quantizers of each number by itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from jaxcoopt.along_runs import along_runs, row_of, scaled
from jaxcoopt.channel.channel import (
    BITS,
    DERIVED,
    PLACED,
    PLACEMENTS,
    RULES,
    Bits,
    Channel,
    Derivative,
    Placement,
    Values,
    float_bits,
)
from jaxcoopt.channel.log_levels import level_value, nearest_level
from jaxcoopt.channel.surrogate import rounding, sign_of, uniform_levels
from jaxcoopt.derivative import derivative_from, with_slope
from jaxcoopt.draws import Draw
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

CUTTING: tuple[tuple[Placement, Derivative], ...] = (
    ("message", "exact"),
    ("difference", "exact"),
    ("innovation", "exact"),
)


@pytree
@dataclass(frozen=True)
class Ideal(Channel):
    """q(u) = u: links carry floating-point numbers as they are."""

    placement: Placement = setting("difference", choices=PLACEMENTS, doc=PLACED)
    lossless = True

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """The number as it is."""
        return u

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(1, 1)."""
        return 1.0, 1.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """32 or 64, the float type's."""
        return float_bits(dtype)


@pytree
@dataclass(frozen=True)
class LogQuantizer(Channel):
    """q(u) = sgn(u) exp(rho round(ln|u| / rho)), q(0) = 0; rho > 0 scalar or [runs].

    With `bits` = B >= 2: one bit is the sign, one of the 2^(B-1) magnitude codes is 0, the others are the
    2^(B-1) - 1 levels around `scale` (a positive number); smaller values become 0, larger ones the largest level.
    Without, a value is counted as the bits that tell all levels of the float type's range apart.
    derivative: "straight-through", slope 1 in u, and in rho and scale that of rounding with slope 1; "smoothed", each
    level's edge a logistic curve of `width` steps; "exact", almost everywhere: 0 in u and scale, k q(u) in rho. None:
    "smoothed" for messages, else straight-through. Source: arXiv 2406.00621, section II.
    """

    rho: Scalar = setting(0.5, above=0, doc="Distance of the levels' logarithms.")
    bits: int | None = setting(None, **BITS)
    scale: Scalar = setting(1.0, above=0, doc="The level in the middle.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    derivative: Derivative | None = setting(None, choices=RULES, doc=DERIVED)
    width: Scalar = setting(0.15, above=0, tuned=None, doc="Of a smoothed level's edge, in levels.")
    wrong_rules = (("message", "straight-through"), ("innovation", "smoothed"), *CUTTING)

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """sgn(u) exp(rho round(ln|u| / rho)), cut to the levels that the bits can tell apart; 0 below normal floats."""
        if self.rule != "straight-through":
            return derivative_from(self._nearest(u), self._curve(u))
        sent = derivative_from(self._nearest(u), self._unless_cut(u, u, jnp.zeros_like(u)))
        return self._with_slopes(sent, sent, u)

    def follow(self, estimate: Values, u: Values, draw: Draw | None = None) -> Values:
        """e + q(u - e); straight-through, this moves with u, and not with e."""
        if self.rule != "straight-through":
            return super().follow(estimate, u, draw)
        known = derivative_from(estimate + self._nearest(u - estimate), self._unless_cut(u - estimate, u, estimate))
        sent = known - estimate
        return self._with_slopes(known, sent, sent - (known - u))

    def _nearest(self, u: Values) -> Values:
        rho, size = row_of(self.rho, u), jnp.abs(u)
        index, zero = self._cut(nearest_level(size, rho), size < jnp.finfo(u.dtype).tiny, jnp.round)
        nothing = 0 * u  # NaN for NaN and infinity, which are no levels
        return jnp.where(zero, nothing, jnp.copysign(level_value(index, rho), u)) + nothing

    def _with_slopes(self, known: Values, sent: Values, asked: Values) -> Values:
        """With the straight-through slopes: in rho q (round(v) - v), v = ln|u| / rho, which is q ln(q / u) / rho, and
        beyond the largest level that with `scale` for u, and q / scale in scale.
        """
        sent, asked = lax.stop_gradient((sent, asked))  # slopes are numbers: second derivatives would meet 0 / 0
        scale = jnp.copysign(row_of(self.scale, asked), asked)
        near = self._unless_cut(asked, asked, scale)
        slope = jnp.where(sent * asked > 0, sent * jnp.log(sent / near), sent - sent)
        known = with_slope(known, scaled(1 / jnp.asarray(self.rho), slope), along_runs(self.rho, asked))
        if self.bits is None:
            return known
        in_scale = self._unless_cut(asked, jnp.zeros_like(asked), sent / jnp.abs(scale))
        return with_slope(known, in_scale, along_runs(self.scale, asked))

    def _unless_cut(self, u: Values, value: Values, beyond: Values) -> Values:
        """The value, or another one where u is beyond the largest level."""
        if self.bits is None:
            return value
        rho, scale = row_of(self.rho, u), row_of(self.scale, u)
        largest = rho * (jnp.round(jnp.log(scale) / rho) + self._reach)
        return jnp.where(jnp.log(jnp.maximum(jnp.abs(u), jnp.finfo(u.dtype).tiny)) > largest, beyond, value)

    @property
    def _reach(self) -> int:
        """How many levels lie on each side of the middle one."""
        return 2 ** ((self.bits or 0) - 2) - 1

    def _curve(self, u: Values) -> Values:
        """A smooth function that has the derivatives wanted; nothing of it is computed where none is."""
        rho = along_runs(self.rho, u)
        rounded = rounding(self.rule, row_of(self.width, u))
        index, zero = self._cut(rounded(jnp.log(jnp.where(u == 0, 1, jnp.abs(u))) / rho), u == 0, rounded)
        return jnp.where(zero, 0, jnp.sign(u) * jnp.exp(rho * index))

    def _cut(self, index: Values, zero: Array, rounding: Callable[[Array], Array]) -> tuple[Values, Array]:
        """The index, at most the largest of the bits, and where u counts as 0: below the smallest, too."""
        if self.bits is None:
            return index, zero
        centre = rounding(jnp.log(row_of(self.scale, index)) / row_of(self.rho, index))
        return jnp.minimum(index, centre + self._reach), zero | (index < centre - self._reach)

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(exp(-rho/2), exp(rho/2)); with finitely many bits the lower bound is 0, as large values saturate."""
        upper = np.exp(np.asarray(self.rho, np.float64) / 2)
        return (1 / upper if self.bits is None else np.zeros_like(upper)), upper

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """B, or 1 + the bits that number all levels between the smallest and the largest float."""
        if self.bits is not None:
            return self.bits
        info = jnp.finfo(dtype)
        span = math.log(info.max) - math.log(info.tiny)
        return 1 + jnp.ceil(jnp.log2(span / jnp.asarray(self.rho) + 2))


@pytree
@dataclass(frozen=True)
class UniformQuantizer(Channel):
    """q(u) = step round(u / step), step > 0 scalar or [runs]; with B bits, at most 2^(B-1) - 1 steps from 0.

    Without `bits` a value is counted as a float. derivative: as in `LogQuantizer`, but None: always straight-through,
    as for messages it is the nearer one, too: estimates that start at 0 move by whole steps, so that "innovation" sends
    what "message" does.
    """

    step: Scalar = setting(above=0, doc="The distance of the levels.")
    bits: int | None = setting(None, **BITS)
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    derivative: Derivative | None = setting(None, choices=RULES, doc=DERIVED)
    width: Scalar = setting(0.15, above=0, tuned=None, doc="Of a smoothed level's edge, in levels.")
    message_rule = "straight-through"
    wrong_rules = (("innovation", "smoothed"), *CUTTING)

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """step round(u / step), cut to the levels that the bits can tell apart."""
        return uniform_levels(u, along_runs(self.step, u), self.bits, self.rule, row_of(self.width, u))

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, 2): small values become 0, and just above half a step the value doubles."""
        return 0.0, 2.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """B, or the float type's 32 or 64."""
        return self.bits or float_bits(dtype)


@pytree
@dataclass(frozen=True)
class Sign(Channel):
    """q(u) = scale sgn(u), scale > 0 scalar or [runs]: one bit (0, which is sent as 0, aside).

    derivative: "straight-through" is slope 1 within [-scale, scale] and 0 outside; "smoothed" that of
    scale tanh(u / (width scale)); "exact" 0, and sgn(u) in scale. None: "smoothed" for messages, else straight-through.
    """

    scale: Scalar = setting(1.0, above=0, doc="The size of what is sent.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    derivative: Derivative | None = setting(None, choices=RULES, doc=DERIVED)
    width: Scalar = setting(0.15, above=0, tuned=None, doc="Of a smoothed level's edge, in levels.")
    wrong_rules = (("innovation", "smoothed"), ("innovation", "exact"), ("message", "exact"))

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """scale sgn(u)."""
        return sign_of(u, along_runs(self.scale, u), self.rule, along_runs(self.width, u))

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, infinity)."""
        return 0.0, jnp.inf

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """One: the sign."""
        return 1


@pytree
@dataclass(frozen=True)
class Clip(Channel):
    """q(u) = min(max(u, -limit), limit), limit > 0 scalar or [runs]; its own derivative is right almost everywhere."""

    limit: Scalar = setting(above=0, doc="The largest size of what is sent.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """clip(u, -limit, limit)."""
        limit = along_runs(self.limit, u)
        return jnp.clip(u, -limit, limit)

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, 1)."""
        return 0.0, 1.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """32 or 64, the float type's."""
        return float_bits(dtype)
