"""The links of one iteration, and what a method may do with them: mix."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcoopt.compensated import Grid, Pair, split
from jaxcoopt.network.kernels import Kernel, pick
from jaxcoopt.network.shifts import Shifts
from jaxcoopt.network.tables import CHUNK, Tables, fold, take
from jaxcoopt.pytrees import pytree

Quantize = Callable[[Array], Array]

# Where a few runs stand last, XLA computes what it fuses with the mix in loops that short; a loop over half as many
# columns keeps all but the last few apart from it (two to three times faster with 4 runs).
NARROW, NARROW_CHUNK = 16, 4
BUCKET_CHUNK = 4  # columns of a bucket written out: more compile longer and run no faster


@pytree(static=("kernel",))
@dataclass(frozen=True)
class Links:
    """Who hears whom at one iteration.

    up: which edges of the union hold, [edges, runs], None where all do. shifts, matrix: the same weights in the forms
    that other kernels take, where the network keeps them.
    """

    tables: Tables
    up: Bool[Array, "edges runs"] | None = None
    shifts: Shifts | None = None
    matrix: Float[Array, "nodes nodes"] | None = None
    kernel: Kernel = "auto"

    @property
    def most_neighbours(self) -> int:
        """How many a node may have."""
        return self.tables.most_slots

    def mix(self, values: Any, through: Quantize | None = None) -> Any:
        """sum_j w_ij (u_j - u_i), or sum_j w_ij q(u_j - u_i) with `through` an odd q; leaves [nodes, *shape, runs].

        Differences are taken before they are weighted, so that equal values mix to exactly 0.
        """
        if through is not None or self.up is not None:
            return jax.tree.map(lambda u: self._mix_by_tables(u, through), values)
        # One row a node: the gathers copy rows, and the longer these are the better.
        return jax.tree.map(lambda u: self._mix_rows(u.reshape(len(u), -1), u.shape[-1]).reshape(u.shape), values)

    def flow(
        self, values: Float[Array, "nodes runs"], step: Array, grid: Grid, through: Quantize | None = None
    ) -> Pair:
        """step times the mix in whole units of the grid: what one end of a link gains the other loses, exactly.

        step: scalar or [1, runs]. For values that are stored: computed on the way, the compiler may round u_j - u_i
        differently at the two ends.
        """

        def add(total: Pair, sent: Array, weight: Array) -> Pair:
            # The select is the identity. It keeps the compiler from contracting the product with the sum it goes into,
            # which may round it differently at the two ends. Its condition must differ from number to number: one on
            # the weight alone is moved out of the loop over runs, and the contraction is back.
            moved = split(jnp.where(jnp.isnan(sent), sent, step * weight * sent), grid)
            return Pair(total.high + moved.high, total.low + moved.low)

        return self._over_tables(values, through, add, lambda own: Pair(jnp.zeros_like(own), jnp.zeros_like(own)))

    def degree(self) -> Float[Array, "nodes *runs"]:
        """How many live links each node has."""
        held = jnp.zeros((self.tables.nodes, 1 if self.up is None else self.up.shape[1]), self.tables.weights.dtype)

        def add(total: Array, _: Array, weight: Array) -> Array:
            return total + (weight > 0).astype(total.dtype)

        count = self._over_tables(held, None, add, jnp.zeros_like)
        return count[:, 0] if self.up is None else count

    def dense(self) -> Float[Array, "nodes nodes *runs"]:
        """The weights as a matrix, for checks and theory."""
        nodes, weights = self.tables.nodes, self.tables.weights
        if self.up is not None:
            weights = _where_up(self.up, weights, self.tables.link)
        empty = jnp.zeros((nodes, nodes, *weights.shape[1:]), weights.dtype)
        return empty.at[self.tables.own(), self.tables.neighbours].add(weights)

    def _mix_rows(self, u: Float[Array, "nodes columns"], runs: int) -> Float[Array, "nodes columns"]:
        kernel = pick(self.kernel, u.shape[1], self.matrix, None if self.shifts is None else self.shifts.grid)
        if kernel == "dense" and self.matrix is not None:
            return _mix_by_matrix(self.matrix, u)
        if kernel == "shifts" and self.shifts is not None:
            return self.shifts.mix(u)
        return self._mix_by_tables(u, None, NARROW_CHUNK if 1 < runs < NARROW else CHUNK)

    def _mix_by_tables(self, u: Array, through: Quantize | None, chunk: int = CHUNK) -> Array:
        def add(total: Array, sent: Array, weight: Array) -> Array:
            return total + weight * sent

        return self._over_tables(u, through, add, jnp.zeros_like, chunk)

    def _over_tables(
        self, u: Array, through: Quantize | None, add: Callable[..., Any], start: Callable, chunk: int = CHUNK
    ) -> Any:
        """Folds (total, q(u_j - u_i), w_ij) over the neighbours j of each node i, from start(u_i)."""
        parts, first, of_rows = [], 0, self.tables.by_row(u)
        for block in self.tables.blocks():
            own = of_rows[first : first + block.neighbours.shape[1]]
            first += len(own)

            def add_column(total: Any, neighbour: Array, weight: Array, link: Array, own: Array = own) -> Any:
                difference = take(u, neighbour) - own
                weight = weight if self.up is None else _where_up(self.up, weight, link)
                return add(total, difference if through is None else through(difference), _column(weight, own))

            # Two turns of a loop at least, or XLA computes a bucket within the concatenation, number by number.
            size = chunk if self.tables.node is None else max(1, min(BUCKET_CHUNK, len(block.neighbours) // 2))
            parts.append(fold(add_column, start(own), (block.neighbours, block.weights, block.link), size))
        return self.tables.in_order(parts)


def _where_up(up: Bool[Array, "edges runs"], weight: Float[Array, " rows"], link: Array) -> Float[Array, "rows runs"]:
    """A weight for each row and run, 0 where its link is down."""
    return jnp.where(take(up, link), weight[:, None], 0)


def _column(weight: Float[Array, "rows *runs"], like: Array) -> Array:
    """A weight for each row (and run) shaped to broadcast against [rows, *shape, runs]."""
    runs = weight.shape[1:] or (1,)
    return weight.reshape(weight.shape[0], *(1,) * (like.ndim - 2), *runs)


def _mix_by_matrix(matrix: Float[Array, "nodes nodes"], u: Float[Array, "nodes columns"]) -> Array:
    """W d - diag(W 1) d with d = u - u_0, which is the same as with u, and exactly 0 where all values are equal."""
    apart = u - u[:1]
    return jnp.matmul(matrix, apart, precision="highest") - matrix.sum(axis=1)[:, None] * apart
