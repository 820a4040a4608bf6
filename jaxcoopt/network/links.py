"""The links of one iteration, and what a method may do with them: mix."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxcoopt.pytrees import pytree

UNROLLED = 16  # columns of the neighbour table up to which the mix is unrolled; beyond it is a compiled loop


@pytree
@dataclass(frozen=True)
class Links:
    """Who hears whom at one iteration, as a neighbour table padded with the node itself at weight zero.

    neighbours: [nodes, slots]; weights: [nodes, slots], or [nodes, slots, runs] where links fail per run.
    """

    neighbours: Int[Array, "nodes slots"]
    weights: Float[Array, "nodes slots *runs"]

    def mix(self, values: Any, through: Callable[[Array], Array] | None = None) -> Any:
        """sum_j w_ij (u_j - u_i), or sum_j w_ij q(u_j - u_i) with `through` an odd q; leaves [nodes, *shape, runs].

        Differences are taken before they are weighted, so that every link adds to one end what it takes from the other.
        """
        return jax.tree.map(lambda u: self._mix(u, through), values)

    def _mix(self, u: Array, through: Callable[[Array], Array] | None) -> Array:
        def flow(neighbour: Array, weight: Array) -> Array:
            difference = u.at[neighbour].get(mode="promise_in_bounds") - u
            return _column(weight, u) * (difference if through is None else through(difference))

        total, slots = jnp.zeros_like(u), self.neighbours.shape[1]
        if slots > UNROLLED:
            columns = jnp.moveaxis(self.neighbours, 1, 0), jnp.moveaxis(self.weights, 1, 0)
            return lax.scan(lambda sofar, column: (sofar + flow(*column), None), total, columns)[0]
        for slot in range(slots):
            total = total + flow(self.neighbours[:, slot], self.weights[:, slot])
        return total

    def dense(self) -> Float[Array, "nodes nodes *runs"]:
        """The weights as a matrix, for checks and theory."""
        nodes = self.neighbours.shape[0]
        empty = jnp.zeros((nodes, nodes, *self.weights.shape[2:]), self.weights.dtype)
        return empty.at[jnp.arange(nodes)[:, None], self.neighbours].add(self.weights)


def _column(weight: Float[Array, "nodes *runs"], like: Array) -> Array:
    """A weight for each node (and run) shaped to broadcast against [nodes, *shape, runs]."""
    runs = weight.shape[1:] or (1,)
    return weight.reshape(weight.shape[0], *(1,) * (like.ndim - 2), *runs)
