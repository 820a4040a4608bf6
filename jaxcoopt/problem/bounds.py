"""How a node's price answers to its bounds."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import along_runs
from jaxcoopt.pytrees import pytree


@pytree(static=("form",))
@dataclass(frozen=True)
class Penalty:
    """Smooth penalty on leaving [lo, hi], with eps = `weight` and s = `sharpness` (scalars or [runs]).

    form "softplus": eps softplus(s (x - hi)) / s + eps softplus(s (lo - x)) / s
    form "square":   eps max(x - hi, 0)^2 + eps max(lo - x, 0)^2, without `sharpness`

    Its slope is added to the price. Biased: the gap stops at a floor set by eps and s. A softplus pushes back by
    at most eps: below the bound's shadow price the box does not hold. Source: arXiv 2510.25176, section III.
    """

    weight: Any = 20.0
    sharpness: Any = 50.0
    form: Literal["softplus", "square"] = "softplus"

    def slope(self, x: Float[Array, "nodes runs"], lower: Any, upper: Any) -> Float[Array, "nodes runs"]:
        """d penalty / dx; lower and upper broadcast against x, and an infinite or absent bound adds nothing."""
        slope = jnp.zeros_like(x)
        if upper is not None:
            slope = slope + self._one_sided(x, x - jnp.where(jnp.isfinite(upper), upper, 0), jnp.isfinite(upper))
        if lower is not None:
            slope = slope - self._one_sided(x, jnp.where(jnp.isfinite(lower), lower, 0) - x, jnp.isfinite(lower))
        return slope

    def _one_sided(self, x: Array, excess: Array, bounded: Array) -> Array:
        weight, sharpness = along_runs(self.weight, x), along_runs(self.sharpness, x)
        push = jax.nn.sigmoid(sharpness * excess) if self.form == "softplus" else 2 * jnp.maximum(excess, 0)
        return jnp.where(bounded, weight * push, 0)
