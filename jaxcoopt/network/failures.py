"""Which links are up at an iteration: cheap random numbers, the same for both ends of a link."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, UInt

from jaxcoopt.arrays import shown
from jaxcoopt.draws import random_bits
from jaxcoopt.errors import finite


def failure_chance(name: str, value: Any) -> np.ndarray:
    """A chance in [0, 1), scalar or [runs], or a ValueError."""
    rate = finite(name, value)
    if rate.ndim > 1 or (rate < 0).any() or (rate >= 1).any():
        raise ValueError(f"{name}: expected a chance in [0, 1), scalar or [runs], got {shown(value)}")
    return rate


def links_up(
    key: Array, edges: UInt[Array, " edges"], runs: Int[Array, " runs"], failure_rate: Any
) -> Bool[Array, "edges runs"]:
    """Which edges hold in each run, each with probability 1 - failure_rate (scalar or [runs]), all independent.

    A draw depends on the key and on the numbers of its edge and run only, not on what is beside it.
    """
    rate = jnp.atleast_1d(jnp.asarray(failure_rate, jnp.float32))

    def draw() -> Array:
        return random_bits(key, edges, runs) >= (rate * 2.0**32).astype(jnp.uint32)[None]

    # The branch also keeps the draw in memory: XLA would otherwise repeat it in every gather that reads it.
    return lax.cond(jnp.any(rate > 0), draw, lambda: jnp.ones((edges.shape[0], runs.shape[0]), bool))
