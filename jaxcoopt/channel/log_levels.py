"""Levels exp(rho k) of the logarithmic quantizer: which one a number is next to, and what it is worth.

In float32 both go by exponent bits and short polynomials, several times faster than log and exp and closer to the
definition: log2|u| = e + f is never rounded as one number, so that the index keeps its digits where |log2 u| is large.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.compensated import leading_bits

# Minimax polynomials, highest power last: log2(1 + t) / t on [sqrt(1/2) - 1, sqrt(2) - 1], 4.8e-8 off in log2(1 + t);
# 2^t on [-1/2, 1/2], exact at 0, 9.3e-08 off.
LOG2 = (1.4426948, -0.7213572, 0.48093945, -0.36008722, 0.2867067, -0.25006905, 0.23689036, -0.14574444)
EXP2 = (1.0, 0.69314724, 0.24022235, 0.055503085, 0.009671875, 0.0013407259)
SQRT_HALF = 0x3F3504F3  # the bits of sqrt(1/2): mantissas are taken around 1
LARGEST, SMALLEST = 127.99, -125.99  # log2 of the levels that float32 holds
LOG2_E = (np.float32(1.4423828125), np.float32(np.log2(np.e) - 1.4423828125))  # 12 leading bits, the rest


def nearest_level(size: Float[Array, "*shape"], rho: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """round(ln(size) / rho), for positive normal numbers."""
    if size.dtype != jnp.float32:
        return jnp.round(jnp.log(size) / rho)
    step, bits = _step(rho), lax.bitcast_convert_type(size, jnp.int32)
    exponent = (bits - SQRT_HALF) >> 23
    t = lax.bitcast_convert_type(bits - (exponent << 23), jnp.float32) - 1
    e = exponent.astype(jnp.float32)
    whole = e * step.inverse_head  # exact: 8 bits times 15
    index = jnp.round(whole)
    part = e * step.inverse_tail + t * _polynomial(LOG2, t) * (step.inverse_head + step.inverse_tail)
    return index + jnp.round((whole - index) + part)


def level_value(index: Float[Array, "*shape"], rho: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """exp(rho index); beyond the float type's range, its largest or smallest level."""
    if index.dtype != jnp.float32:
        range_of = jnp.finfo(index.dtype)
        return jnp.exp(jnp.clip(rho * index, np.log(range_of.tiny), np.log(range_of.max)))
    step = _step(rho)
    index = jnp.clip(index, jnp.ceil(SMALLEST * step.inverse_head), jnp.floor(LARGEST * step.inverse_head))
    head, tail = index * step.head, index * step.tail
    exponent = jnp.round(head + tail)
    bits = lax.bitcast_convert_type(_polynomial(EXP2, (head - exponent) + tail), jnp.int32)
    return lax.bitcast_convert_type(bits + (exponent.astype(jnp.int32) << 23), jnp.float32)


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.full_like(t, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * t + np.float32(coefficient)
    return value


class _Step(NamedTuple):
    """r = rho / ln 2, the levels' distance in powers of two, and 1 / r, each as a short exact part and the rest."""

    head: Array
    tail: Array
    inverse_head: Array
    inverse_tail: Array


def _step(rho: Float[Array, "*shape"]) -> _Step:
    """The step of rho to about twice float32's digits: an index of 2^17 times it is exact to 1e-7."""
    rho_head = leading_bits(rho, 12)
    head = leading_bits(rho * LOG2_E[0], 8)
    tail = (rho_head * LOG2_E[0] - head) + ((rho - rho_head) * LOG2_E[0] + rho * LOG2_E[1])
    inverse_head = leading_bits(1 / (head + tail), 15)
    inverse_tail = ((1 - inverse_head * head) - inverse_head * tail) / (head + tail)
    return _Step(head, tail, inverse_head, inverse_tail)
