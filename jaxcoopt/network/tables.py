"""Neighbour tables: who each node hears, with what weight, over which link; nodes of like degree in one bucket."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.network.weights import LinkList
from jaxcoopt.pytrees import pytree

CHUNK = 8  # columns of a table that are written out; more are a compiled loop over so many at a time


@pytree(static=("buckets",))
@dataclass(frozen=True)
class Tables:
    """One table [slots, rows] for each bucket, flattened and one after another, padded with the node itself.

    neighbours, weights (0 where padded), link: [entries], [graphs, entries] in a network; `link` numbers the
    undirected edges of the union, so that both ends of one see the same failure. buckets: (rows, slots) of each. node:
    the node of each row, row: the row of each node; None where the rows are the nodes in order.
    """

    neighbours: Int[Array, "*graphs entries"]
    weights: Float[Array, "*graphs entries"]
    link: Int[Array, "*graphs entries"]
    buckets: tuple[tuple[int, int], ...]
    node: Int[Array, "*graphs rows"] | None = None
    row: Int[Array, "*graphs nodes"] | None = None

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.buckets[0][0] if self.row is None else self.row.shape[-1]

    @property
    def most_slots(self) -> int:
        """How many neighbours a node has at most."""
        return max(slots for _, slots in self.buckets)

    def blocks(self) -> Iterator["Block"]:
        """The tables of one graph, bucket by bucket."""
        entry = row = 0
        for rows, slots in self.buckets:
            cut = slice(entry, entry + rows * slots)
            parts = (part[cut].reshape(slots, rows) for part in (self.neighbours, self.weights, self.link))
            yield Block(None if self.node is None else self.node[row : row + rows], *parts)
            entry, row = cut.stop, row + rows

    def in_order(self, parts: Sequence[Any]) -> Any:
        """Results of all rows, bucket by bucket, put in the order of the nodes."""
        row = self.row
        if row is None:
            return parts[0]
        return jax.tree.map(lambda *leaves: take(jnp.concatenate(leaves), row), *parts)

    def by_row(self, u: Float[Array, "nodes *rest"]) -> Float[Array, "rows *rest"]:
        """u_i of the node of each row, and one row to spare where the rows are not the nodes in order."""
        if self.node is None:
            return u
        # Written into a longer array, so that XLA does not gather it again for every neighbour it is compared with.
        spare = jnp.zeros((self.node.shape[-1] + 1, *u.shape[1:]), u.dtype)
        return lax.dynamic_update_slice_in_dim(spare, take(u, self.node), 0, axis=0)

    def own(self) -> Int[Array, " entries"]:
        """The node whose table each entry stands in."""
        rows = (jnp.arange(self.nodes) if b.node is None else b.node for b in self.blocks())
        return jnp.concatenate([jnp.tile(row, b.link.shape[0]) for row, b in zip(rows, self.blocks(), strict=True)])


class Block(NamedTuple):
    """One bucket: the node of each row (None: all, in order), and tables [slots, rows]."""

    node: Array | None
    neighbours: Array
    weights: Array
    link: Array


def fold(add: Callable[..., Any], total: Any, columns: Any, chunk: int = CHUNK) -> Any:
    """add(total, *column) over the first axis of all `columns`, `chunk` of them written out at a time."""

    def unrolled(total: Any, columns: Any) -> tuple[Any, None]:
        for slot in range(columns[0].shape[0]):
            total = add(total, *(column[slot] for column in columns))
        return total, None

    slots = columns[0].shape[0]
    first = (
        slots % chunk if slots > chunk else slots
    )  # the rest before the loop: what a loop gives is not fused further
    total, _ = unrolled(total, jax.tree.map(lambda c: c[:first], columns))
    if first == slots:
        return total
    chunks = jax.tree.map(lambda c: c[first:].reshape(-1, chunk, *c.shape[1:]), columns)
    return lax.scan(unrolled, total, chunks)[0]


def take(u: Array, index: Array) -> Array:
    """Rows of u, in bounds by construction."""
    return u.at[index].get(mode="promise_in_bounds")


def build_tables(links: Sequence[LinkList], buckets: tuple[tuple[int, int], ...]) -> Tables:
    """The tables of several graphs in buckets planned for them."""
    name = [np.minimum(of.own, of.neighbour) * of.nodes + np.maximum(of.own, of.neighbour) for of in links]
    union = np.unique(np.concatenate(name))
    tables = [_fill(of, np.searchsorted(union, edge), buckets) for of, edge in zip(links, name, strict=True)]
    neighbours, weights, link, node, row = (np.stack(part) for part in zip(*tables, strict=True))
    plain = len(buckets) == 1
    return Tables(
        neighbours=jnp.asarray(neighbours, jnp.int32),
        weights=jnp.asarray(weights, float_dtype()),
        link=jnp.asarray(link, jnp.int32),
        buckets=buckets,
        node=None if plain else jnp.asarray(node, jnp.int32),
        row=None if plain else jnp.asarray(row, jnp.int32),
    )


def _fill(links: LinkList, edge: np.ndarray, buckets: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, ...]:
    """Neighbours, weights and links [entries] of one graph, the node of each row and the row of each node."""
    rows, slots = np.array(buckets).T
    first_row, first_entry = np.cumsum(rows) - rows, np.cumsum(rows * slots) - rows * slots
    degree, own, nodes = links.degree, links.own, np.arange(links.nodes)
    bucket = np.searchsorted(slots, degree)
    order = np.argsort(bucket, kind="stable")
    rank = np.empty_like(nodes)  # a node's place among those of its bucket
    rank[order] = nodes - np.searchsorted(bucket[order], bucket[order])
    row, node = first_row[bucket] + rank, np.zeros(rows.sum(), int)
    node[row] = nodes
    parts = zip(np.split(node, first_row[1:]), slots, strict=True)
    neighbours = np.concatenate([np.tile(nodes_in, count) for nodes_in, count in parts])
    weights, link = np.zeros(neighbours.shape), np.zeros(neighbours.shape, int)
    slot = np.arange(len(own)) - (np.cumsum(degree) - degree)[own]
    entry = first_entry[bucket[own]] + slot * rows[bucket[own]] + rank[own]
    neighbours[entry], weights[entry], link[entry] = links.neighbour, links.weight, edge
    return neighbours, weights, link, node, row
