"""The links of one iteration, and what a method may do with them: mix values, and let amounts flow."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxcoopt.compensated import Grid, Pair, settled, split
from jaxcoopt.derivative import derivative_from
from jaxcoopt.linear import linear, symmetric
from jaxcoopt.network.edges import Edges
from jaxcoopt.network.halo import Halo, most
from jaxcoopt.network.kernels import Kernel, pick
from jaxcoopt.network.shifts import Shifts
from jaxcoopt.network.tables import CHUNK, Block, Tables, fold, take
from jaxcoopt.platform import choices
from jaxcoopt.pytrees import pytree

Quantize = Callable[[Array], Array]
Rule = Callable[[Any, Any, Array], Any]  # (u_i, u_j, w_ij), pytrees of [nodes, runs], to what i gets from j

# Where a few runs stand last, XLA computes what it fuses with the mix in loops that short; a loop over half as many
# columns keeps all but the last few apart from it (two to three times faster with 4 runs).
NARROW, NARROW_CHUNK = 16, 4
BUCKET_CHUNK = 12  # columns of a bucket written out: each turn of the loop goes over its sums again


@pytree(static=("kernel",))
@dataclass(frozen=True)
class Links:
    """Who hears whom at one iteration.

    up: which edges of the union hold, [edges, runs], None where all do. shifts, matrix: the same weights in the forms
    that other kernels take, where the network keeps them. halo: what the tables' neighbours count on beside the nodes
    that are here, where the nodes are spread over devices. outward: where links are directed who hears each node, while
    `tables` say whom it hears.
    """

    tables: Tables
    edges: Edges
    up: Bool[Array, "edges runs"] | None = None
    shifts: Shifts | None = None
    matrix: Float[Array, "nodes nodes"] | None = None
    kernel: Kernel = "auto"
    halo: Halo | None = None
    outward: Tables | None = None

    @property
    def most_neighbours(self) -> int:
        """How many a node may have."""
        return self.tables.most_slots

    def mix(self, values: PyTree, through: Quantize | None = None) -> Any:
        """sum_j w_ij (u_j - u_i), or sum_j w_ij q(u_j - u_i) with `through` an odd q; leaves [nodes, *shape, runs].

        Differences are taken before they are weighted, so that equal values mix to exactly 0.
        """
        if through is not None:
            return jax.tree.map(lambda u: self._mix_by_tables(u, through), values)
        if self.outward is None:
            return jax.tree.map(lambda u: symmetric(Links._mix_linear, self, u), values)
        return jax.tree.map(lambda u: linear(Links._mix_linear, Links._mix_outward, self, u), values)

    def flow(self, values: PyTree, amount: Rule, grid: Grid) -> Pair:
        """sum_j amount(u_i, u_j, w_ij) in whole units of the grid: one end gains exactly what the other loses.

        values: a pytree, leaves [nodes, runs], that is stored: computed on the way, the compiler may round it
        differently at the two ends. amount: odd, amount(u_i, u_j, w) = -amount(u_j, u_i, w), and 0 for w = 0.

        Where links are directed, j -> i: sum_j amount(0, u_j, w_ij) - sum_k amount(0, u_i, w_ki), as nobody knows both
        ends: what a node sends on a link it loses.
        """
        if self.outward is not None:
            return self._flow_one_way(values, amount, grid)

        def add(total: Pair, own: PyTree, other: PyTree, weight: Array) -> Pair:
            unlike = jax.tree.leaves(other)[0] - jax.tree.leaves(own)[0]
            moved = split(_rounded_once(amount(own, other, weight), unlike), grid)
            return Pair(total.high + moved.high, total.low + moved.low)

        return self._over_tables(values, add, _nothing, settle=lambda total: settled(total, grid))

    def _flow_one_way(self, values: PyTree, amount: Rule, grid: Grid) -> Pair:
        """What comes in and what goes out, each link's number rounded alike at both ends."""

        def sent(value: PyTree, weight: Array) -> Pair:
            leaf = jax.tree.leaves(value)[0]
            none = jax.tree.map(jnp.zeros_like, value)
            return split(_rounded_once(amount(none, value, weight), leaf), grid)

        def gain(total: Pair, own: PyTree, other: PyTree, weight: Array) -> Pair:
            moved = sent(other, weight)
            return Pair(total.high + moved.high, total.low + moved.low)

        def lose(total: Pair, own: PyTree, other: PyTree, weight: Array) -> Pair:
            moved = sent(own, weight)
            return Pair(total.high - moved.high, total.low - moved.low)

        settle = partial(settled, grid=grid)
        gained = self._over_tables(values, gain, _nothing, settle=settle)
        lost = self._over_tables(values, lose, _nothing, settle=settle, tables=self.outward)
        return settle(Pair(gained.high + lost.high, gained.low + lost.low))

    def most(self, values: Float[Array, "nodes runs"]) -> Float[Array, "1 runs"]:
        """max_i |u_i|."""
        return most(values, self.halo)

    def total(self, values: PyTree, amount: Rule) -> Any:
        """sum_j amount(u_i, u_j, w_ij), a pytree of [nodes, runs], for values with such leaves."""

        def add(total: PyTree, own: PyTree, other: PyTree, weight: Array) -> Any:
            return jax.tree.map(jnp.add, total, amount(own, other, weight))

        def start(own: PyTree) -> Any:
            zero = jnp.zeros_like(jax.tree.leaves(own)[0])
            shape = jax.eval_shape(lambda: amount(own, own, zero))
            return jax.tree.map(lambda _: zero, shape)

        return self._over_tables(values, add, start)

    def weight(self) -> Float[Array, "edges #runs"]:
        """w of each edge of the union, 0 where it is not there or down: [edges, 1] or [edges, runs]."""
        weights = self.edges.weights[:, None]
        return weights if self.up is None else jnp.where(self.up, weights, 0)

    def at_ends(self, values: PyTree) -> tuple[Any, Any]:
        """(u at the tail, u at the head) of each edge, leaves [edges, runs]."""
        values = self._within_reach(values)
        tail = jax.tree.map(lambda leaf: take(leaf, self.edges.tail), values)
        return tail, jax.tree.map(lambda leaf: take(leaf, self.edges.head), values)

    def collect(self, of_edges: PyTree, part: Callable[[Any, Array], Any], settle: Callable | None = None) -> Any:
        """The sum of part(value, sign) over the links of each node, sign 1 at an edge's head and -1 at its tail.

        of_edges: a pytree, leaves [edges, runs], stored, and 0 where an edge is not there; part: 0 for the sign 0.
        settle: what is done to sums that go on, after every few terms.
        """
        like = jax.tree.map(lambda leaf: leaf[:1], of_edges)
        shape = jax.eval_shape(lambda: part(like, jnp.zeros((1, 1), self.tables.weights.dtype)))
        parts = []
        for block in self.tables.blocks():
            own = jnp.arange(block.link.shape[1], dtype=jnp.int32) if block.node is None else block.node

            def add(total: PyTree, link: Array, neighbour: Array, own: Array = own) -> Any:
                sign = jnp.sign(self._number(own) - self._number(neighbour)).astype(self.tables.weights.dtype)[:, None]
                got = part(jax.tree.map(lambda leaf: take(leaf, link), of_edges), sign)
                return jax.tree.map(jnp.add, total, got)

            rows = len(own)
            start = jax.tree.map(lambda leaf, rows=rows: jnp.zeros((rows, *leaf.shape[1:]), leaf.dtype), shape)
            parts.append(_folded(block, add, start, (block.link, block.neighbours), CHUNK, settle))
        return self.tables.in_order(parts)

    def degree(self) -> Float[Array, "nodes *runs"]:
        """How many live links each node has."""
        held = jnp.zeros((self.tables.nodes, 1 if self.up is None else self.up.shape[1]), self.tables.weights.dtype)

        def add(total: Array, own: Array, other: Array, weight: Array) -> Array:
            return total + (weight > 0).astype(total.dtype)

        count = self._over_tables(held, add, jnp.zeros_like)
        return count[:, 0] if self.up is None else count

    def strength(self, tables: Tables | None = None) -> Float[Array, "nodes *runs"]:
        """sum_j w_ij over the live links of each node; tables: other ones than those of whom it hears."""
        held = jnp.zeros((self.tables.nodes, 1 if self.up is None else self.up.shape[1]), self.tables.weights.dtype)
        total = self._over_tables(held, lambda total, own, other, weight: total + weight, jnp.zeros_like, tables=tables)
        return total[:, 0] if self.up is None else total

    def dense(self) -> Float[Array, "nodes nodes *runs"]:
        """The weights as a matrix, for checks and theory."""
        nodes, weights = self.tables.nodes, self.tables.weights
        if self.up is not None:
            weights = _where_up(self.up, weights, self.tables.link)
        empty = jnp.zeros((nodes, nodes, *weights.shape[1:]), weights.dtype)
        return empty.at[self.tables.own(), self.tables.neighbours].add(weights)

    def _mix_linear(self, u: Float[Array, "nodes *shape runs"]) -> Float[Array, "nodes *shape runs"]:
        if self.up is not None:
            return self._mix_by_tables(u, None)
        # One row a node: the gathers copy rows, and the longer these are the better.
        return self._mix_rows(u.reshape(len(u), -1), u.shape[-1]).reshape(u.shape)

    def _mix_rows(self, u: Float[Array, "nodes columns"], runs: int) -> Float[Array, "nodes columns"]:
        if self.halo is not None:
            return self._mix_by_tables(u, None)
        kernel = pick(self.kernel, u.shape[1], self.matrix, None if self.shifts is None else self.shifts.grid)
        if kernel == "dense" and self.matrix is not None:
            return _mix_by_matrix(self.matrix, u)
        if kernel == "shifts" and self.shifts is not None:
            return self.shifts.mix(u)
        return self._mix_by_tables(u, None, NARROW_CHUNK if 1 < runs < NARROW else CHUNK)

    def _mix_outward(self, u: Float[Array, "nodes *shape runs"]) -> Float[Array, "nodes *shape runs"]:
        """The transpose of the mix over directed links: sum_k w_ki u_k - sum_j w_ij u_i."""
        surplus = self.strength(self.outward) - self.strength()
        return self._mix_by_tables(u, None, tables=self.outward) + _column(surplus, u) * u

    def _mix_by_tables(
        self, u: Array, through: Quantize | None, chunk: int = CHUNK, tables: Tables | None = None
    ) -> Array:
        def add(total: Array, own: Array, other: Array, weight: Array) -> Array:
            difference = other - own
            return total + weight * (difference if through is None else through(difference))

        return self._over_tables(u, add, jnp.zeros_like, chunk, tables=tables)

    def _over_tables(
        self,
        values: PyTree,
        add: Callable[..., Any],
        start: Callable,
        chunk: int = CHUNK,
        settle: Callable | None = None,
        tables: Tables | None = None,
    ) -> Any:
        """Folds add(total, u_i, u_j, w_ij) over the neighbours j of each node i, from start(u_i) = 0."""
        tables = self.tables if tables is None else tables
        leaves, form = jax.tree.flatten(values)
        around = self._within_reach(values)
        owns = zip(*(tables.by_block(leaf) for leaf in leaves), strict=True)
        parts = []
        for block, of_rows in zip(tables.blocks(), owns, strict=True):
            own = form.unflatten(of_rows)

            def add_column(total: PyTree, neighbour: Array, weight: Array, link: Array, own: PyTree = own) -> Any:
                other = jax.tree.map(lambda leaf: take(leaf, neighbour), around)
                weight = weight if self.up is None else _where_up(self.up, weight, link)
                return add(total, own, other, _column(weight, jax.tree.leaves(own)[0]))

            columns = block.neighbours, block.weights, block.link
            parts.append(_folded(block, add_column, start(own), columns, chunk, settle))
        return tables.in_order(parts)

    def _within_reach(self, values: PyTree) -> Any:
        """Values of the nodes that the tables and edges may name, leaves [nodes + those of other devices, ...]."""
        return values if self.halo is None else jax.tree.map(self.halo.heard, values)

    def _number(self, node: Int[Array, " rows"]) -> Int[Array, " rows"]:
        """The nodes' numbers in the network."""
        return node if self.halo is None else take(self.halo.number, node)


def _nothing(own: PyTree) -> Pair:
    zero = jnp.zeros_like(jax.tree.leaves(own)[0])
    return Pair(zero, zero)


def _rounded_once(part: Array, other: Array) -> Array:
    """The part itself, kept from being contracted with the sum it goes into, which may round it differently at the two
    ends. other: numbers that differ from one to the next: a condition on the weight alone would be moved out of the
    loop over runs, and the contraction would be back.
    """
    return derivative_from(jnp.where(jnp.isnan(other), other, part), part)


def _folded(
    block: Block, add: Callable[..., Any], start: PyTree, columns: PyTree, chunk: int, settle: Callable | None
) -> Any:
    """`fold` over a block. A bucket's is in a branch, always taken: XLA would compute it again in what reads it."""
    if block.node is None or choices().gathered:
        return fold(add, start, columns, chunk, settle)
    return lax.cond(block.node[0] >= 0, lambda: fold(add, start, columns, BUCKET_CHUNK, settle), lambda: start)


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
