"""The costs with what a penalty adds to them: what a flow with `Penalty` minimises."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.problem.bounds import Penalty, excess
from jaxcoopt.problem.costs import Cost
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Penalised(Cost):
    """f_i and the penalties on leaving the box, as one cost."""

    cost: Cost
    bounds: Penalty
    lower: Any
    upper: Any

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """f_i(x_i) + eps softplus(s (x - hi)) / s + ..., or the squares."""
        weight, sharpness = self.bounds.weight, self.bounds.sharpness
        total = self.cost.value(x)
        for side, held in excess(x, self.lower, self.upper):
            push = jnp.maximum(side, 0) ** 2
            if self.bounds.form == "softplus":
                push = jax.nn.softplus(sharpness * side) / sharpness
            total = total + jnp.where(held, weight * push, 0)
        return total

    def domain(self) -> tuple[Any, Any]:
        """The cost's."""
        return self.cost.domain()
