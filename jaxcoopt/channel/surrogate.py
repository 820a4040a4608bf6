"""Roundings that have a derivative, which a step has not: zero almost everywhere."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.channel.channel import Derivative


def rounding(rule: Derivative, width: Any) -> Callable[[Array], Array]:
    """Rounding with the slope that the rule gives it: 1, that of `smooth_round`, or 0."""
    match rule:
        case "straight-through":
            return lambda v: lax.stop_gradient(jnp.round(v)) + (v - lax.stop_gradient(v))
        case "smoothed":
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
