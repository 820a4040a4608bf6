"""A network cut into blocks of nodes, one for each device, and what the blocks send each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int
from scipy import sparse
from scipy.sparse import csgraph

from jaxcoopt.arrays import float_dtype
from jaxcoopt.host import array_of, as_jax
from jaxcoopt.layout import changed_along
from jaxcoopt.network.buckets import plan
from jaxcoopt.network.edges import Edges
from jaxcoopt.network.halo import Halo
from jaxcoopt.network.network import Network
from jaxcoopt.network.tables import Tables, fill
from jaxcoopt.network.weights import LinkList
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Blocks:
    """Where nodes and edges of the network are: places of like length on each device, one device after another.

    node, edge: which one is at each place; places left over hold the last node again (all of them after the others),
    or edge 0, and nothing is linked to them. An edge between two blocks is in both. node_at, edge_at: a place of each.
    """

    devices: int
    node: Int[np.ndarray, " places"]
    edge: Int[np.ndarray, " edge_places"]
    node_at: Int[np.ndarray, " nodes"]
    edge_at: Int[np.ndarray, " edges"]


class _Links(NamedTuple):
    """The links of one graph, both directions: places of node and neighbour, weights, edge numbers."""

    own: np.ndarray
    neighbour: np.ndarray
    weight: np.ndarray
    edge: np.ndarray


def cut(network: Network, devices: int) -> tuple[Network, Blocks]:
    """The network as `devices` blocks see theirs, arrays laid one block after another, and where everything is."""
    nodes, tail, head = network.nodes, np.asarray(network.edges.tail), np.asarray(network.edges.head)
    size = -(-nodes // devices)
    order = _order(tail, head, nodes, devices)
    node = np.concatenate([order, np.repeat(order[-1:], devices * size - nodes)])
    at = np.argsort(order)
    ends = np.stack([at[tail], at[head]])
    halo, local = _halo(ends, node, devices)
    of_graphs = [_links(network, graph, at) for graph in range(network.graphs)]
    touching = [np.flatnonzero((ends // size == device).any(axis=0)) for device in range(devices)]
    length = max(map(len, touching))
    edge = np.concatenate([np.pad(edges, (0, length - len(edges))) for edges in touching])
    edge_at = np.zeros(len(tail), int)
    for device, edges in enumerate(touching):
        edge_at[edges] = device * length + np.arange(len(edges))
    failures = changed_along(network.failures, ("edges",), lambda leaf, at: np.take(np.asarray(leaf), edge, at))
    reached = np.asarray(halo.number)  # settings of nodes are read at the ends of links
    failures = changed_along(failures, ("nodes",), lambda leaf, at: np.take(np.asarray(leaf), reached, at))
    split = replace(
        network,
        tables=_tables(of_graphs, touching, local, network.kernel),
        edges=_edges(network.edges, ends, touching, local, length),
        shifts=None,
        matrix=None,
        kernel="table",
        halo=halo,
        failures=failures,
    )
    return split, Blocks(devices, node, edge, at, edge_at)


def _order(tail: np.ndarray, head: np.ndarray, nodes: int, devices: int) -> np.ndarray:
    """The nodes in an order whose blocks have few links between them: as they are numbered, or by Cuthill-McKee."""
    both = np.concatenate([tail, head]), np.concatenate([head, tail])
    graph = sparse.csr_array((np.ones(2 * len(tail), bool), both), shape=(nodes, nodes))
    reverse = csgraph.reverse_cuthill_mckee(graph, symmetric_mode=True)
    size = -(-nodes // devices)

    def crossing(order: np.ndarray) -> int:
        block = np.argsort(order) // size
        return int((block[tail] != block[head]).sum())

    return min(np.arange(nodes), np.asarray(reverse, int), key=crossing)


def _halo(ends: np.ndarray, node: np.ndarray, devices: int) -> tuple[Halo, np.ndarray]:
    """What is sent, and where a device finds each place: local [devices, places], -1 where it does not hear of it."""
    size = len(node) // devices
    block = ends // size
    local = np.full((devices, len(node)), -1)
    number, offsets, sent, begin = [list(node[d * size : (d + 1) * size]) for d in range(devices)], [], [], size
    for device in range(devices):
        local[device, device * size : (device + 1) * size] = np.arange(size)
    for offset in range(1, devices):
        needed = []
        for sender in range(devices):
            to = (sender + offset) % devices
            pairs = ((ends[i], (block[i] == sender) & (block[1 - i] == to)) for i in (0, 1))
            needed.append(np.unique(np.concatenate([places[crossing] for places, crossing in pairs])))
        rows = max(map(len, needed))
        if not rows:
            continue
        for sender, places in enumerate(needed):
            to = (sender + offset) % devices
            local[to, places] = begin + np.arange(len(places))
            padded = np.concatenate([places, np.full(rows - len(places), sender * size)])
            number[to].extend(node[padded])
            needed[sender] = padded - sender * size
        offsets.append(offset)
        sent.append(array_of(np.concatenate(needed), np.int32))
        begin += rows
    return Halo(tuple(offsets), devices, tuple(sent), array_of(np.concatenate(number), np.int32)), local


def _links(network: Network, graph: int, at: np.ndarray) -> _Links:
    """Sorted by the node's place."""
    tables = jax.tree.map(lambda leaf: leaf[graph], network.tables)
    there = np.flatnonzero(np.asarray(tables.weights) > 0)
    own = at[np.asarray(tables.own())[there]]
    there = there[np.argsort(own, kind="stable")]
    entries = (np.asarray(part)[there] for part in (tables.neighbours, tables.weights, tables.link))
    neighbour, weight, edge = entries
    return _Links(np.sort(own), at[neighbour], weight, edge)


def _tables(of_graphs: Sequence[_Links], touching: Sequence[np.ndarray], local: np.ndarray, kernel: str) -> Tables:
    size = local.shape[1] // len(touching)
    lists, edges = [], []
    for links in of_graphs:
        for device, edge in enumerate(touching):
            here = slice(*np.searchsorted(links.own, [device * size, (device + 1) * size]))
            neighbour = local[device, links.neighbour[here]]
            lists.append(LinkList(size, links.own[here] - device * size, neighbour, links.weight[here]))
            edges.append(np.searchsorted(edge, links.edge[here]))
    buckets = plan(np.stack([of_block.degree for of_block in lists]), kernel if kernel == "buckets" else "auto")
    filled = zip(*(fill(of, edge, buckets) for of, edge in zip(lists, edges, strict=True)), strict=True)
    neighbours, weights, link, node, row = (np.stack(part).reshape(len(of_graphs), -1) for part in filled)
    plain = len(buckets) == 1
    return Tables(
        neighbours=array_of(neighbours, np.int32),
        weights=array_of(weights, float_dtype()),
        link=array_of(link, np.int32),
        buckets=buckets,
        node=None if plain else array_of(node, np.int32),
        row=None if plain else array_of(row, np.int32),
    )


def _edges(edges: Edges, ends: np.ndarray, touching: Sequence[np.ndarray], local: np.ndarray, length: int) -> Edges:
    def padded(parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.pad(part, ((0, 0), (0, length - part.shape[1]))) for part in parts], axis=1)

    of_graphs = np.asarray(edges.weights)
    found = [local[device][ends[:, edge]] for device, edge in enumerate(touching)]
    tail, head = padded(found)
    return Edges(
        tail=array_of(tail, np.int32),
        head=array_of(head, np.int32),
        weights=as_jax(padded([of_graphs[:, edge] for edge in touching])),
        number=array_of(padded([edge[None] for edge in touching])[0], np.uint32),
    )
