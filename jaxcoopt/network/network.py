"""A changing network: which graph an iteration sees, and which of its links fail."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.errors import finite, unknown_name
from jaxcoopt.network.links import Links
from jaxcoopt.network.weights import dense_weights
from jaxcoopt.pytrees import pytree


@pytree(static=("edges", "switching"))
@dataclass(frozen=True)
class Network:
    """A finite set of graphs over the same nodes, switched from iteration to iteration; make it with `from_graphs`.

    neighbours, weights, link: [graphs, nodes, slots], padded with the node itself at weight 0; `link` numbers the
    undirected edges of the union, so that both ends of one see the same failure. links_sent: [graphs], directed links a
    node has in the mean. edges: how many the union has. failure_rate: scalar or [runs], None where links never fail.
    sequence: [length], graph indices, or None.
    """

    neighbours: Int[Array, "graphs nodes slots"]
    weights: Float[Array, "graphs nodes slots"]
    link: Int[Array, "graphs nodes slots"]
    links_sent: Float[Array, " graphs"]
    edges: int
    failure_rate: Any = None
    sequence: Any = None
    switching: Literal["cycle", "random", "sequence"] = "cycle"

    @property
    def nodes(self) -> int:
        """How many nodes it connects."""
        return self.neighbours.shape[1]

    @property
    def graphs(self) -> int:
        """How many graphs it switches between."""
        return self.neighbours.shape[0]

    @classmethod
    def from_graphs(
        cls,
        graphs: nx.Graph | Iterable[nx.Graph],
        weights: Any = "metropolis",
        failure_rate: Any = 0.0,
        switching: str | Sequence[int] | Int[np.ndarray, " length"] = "cycle",
    ) -> "Network":
        """A network from undirected networkx graphs over the same nodes.

        weights: "metropolis", "max_degree", a number, an edge attribute's name, or an array [nodes, nodes] (one for
        each graph, or one for all). failure_rate: the chance that a link, both directions together, is down at an
        iteration. switching: "cycle" (iteration k uses graph k mod the number of graphs), "random" (uniform, the same
        for all runs) or a sequence of graph indices, repeated. Nodes are numbered by their labels when these are
        0 .. n-1, else in the order of the first graph. Self-loops are dropped. Raises ValueError where the union of
        the graphs in use is not connected or a weight is asymmetric, negative or missing.
        """
        if not isinstance(graphs, Iterable):
            raise TypeError(f"graphs: expected a networkx graph or a list of them, got {type(graphs).__name__}")
        graphs = [graphs] if isinstance(graphs, nx.Graph) else list(graphs)
        order = _node_order(graphs)
        sequence = _sequence(switching, len(graphs))
        in_use = graphs if sequence is None else [graphs[i] for i in sorted(set(sequence.tolist()))]
        _check_connected(in_use)
        rate = finite("failure_rate", failure_rate)
        if rate.ndim > 1 or (rate < 0).any() or (rate >= 1).any():
            raise ValueError(f"failure_rate: expected a chance in [0, 1), scalar or [runs], got {failure_rate!r}")
        dense = [
            dense_weights(_simple(graph), order, weight, where)
            for graph, (where, weight) in zip(graphs, _weights_of(weights, len(graphs)), strict=True)
        ]
        neighbours, table, link, edges = _tables(np.stack(dense))
        return cls(
            neighbours=jnp.asarray(neighbours, jnp.int32),
            weights=jnp.asarray(table, float_dtype()),
            link=jnp.asarray(link, jnp.int32),
            links_sent=jnp.asarray((table > 0).sum(axis=2).mean(axis=1), float_dtype()),
            failure_rate=rate if rate.any() else None,
            edges=edges,
            sequence=None if sequence is None else jnp.asarray(sequence, jnp.int32),
            switching=switching if isinstance(switching, str) else "sequence",  # pyright: ignore[reportArgumentType]
        )

    def in_precision(self, dtype: Any) -> "Network":
        """The same network with its numbers in another float type."""
        rate = None if self.failure_rate is None else jnp.asarray(self.failure_rate, dtype)
        weights, links_sent = jnp.asarray(self.weights, dtype), jnp.asarray(self.links_sent, dtype)
        return replace(self, weights=weights, links_sent=links_sent, failure_rate=rate)

    def graph_at(self, key: Array, iteration: Int[Array, ""]) -> Int[Array, ""]:
        """The index of the graph that an iteration sees."""
        if self.switching == "cycle":
            return iteration % self.graphs
        if self.switching == "random":
            return jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, iteration), 0), (), 0, self.graphs)
        return self.sequence[iteration % self.sequence.shape[0]]

    def links(self, key: Array, iteration: Int[Array, ""], runs: Int[Array, " runs"]) -> Links:
        """The links of an iteration, with failures drawn for each of the runs (numbered by `runs`)."""
        graph = self.graph_at(key, iteration)
        neighbours, weights = self.neighbours[graph], self.weights[graph]
        if self.failure_rate is None:
            return Links(neighbours, weights)
        up = self._up(jax.random.fold_in(key, iteration), runs)[self.link[graph]]
        return Links(neighbours, jnp.where(up, weights[..., None], 0))

    def _up(self, key: Array, runs: Int[Array, " runs"]) -> Bool[Array, "edges runs"]:
        """Which edges of the union hold; a run's draw does not depend on the runs beside it."""
        key = jax.random.fold_in(key, 1)  # 0 draws the graph

        def draw(run: Array) -> Array:
            return jax.random.uniform(jax.random.fold_in(key, run), (self.edges,), jnp.float32)

        rate = jnp.atleast_1d(jnp.asarray(self.failure_rate, jnp.float32))[None]
        return jax.vmap(draw, out_axes=-1)(runs) >= rate


def _node_order(graphs: list[Any]) -> list[Hashable]:
    """The labels of nodes 0, 1, ... after checking that all graphs have the same ones."""
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
    labels = list(graphs[0])
    return list(range(len(labels))) if set(labels) == set(range(len(labels))) else labels


def _simple(graph: nx.Graph) -> nx.Graph:
    """Without self-loops and parallel edges."""
    simple = nx.Graph(graph)
    simple.remove_edges_from(list(nx.selfloop_edges(simple)))
    return simple


def _sequence(switching: Any, graphs: int) -> np.ndarray | None:
    if isinstance(switching, str):
        if switching not in ("cycle", "random"):
            raise unknown_name("switching", switching, ("cycle", "random"))
        return None
    sequence = np.asarray(switching)
    if sequence.ndim != 1 or not len(sequence) or not np.issubdtype(sequence.dtype, np.integer):
        raise ValueError(f"switching: expected 'cycle', 'random' or a sequence of graph indices, got {switching!r}")
    if sequence.min() < 0 or sequence.max() >= graphs:
        raise ValueError(
            f"switching: graph indices must lie in 0 .. {graphs - 1}, got {sequence.min()} to {sequence.max()}"
        )
    return sequence


def _check_connected(graphs: list[nx.Graph]) -> None:
    union = nx.compose_all([nx.Graph(graph) for graph in graphs])
    parts = sorted(nx.connected_components(union), key=len)
    if len(parts) > 1:
        raise ValueError(
            f"graphs: their union is not connected but falls into {len(parts)} parts, the smallest with nodes "
            f"{sorted(parts[0], key=str)[:5]}; add edges (or graphs to the switching sequence) that join them"
        )


def _weights_of(weights: Any, graphs: int) -> list[tuple[str, Any]]:
    """One weight rule or array for each graph, with its name in errors."""
    listed = isinstance(weights, (list, tuple)) and any(isinstance(w, str) or np.ndim(w) == 2 for w in weights)
    if isinstance(weights, str) or (not listed and np.ndim(weights) in (0, 2)):
        return [("weights", weights)] * graphs
    if len(weights) != graphs:
        raise ValueError(f"weights: got {len(weights)} for {graphs} graphs; give one for each, or one for all")
    return [(f"weights[{i}]", weight) for i, weight in enumerate(weights)]


def _tables(dense: Float[np.ndarray, "graphs nodes nodes"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Neighbour, weight and edge-number tables [graphs, nodes, slots], and how many edges the union has."""
    graphs, nodes, _ = dense.shape
    union = np.triu((dense > 0).any(axis=0))
    edge = np.zeros((nodes, nodes), int)
    edge[union] = np.arange(union.sum())
    edge = edge + edge.T
    slots = max(1, int((dense > 0).sum(axis=2).max()))
    neighbours = np.tile(np.arange(nodes)[:, None], (graphs, 1, slots))
    weights, link = np.zeros(neighbours.shape), np.zeros(neighbours.shape, int)
    for g, i in np.ndindex(graphs, nodes):
        near = np.flatnonzero(dense[g, i])
        neighbours[g, i, : len(near)] = near
        weights[g, i, : len(near)] = dense[g, i, near]
        link[g, i, : len(near)] = edge[i, near]
    return neighbours, weights, link, int(union.sum())
