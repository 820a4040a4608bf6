"""Roundings that have a derivative, which a step has not: zero almost everywhere."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.channel.channel import Derivative
from jaxcoopt.derivative import derivative_from


def uniform_levels(u: Array, step: Array, bits: int | None, rule: Derivative, width: Array | None = None) -> Array:
    """step round(u / step), with B bits at most 2^(B-1) - 1 steps from 0; the derivatives by the rule."""
    most = jnp.inf if bits is None else 2.0 ** (bits - 1) - 1
    index = jnp.clip(u / step, -most, most)
    return derivative_from(step * jnp.round(index), step * rounding(rule, width)(index))


def sign_of(u: Array, scale: Array, rule: Derivative, width: Array | None = None) -> Array:
    """scale sgn(u); straight-through has slope 1 within [-scale, scale] and 0 outside."""
    exact = scale * jnp.sign(u)
    match rule:
        case "straight-through":
            return derivative_from(exact, jnp.clip(u, -scale, scale))
        case "smoothed":
            assert width is not None
            return derivative_from(exact, scale * jnp.tanh(u / (width * scale)))
        case "exact":
            return exact


def rounding(rule: Derivative, width: Array | None) -> Callable[[Array], Array]:
    """Rounding with the slope that the rule gives it: 1, that of `smooth_round`, or 0."""
    match rule:
        case "straight-through":
            return lambda v: lax.stop_gradient(jnp.round(v)) + (v - lax.stop_gradient(v))
        case "smoothed":
            assert width is not None
            return lambda v: smooth_round(v, width)
        case "exact":
            return lambda v: lax.stop_gradient(jnp.round(v))


def smooth_round(v: Float[Array, "*shape"], width: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """Rounding with each step replaced by a logistic curve of the given width (in units of a step).

    floor(v) + sigmoid((frac(v) - 1/2) / width), stretched so that it is continuous.
    """
    base = lax.stop_gradient(jnp.floor(v))
    end = jax.nn.sigmoid(0.5 / width)
    curve = jax.nn.sigmoid((v - base - 0.5) / width)
    return base + (curve - (1 - end)) / (2 * end - 1)
