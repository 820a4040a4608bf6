"""Neighbour tables: who each node hears, with what weight, over which link; what hubs hear beyond it in buckets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from jaxcoopt.arrays import float_dtype
from jaxcoopt.host import array_of
from jaxcoopt.network.weights import LinkList
from jaxcoopt.platform import choices
from jaxcoopt.pytrees import pytree

CHUNK = 8  # columns of a table that are written out; more are a compiled loop over so many at a time


@pytree(static=("buckets",))
@dataclass(frozen=True)
class Tables:
    """A table [slots, nodes] of every node's first neighbours, then one [slots, rows] for each bucket, with those that
    hubs have beyond; flattened and one after another, padded with the node itself.

    neighbours, weights (0 where padded), link: [entries], [graphs, entries] in a network; `link` numbers the edges of
    the union, so that both ends of one see the same failure. buckets: (rows, slots) of each, all
    nodes first. node: the node of each further row; row: which of these a node has, from 1, or 0; None where there
    are none.
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
        return self.buckets[0][0]

    @property
    def most_slots(self) -> int:
        """How many neighbours a node has at most."""
        return self.buckets[0][1] + max((slots for _, slots in self.buckets[1:]), default=0)

    def blocks(self) -> Iterator["Block"]:
        """The tables of one graph: that of all nodes, then bucket by bucket."""
        entry = row = 0
        for index, (rows, slots) in enumerate(self.buckets):
            cut = slice(entry, entry + rows * slots)
            entry = cut.stop
            parts = (part[cut].reshape(slots, rows) for part in (self.neighbours, self.weights, self.link))
            if index == 0 or self.node is None:
                yield Block(None, *parts)
            else:
                yield Block(self.node[row : row + rows], *parts)
                row += rows

    def in_order(self, parts: Sequence[PyTree]) -> PyTree:
        """Sums over the rows of each block, added up for each node."""
        row = self.row
        if row is None:
            return parts[0]

        def together(first: Array, *rest: Array) -> Array:
            return first + take(jnp.concatenate([jnp.zeros_like(first[:1]), *rest]), row)

        return jax.tree.map(together, *parts)

    def by_block(self, u: Float[Array, "nodes *rest"]) -> list[Array]:
        """u_i of the node of each row, block by block."""
        if self.node is None:
            return [u]
        # Written into a longer array, so that XLA does not gather it again for every neighbour it is compared with.
        spare = jnp.zeros((self.node.shape[-1] + 1, *u.shape[1:]), u.dtype)
        spare = lax.dynamic_update_slice_in_dim(spare, take(u, self.node), 0, axis=0)
        ends = [0, *accumulate(rows for rows, _ in self.buckets[1:])]
        return [u, *(spare[start:end] for start, end in pairwise(ends))]

    def own(self) -> Int[Array, " entries"]:
        """The node whose table each entry stands in."""
        rows = (jnp.arange(self.nodes, dtype=jnp.int32) if b.node is None else b.node for b in self.blocks())
        return jnp.concatenate([jnp.tile(row, b.link.shape[0]) for row, b in zip(rows, self.blocks(), strict=True)])


class Block(NamedTuple):
    """One table: the node of each row (None: all, in order), and tables [slots, rows]."""

    node: Array | None
    neighbours: Array
    weights: Array
    link: Array


def fold(
    add: Callable[..., Any],
    total: PyTree,
    columns: Sequence[Array],
    chunk: int = CHUNK,
    settle: Callable[[Any], Any] | None = None,
) -> PyTree:
    """add(total, *column) over the first axis of all `columns`, `chunk` of them written out at a time.

    settle: total -> total, where given, at the end of each turn of the loop that more than one chunk takes.

    On a GPU all columns are gathered and reduced at once, `CHUNK` of them before they are settled.
    """
    if choices().gathered:
        return _reduced(add, total, columns, settle)

    def unrolled(total: PyTree, columns: Sequence[Array]) -> tuple[PyTree, None]:
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

    def turn(total: PyTree, columns: Sequence[Array]) -> tuple[PyTree, None]:
        total, _ = unrolled(total, columns)
        return (total if settle is None else settle(total)), None

    return lax.scan(turn, total, chunks)[0]


def _reduced(add: Callable[..., Any], total: PyTree, columns: PyTree, settle: Callable[[Any], Any] | None) -> Any:
    """The same as one reduction over the columns, or, where sums must be settled, one over each `CHUNK` of them."""
    zero = jax.tree.map(jnp.zeros_like, total)
    parts = jax.vmap(lambda *column: add(zero, *column))(*columns)
    while settle is not None and jax.tree.leaves(parts)[0].shape[0] > CHUNK:
        parts = jax.vmap(settle)(jax.tree.map(_by_chunks, parts))
    return jax.tree.map(lambda whole, part: whole + part.sum(axis=0), total, parts)


def _by_chunks(parts: Float[Array, "slots *rest"]) -> Float[Array, "chunks *rest"]:
    """Sums over `CHUNK` of the first axis at a time."""
    spare = -len(parts) % CHUNK
    padded = jnp.pad(parts, [(0, spare), *((0, 0),) * (parts.ndim - 1)])
    return padded.reshape(-1, CHUNK, *parts.shape[1:]).sum(axis=1)


def take(u: Array, index: Array) -> Array:
    """Rows of u, in bounds by construction."""
    return u.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)


def both_ways(links: LinkList) -> np.ndarray:
    """The same number for the links i -> j and j -> i."""
    return np.minimum(links.own, links.neighbour) * links.nodes + np.maximum(links.own, links.neighbour)


def of_listener(links: LinkList) -> np.ndarray:
    """The number of the directed edge from the neighbour, who is heard."""
    return links.neighbour * links.nodes + links.own


def of_sender(links: LinkList) -> np.ndarray:
    """The number of the directed edge to the neighbour, who hears."""
    return links.own * links.nodes + links.neighbour


def build_tables(
    links: Sequence[LinkList], buckets: tuple[tuple[int, int], ...], name: Callable[[LinkList], np.ndarray]
) -> Tables:
    """The tables of several graphs in buckets planned for them; name: a number for the edge of each link."""
    name_of = [name(of) for of in links]
    union = np.unique(np.concatenate(name_of))
    tables = [fill(of, np.searchsorted(union, edge), buckets) for of, edge in zip(links, name_of, strict=True)]
    neighbours, weights, link, node, row = (np.stack(part) for part in zip(*tables, strict=True))
    plain = len(buckets) == 1
    return Tables(
        neighbours=array_of(neighbours, np.int32),
        weights=array_of(weights, float_dtype()),
        link=array_of(link, np.int32),
        buckets=buckets,
        node=None if plain else array_of(node, np.int32),
        row=None if plain else array_of(row, np.int32),
    )


def fill(links: LinkList, edge: np.ndarray, buckets: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, ...]:
    """Neighbours, weights and links [entries] of one graph, the node of each bucket row and the row of each node."""
    (_, first), *rest = buckets
    rows, slots = np.array(rest, int).reshape(-1, 2).T
    degree, own, nodes = links.degree, links.own, links.nodes
    hubs = np.flatnonzero(degree > first)
    bucket, rank = np.zeros((2, nodes), int)  # of hubs; rank: a hub's place in its bucket
    bucket[hubs] = np.searchsorted(slots, degree[hubs] - first)
    order = hubs[np.argsort(bucket[hubs], kind="stable")]
    rank[order] = np.arange(len(order)) - np.searchsorted(bucket[order], bucket[order])
    row, node = np.zeros(nodes, int), np.zeros(rows.sum(), int)
    row[hubs] = (np.cumsum(rows) - rows)[bucket[hubs]] + rank[hubs] + 1
    node[row[hubs] - 1] = hubs
    parts = zip(np.split(node, np.cumsum(rows)[:-1]), slots, strict=True) if rest else ()
    neighbours = np.concatenate([np.tile(np.arange(nodes), first), *(np.tile(part, count) for part, count in parts)])
    weights, link = np.zeros(neighbours.shape), np.zeros(neighbours.shape, int)
    slot = np.arange(len(own)) - (np.cumsum(degree) - degree)[own]
    entry = slot * nodes + own
    beyond = slot >= first
    at, of = bucket[own[beyond]], own[beyond]
    start = nodes * first + np.cumsum(rows * slots) - rows * slots
    entry[beyond] = start[at] + (slot[beyond] - first) * rows[at] + rank[of]
    neighbours[entry], weights[entry], link[entry] = links.neighbour, links.weight, edge
    return neighbours, weights, link, node, row
