"""Levels exp(rho k) of the logarithmic quantizer: which one a number is next to, and what it is worth.

By exponent bits and polynomials, several times faster than log and exp, and closer to the definition: log2|u| = e + f
is never rounded as one number, so that the index keeps its digits where |log2 u| is large.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcoopt.compensated import leading_bits


class _Format(NamedTuple):
    """A float type: its bits, and minimax polynomials, lowest power first.

    log2: log2(1 + t) / t on [sqrt(1/2) - 1, sqrt(2) - 1], 3.0e-7 (float64: 3.4e-13) off in log2(1 + t). exp2: 2^t on
    [-1/2, 1/2], exact at 0, 9.3e-8 (4.4e-16) off. head_bits, inverse_bits: of the heads of rho / ln 2 and of its
    inverse, such that their products with an index below 2^16 (2^29) and an exponent are exact. lowest, highest: log2
    of the levels it holds.
    """

    integer: Any
    mantissa: int
    sqrt_half: int
    log2: tuple[float, ...]
    exp2: tuple[float, ...]
    head_bits: int
    inverse_bits: int
    lowest: float
    highest: float


FORMATS = {
    jnp.dtype(jnp.float32): _Format(
        jnp.int32,
        23,
        0x3F3504F3,
        (1.4426997, -0.7213759, 0.48046502, -0.35896185, 0.2972626, -0.2726979, 0.17063443),
        (1.0, 0.69314724, 0.24022235, 0.055503085, 0.009671875, 0.0013407259),
        8,
        15,
        -125.99,
        127.99,
    ),
    jnp.dtype(jnp.float64): _Format(
        jnp.int64,
        52,
        0x3FE6A09E667F3BCD,
        (
            *(1.4426950408892767, -0.7213475204230224, 0.4808983466468056, -0.36067376647095933, 0.28853906307973576),
            *(-0.24044867672014403, 0.20609559789893256, -0.1803523948465925, 0.16041922068839742),
            *(-0.14408723643495291, 0.129181262513775, -0.11999522533138737, 0.12624166236263176),
            *(-0.12216563302594265, 0.06164348420528017),
        ),
        (
            *(1.0, 0.6931471805599462, 0.24022650695910075, 0.05550410866465167, 0.00961812910761866),
            *(0.0013333558200794376, 0.00015403530424779803, 1.5252672924951426e-05, 1.3215451632925122e-06),
            *(1.0205905398548696e-07, 7.070977711584016e-09),
        ),
        24,
        41,
        -1021.99,
        1023.99,
    ),
}


@jax.jit  # one sub-program, however often it is called
def nearest_level(size: Float[Array, "*shape"], rho: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """round(ln(size) / rho), for positive normal numbers."""
    form, step = FORMATS[size.dtype], _step(rho)
    bits = lax.bitcast_convert_type(size, form.integer)
    exponent = (bits - form.sqrt_half) >> form.mantissa
    t = lax.bitcast_convert_type(bits - (exponent << form.mantissa), size.dtype) - 1
    e = exponent.astype(size.dtype)
    whole = e * step.inverse_head  # exact
    index = jnp.round(whole)
    part = e * step.inverse_tail + t * _polynomial(form.log2, t) * (step.inverse_head + step.inverse_tail)
    return index + jnp.round((whole - index) + part)


@jax.jit
def level_value(index: Float[Array, "*shape"], rho: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """exp(rho index); beyond the float type's range, its largest or smallest level."""
    form, step = FORMATS[index.dtype], _step(rho)
    index = jnp.clip(index, jnp.ceil(form.lowest * step.inverse_head), jnp.floor(form.highest * step.inverse_head))
    head, tail = index * step.head, index * step.tail
    exponent = jnp.round(head + tail)
    bits = lax.bitcast_convert_type(_polynomial(form.exp2, (head - exponent) + tail), form.integer)
    return lax.bitcast_convert_type(bits + (exponent.astype(form.integer) << form.mantissa), index.dtype)


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.full_like(t, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * t + np.asarray(coefficient, t.dtype)
    return value


class _Step(NamedTuple):
    """r = rho / ln 2, the levels' distance in powers of two, and 1 / r, each as a short exact part and the rest."""

    head: Array
    tail: Array
    inverse_head: Array
    inverse_tail: Array


def _step(rho: Float[Array, "*shape"]) -> _Step:
    """The step of rho to about twice its type's digits."""
    form, digits = FORMATS[rho.dtype], jnp.finfo(rho.dtype).nmant // 2 + 1
    factor, factor_rest = _log2_e(digits, rho.dtype)
    rho_head = leading_bits(rho, digits)
    head = leading_bits(rho * factor, form.head_bits)
    tail = (rho_head * factor - head) + ((rho - rho_head) * factor + rho * factor_rest)
    inverse_head = leading_bits(1 / (head + tail), form.inverse_bits)
    inverse_tail = ((1 - inverse_head * head) - inverse_head * tail) / (head + tail)
    return _Step(head, tail, inverse_head, inverse_tail)


def _log2_e(digits: int, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """1 / ln 2 as its first digits and the rest."""
    rest = 2.0355273740931033e-17  # beyond float64's
    head = np.floor(np.log2(np.e) * 2.0 ** (digits - 1)) / 2.0 ** (digits - 1)
    return np.asarray(head, dtype), np.asarray(np.log2(np.e) - head + rest, dtype)
