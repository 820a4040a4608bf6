"""The links of one iteration, and what a method may do with them: mix."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxcoopt.compensated import Pair, two_sum, zeros
from jaxcoopt.pytrees import pytree

Quantize = Callable[[Array], Array]

UNROLLED = 16  # columns of the neighbour table up to which the mix is unrolled; beyond it is a compiled loop


@pytree
@dataclass(frozen=True)
class Links:
    """Who hears whom at one iteration, as a neighbour table padded with the node itself at weight zero.

    neighbours: [nodes, slots]; weights: [nodes, slots], or [nodes, slots, runs] where links fail per run.
    """

    neighbours: Int[Array, "nodes slots"]
    weights: Float[Array, "nodes slots *runs"]

    def mix(self, values: Any, through: Quantize | None = None) -> Any:
        """sum_j w_ij (u_j - u_i), or sum_j w_ij q(u_j - u_i) with `through` an odd q; leaves [nodes, *shape, runs].

        Differences are taken before they are weighted, so that equal values mix to exactly 0.
        """

        def mix_leaf(u: Array) -> Array:
            def add_slot(total: Array, neighbour: Array, weight: Array) -> Array:
                return total + _column(weight, u) * _sent(u, neighbour, through)

            return self._over_slots(add_slot, jnp.zeros_like(u))

        return jax.tree.map(mix_leaf, values)

    def flow(self, values: Float[Array, "nodes runs"], step: Array, through: Quantize | None = None) -> Pair:
        """step times the mix, summed without rounding errors: what one end of a link gains the other loses, exactly.

        step: scalar or [1, runs]. For values that are stored: computed on the way, the compiler may round u_j - u_i
        differently at the two ends.
        """

        def add_slot(total: Pair, neighbour: Array, weight: Array) -> Pair:
            sent = _sent(values, neighbour, through)
            # The select is the identity. It keeps the compiler from contracting the product with the sum it goes into,
            # which would round it differently at the two ends. Its condition must differ from number to number: one on
            # the weight alone is moved out of the loop over runs, and the contraction is back.
            moved = jnp.where(jnp.isnan(sent), sent, step * _column(weight, values) * sent)
            high, error = two_sum(total.high, moved)
            return Pair(high, total.low + error)

        return self._over_slots(add_slot, zeros(values))

    def _over_slots(self, add_slot: Callable[..., Any], total: Any) -> Any:
        """Folds (total, neighbour [nodes], weight [nodes, *runs]) over the columns of the tables."""
        slots = self.neighbours.shape[1]
        if slots > UNROLLED:
            columns = jnp.moveaxis(self.neighbours, 1, 0), jnp.moveaxis(self.weights, 1, 0)
            return lax.scan(lambda sofar, column: (add_slot(sofar, *column), None), total, columns)[0]
        for slot in range(slots):
            total = add_slot(total, self.neighbours[:, slot], self.weights[:, slot])
        return total

    def dense(self) -> Float[Array, "nodes nodes *runs"]:
        """The weights as a matrix, for checks and theory."""
        nodes = self.neighbours.shape[0]
        empty = jnp.zeros((nodes, nodes, *self.weights.shape[2:]), self.weights.dtype)
        return empty.at[jnp.arange(nodes)[:, None], self.neighbours].add(self.weights)


def _sent(u: Array, neighbour: Array, through: Quantize | None) -> Array:
    """q(u_j - u_i) for one j of each i."""
    difference = u.at[neighbour].get(mode="promise_in_bounds") - u
    return difference if through is None else through(difference)


def _column(weight: Float[Array, "nodes *runs"], like: Array) -> Array:
    """A weight for each node (and run) shaped to broadcast against [nodes, *shape, runs]."""
    runs = weight.shape[1:] or (1,)
    return weight.reshape(weight.shape[0], *(1,) * (like.ndim - 2), *runs)
