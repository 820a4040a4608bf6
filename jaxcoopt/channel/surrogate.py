"""Smooth stand-ins for steps, which have zero slope almost everywhere."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def smooth_round(v: Float[Array, "*shape"], width: Float[Array, "*#shape"]) -> Float[Array, "*shape"]:
    """Rounding with each step replaced by a logistic curve of the given width (in units of a step).

    floor(v) + sigmoid((frac(v) - 1/2) / width), stretched so that it is continuous.
    """
    base = jax.lax.stop_gradient(jnp.floor(v))
    end = jax.nn.sigmoid(0.5 / width)
    curve = jax.nn.sigmoid((v - base - 0.5) / width)
    return base + (curve - (1 - end)) / (2 * end - 1)
