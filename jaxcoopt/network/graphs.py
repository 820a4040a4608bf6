"""What is read from networkx graphs: the order of the nodes, the edges as numbers, and whether they connect."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Int
from scipy import sparse

from jaxcoopt.arrays import plain, shown
from jaxcoopt.errors import unknown_name


def listed(graphs: Any) -> list[nx.Graph]:
    """The graphs as a list, each checked: undirected, all over the same nodes, at least two of them."""
    if not isinstance(graphs, Iterable):
        raise TypeError(f"graphs: expected a networkx graph or a list of them, got {type(graphs).__name__}")
    try:
        graphs = [graphs] if isinstance(graphs, nx.Graph) else list(graphs)
    except TypeError as error:  # an array without axes, or sparse
        raise TypeError(f"graphs: expected a networkx graph or a list of them, got {shown(graphs)}") from error
    if not graphs:
        raise ValueError("graphs: got none; give at least one networkx graph")
    for i, graph in enumerate(graphs):
        if not isinstance(graph, nx.Graph):
            raise TypeError(f"graphs[{i}]: expected a networkx graph, got {type(graph).__name__}")
        if graph.is_directed():
            raise ValueError(f"graphs[{i}] is directed; links go both ways here: use graph.to_undirected()")
        if set(graph) != set(graphs[0]):
            raise ValueError(
                f"graphs[{i}] has {len(graph)} nodes, graphs[0] has {len(graphs[0])}, or their labels differ; "
                "all graphs must have the same nodes"
            )
    if len(graphs[0]) < 2:
        raise ValueError(f"graphs: a network needs at least 2 nodes, got {len(graphs[0])}")
    # Parallel edges become one, which has the attributes of all of them.
    return [nx.Graph(graph) if graph.is_multigraph() else graph for graph in graphs]


def node_order(graphs: Sequence[nx.Graph]) -> list[Hashable]:
    """The labels of nodes 0, 1, ...: the numbers themselves where they are 0 .. n-1, else as in the first graph."""
    labels = list(graphs[0])
    return list(range(len(labels))) if set(labels) == set(range(len(labels))) else labels


def edge_ends(graph: nx.Graph, order: list[Hashable]) -> Int[np.ndarray, "edges 2"]:
    """The two node numbers of every edge of `graph.edges`, self-loops among them."""
    index = {label: i for i, label in enumerate(order)}
    ends = np.fromiter((index[end] for edge in graph.edges for end in edge), np.int64)
    return ends.reshape(-1, 2)


def adjacency(ends: Int[np.ndarray, "edges 2"], nodes: int) -> Any:
    """1 at both directions of every edge, scipy.sparse [nodes, nodes], self-loops dropped."""
    i, j = ends[ends[:, 0] != ends[:, 1]].T
    rows, columns = np.concatenate([i, j]), np.concatenate([j, i])
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes))


def check_connected(adjacencies: Sequence[Any], order: list[Hashable]) -> None:
    """Raise ValueError, naming the smallest part, where the union of the graphs falls apart."""
    union = sum(adjacencies[1:], start=adjacencies[0])
    parts, part = sparse.csgraph.connected_components(union, directed=False)
    if parts > 1:
        smallest = np.flatnonzero(part == np.bincount(part).argmin())
        raise ValueError(
            f"graphs: their union is not connected but falls into {parts} parts, the smallest with nodes "
            f"{sorted((order[int(i)] for i in smallest), key=str)[:5]}; "
            "add edges (or graphs to the switching sequence) that join them"
        )


def switching_sequence(switching: Any, graphs: int) -> np.ndarray | None:
    """The graph indices of "sequence" switching, checked; None for the kinds that have a name."""
    if isinstance(switching, str):
        if switching not in ("cycle", "random"):
            raise unknown_name("switching", switching, ("cycle", "random"))
        return None
    sequence = np.asarray(plain("switching", switching))
    if sequence.ndim != 1 or not len(sequence) or not np.issubdtype(sequence.dtype, np.integer):
        raise ValueError(
            f"switching: expected 'cycle', 'random' or a sequence of graph indices, got {shown(switching)}"
        )
    if sequence.min() < 0 or sequence.max() >= graphs:
        raise ValueError(
            f"switching: graph indices must lie in 0 .. {graphs - 1}, got {sequence.min()} to {sequence.max()}"
        )
    return sequence
