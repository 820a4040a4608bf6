"""Values of links: one number for both ends, so that what flows is the same seen from either."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt

from jaxcoopt.arrays import float_dtype
from jaxcoopt.host import array_of
from jaxcoopt.network.weights import LinkList
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Edges:
    """The edges of the union of all graphs, in the order of the tables' `link`.

    tail, head: [edges], the ends, tail < head, or from tail to head where links are directed; weights: [edges],
    [graphs, edges] in a network, 0 where a graph lacks the edge. number: the numbers of the edges that are here,
    [edges]; None: all, in order.
    """

    tail: Int[Array, " edges"]
    head: Int[Array, " edges"]
    weights: Float[Array, "*graphs edges"]
    number: UInt[Array, " edges"] | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.tail.shape[0]

    @property
    def numbers(self) -> UInt[Array, " edges"]:
        """The number of each in the network."""
        return jnp.arange(self.count, dtype=jnp.uint32) if self.number is None else self.number


def build_edges(links: Sequence[LinkList], directed: bool) -> Edges:
    """The edges of several graphs over the same nodes."""
    nodes = links[0].nodes
    forward = [of.neighbour < of.own if not directed else np.full(len(of.own), True) for of in links]
    name = [of.neighbour[up] * nodes + of.own[up] for of, up in zip(links, forward, strict=True)]
    union = np.unique(np.concatenate(name))
    weights = np.zeros((len(links), len(union)))
    for row, of, up, edge in zip(weights, links, forward, name, strict=True):
        row[np.searchsorted(union, edge)] = of.weight[up]
    tail, head = np.divmod(union, nodes)
    return Edges(array_of(tail, np.int32), array_of(head, np.int32), array_of(weights, float_dtype()))
