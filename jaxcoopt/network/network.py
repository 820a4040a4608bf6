"""A changing network: which graph an iteration sees, and which of its links fail."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxcoopt.arrays import float_dtype, plain
from jaxcoopt.errors import finite, positive, traced
from jaxcoopt.host import array_of
from jaxcoopt.network import kernels
from jaxcoopt.network.buckets import plan
from jaxcoopt.network.check_failures import ONE_WAY, check_failures, check_one, check_step, failure_chance
from jaxcoopt.network.edges import Edges, build_edges
from jaxcoopt.network.failures import FAILURES, Failures, Independent
from jaxcoopt.network.graphs import (
    adjacency,
    check_connected,
    edge_ends,
    listed,
    node_labels,
    node_order,
    switching_sequence,
)
from jaxcoopt.network.halo import Halo
from jaxcoopt.network.kernels import Kernel
from jaxcoopt.network.link_draw import LinkDraw
from jaxcoopt.network.links import Links
from jaxcoopt.network.shifts import Shifts, recognised
from jaxcoopt.network.tables import Tables, both_ways, build_tables, of_listener, of_sender
from jaxcoopt.network.weights import LinkList, link_weights, matrices, weights_of
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting
from jaxcoopt.shown import short

SHOWN = 6  # names of nodes
SWITCHED = {"cycle": "in turn", "random": "at random", "sequence": "in a given sequence"}


@pytree(static=("switching", "kernel", "names"))
@dataclass(frozen=True)
class Network:
    """A finite set of graphs over the same nodes, switched from iteration to iteration; make it with `from_graphs`.

    What users ask it for: `nodes`, `graphs`, `labels`, `directed`, `failure_rate`, `failures`, and `with_weights`. The
    other fields are for the compiled loop.

    tables: neighbours, weights and edge numbers of each graph. links_sent: [graphs], directed links a node has in the
    mean. edges: the edges of the union. failure_rate: scalar or [runs]; failures: what else links fail by; None where
    links do not fail so. sequence: [length], graph indices, or None. shifts, matrix: the weights by offset, and as
    [graphs, nodes, nodes], where a kernel may use them. kernel: how links that do not fail are mixed. halo: see
    `jaxcoopt.network.blocks`. names: see `labels`; None where these are 0 .. nodes - 1. outward: where links are
    directed who hears each node, while `tables` say whom it hears; None where all links go both ways.
    """

    tables: Tables
    links_sent: Float[Array, " graphs"]
    edges: Edges
    failure_rate: Scalar = setting(None, least=0, below=1, doc="Chance that a link is down in an iteration.")
    sequence: Any = setting(None, axes=("length",), doc="Numbers of graphs.")
    switching: Literal["cycle", "random", "sequence"] = "cycle"
    shifts: Shifts | None = None
    matrix: Float[Array, "graphs nodes nodes"] | None = None
    kernel: Kernel = "auto"
    halo: Halo | None = None
    names: tuple[Hashable, ...] | None = None
    outward: Tables | None = None
    failures: Failures | None = setting(None, part=Failures, example=FAILURES, doc="Which links are down when.")

    @property
    def fails(self) -> bool:
        """Whether links may fail."""
        return self.failing is not None

    @property
    def failing(self) -> Failures | None:
        """What links fail by, None where they never fail."""
        return self.failures if self.failure_rate is None else Independent(self.failure_rate)

    @property
    def directed(self) -> bool:
        """Whether links go one way."""
        return self.outward is not None

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """What nodes 0, 1, ... are called: row i of an allocation is that of labels[i].

        A node's attribute "name", or else "label", as files give it; without either the graph's own label.
        """
        return tuple(range(self.nodes)) if self.names is None else self.names

    @property
    def nodes(self) -> int:
        """How many nodes it connects."""
        return self.tables.nodes

    @property
    def graphs(self) -> int:
        """How many graphs it switches between."""
        return self.links_sent.shape[0]

    @property
    def weights(self) -> Float[Array, "graphs entries"]:
        """The link weights as the tables hold them, both directions and padding."""
        return self.tables.weights

    @classmethod
    def from_graphs(
        cls,
        graphs: nx.Graph | Iterable[nx.Graph],
        weights: Any = "metropolis",
        failure_rate: Any = 0.0,
        switching: str | Sequence[int] | Int[np.ndarray, " length"] = "cycle",
        kernel: str = "auto",
        *,
        failures: Failures | None = None,
    ) -> "Network":
        """A network from networkx graphs over the same nodes; where one is directed (u -> v: v hears u) all are.

        weights: "metropolis", "max_degree", a number, an edge attribute's name, or an array [nodes, nodes], dense or
        scipy.sparse (one for each graph, or one for all); of directed graphs a number, an attribute or an array w[i, j]
        of the links j -> i, which must be balanced: the same sum into and out of every node. failure_rate: the chance
        that a link, both directions together, is down at an iteration, whatever came before; or failures: another of
        `jaxcoopt.failures`. Directed links do not fail. switching: "cycle" (iteration k uses graph k mod the number of
        graphs), "random" (uniform, the same for all runs) or a sequence of graph indices, repeated. Self-loops are
        dropped.

        Node i, row i of every array, is the i-th label: labels that are whole numbers, or texts of them, count in
        ascending order, all others in the order of the first graph; `labels` has them. Several graphs are matched by
        their labels, in whatever order each has them; where nodes have a "name" (or "label") that says otherwise, as in
        files that number their nodes, by that.

        kernel: how values are mixed. "table" gathers neighbour by neighbour; "buckets" does so apart for nodes of
        unlike degree; "dense" multiplies by the matrix of weights; "shifts" is for rings, circulant graphs and tori
        with the nodes in their natural order; "auto" picks the fastest by a measured rule. The result differs by
        rounding only. Links that fail, or that quantize differences, and allocation flows always go by tables.

        Raises ValueError where the graphs' nodes differ, the union of the graphs in use is not (strongly) connected, a
        weight is asymmetric, not balanced, negative or missing, the kernel does not apply, or failures do not fit.
        """
        graphs = listed(graphs)
        order, directed = node_order(graphs), graphs[0].is_directed()
        sequence = switching_sequence(switching, len(graphs))
        ends = [edge_ends(graph, order) for graph in graphs]
        in_use = range(len(graphs)) if sequence is None else sorted(set(sequence.tolist()))
        check_connected([adjacency(ends[i], len(order), directed) for i in in_use], order, directed)
        rate = failure_chance("failure_rate", failure_rate)
        rate = rate if rate.any() else None
        check_one("failures", rate, failures)
        fails = rate is not None or failures is not None
        if directed and fails:
            raise ValueError(f"{'failures' if rate is None else 'failure_rate'}: {ONE_WAY}")
        links = [
            link_weights(graph, end, weight, where, order)
            for graph, end, (where, weight) in zip(graphs, ends, weights_of(weights, len(graphs)), strict=True)
        ]
        if directed:
            kernels.check(kernel, False, directed)
            tables = _tables(links, kernel, of_listener)
            outward = _tables([of_graph.transposed() for of_graph in links], kernel, of_sender)
            shifts = matrix = None
        else:
            (tables, shifts, matrix), outward = _kept(links, kernel, fails), None
        labels, edges = node_labels(graphs, order), build_edges(links, directed)
        if failures is not None:
            failures = check_failures("failures", failures, {"edges": edges.count, "nodes": len(order)})
        return cls(
            tables=tables,
            links_sent=array_of([len(of_graph.own) / len(order) for of_graph in links], float_dtype()),
            edges=edges,
            failure_rate=rate,
            sequence=None if sequence is None else array_of(sequence, np.int32),
            switching=switching if isinstance(switching, str) else "sequence",  # pyright: ignore[reportArgumentType]
            shifts=shifts,
            matrix=matrix,
            kernel=kernel,  # pyright: ignore[reportArgumentType]
            names=None if labels == list(range(len(labels))) else tuple(labels),
            outward=outward,
            failures=failures,
        )

    def _about(self) -> list[str]:
        """For `repr`."""
        graphs = "one graph" if self.graphs == 1 else f"{self.graphs} graphs {SWITCHED[self.switching]}"
        by = f"by {short(self.failures)}" if self.failure_rate is None else f"with chance {short(self.failure_rate)}"
        fails = f"fail {by}" if self.fails else "never fail"
        kind = "directed links" if self.directed else "links"
        first = f"Network: {self.nodes:,} nodes, {graphs}, {self.edges.count:,} {kind} in all, which {fails}"
        if self.names is None:
            return [first]
        few = ", ".join(f"{label!r:.30}" for label in self.names[:SHOWN])
        return [first, f"  nodes: {few}{', ...' * (self.nodes > SHOWN)}"]

    def with_weights(self, weights: Any) -> "Network":
        """The same links with other weights, above 0, [graphs, edges] in the order of `edges`; may be traced.

        Raises ValueError for another shape, and where links are directed.
        """
        if self.directed:
            raise ValueError("weights: those of directed links must stay balanced; make a new network with from_graphs")
        given, weights = weights, array_of(plain("weights", weights), self.edges.weights.dtype)
        if weights.shape != self.edges.weights.shape:
            raise ValueError(f"weights: expected [graphs, edges] = {self.edges.weights.shape}, got {weights.shape}")
        if not traced(given, self):
            positive("weights", np.where(np.asarray(self.edges.weights) > 0, finite("weights", given), 1))
        of_entries = jax.vmap(lambda of_graph, link: of_graph[link])(weights, self.tables.link)
        entries = jnp.where(self.tables.weights > 0, of_entries, 0)
        weights = jnp.where(self.edges.weights > 0, weights, 0)
        tables, edges = replace(self.tables, weights=entries), replace(self.edges, weights=weights)
        return replace(self, tables=tables, edges=edges, shifts=None, matrix=None, kernel="table")

    def in_precision(self, dtype: Any) -> "Network":
        """The same network with its numbers in another float type."""

        def cast(number: Any) -> Any:
            as_it_is = isinstance(number, jax.Array) and number.dtype == dtype
            floating = jnp.issubdtype(jnp.result_type(number), jnp.floating)
            return array_of(number, dtype) if floating and not as_it_is else number

        settings = jax.tree.map(lambda setting: array_of(setting, dtype), self.failures)
        return replace(jax.tree.map(cast, self), failures=settings)

    def graph_at(self, key: Array, iteration: Int[Array, ""]) -> Int[Array, ""]:
        """The index of the graph that an iteration sees."""
        if self.switching == "cycle":
            return iteration % self.graphs
        if self.switching == "random":
            return jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, iteration), 0), (), 0, self.graphs)
        return self.sequence[iteration % self.sequence.shape[0]]

    def seen(self, iteration: Int[Array, ""]) -> Int[Array, " graphs"] | None:
        """How often each graph was seen before an iteration; None where the graphs are drawn at random."""
        if self.switching == "random":
            return None
        order = jnp.arange(self.graphs) if self.switching == "cycle" else self.sequence
        rounds, rest = iteration // len(order), iteration % len(order)
        begun = jnp.arange(len(order), dtype=iteration.dtype) < rest
        return jnp.zeros(self.graphs, iteration.dtype).at[order].add(rounds + begun.astype(iteration.dtype))

    def memory(self, key: Array, runs: Int[Array, " runs"]) -> Any:
        """What the failures remember before iteration 0, see `Failures.init`; None where that is nothing.

        Raises TypeError where what the failures give is no such state, or no links.
        """
        if self.failing is None:
            return None
        draw = self._draw(key, jnp.asarray(0, jnp.int32), runs)
        state = self.failing.init(draw)
        check_step(self.failing, state, draw)
        return state

    def links(self, key: Array, iteration: Int[Array, ""], runs: Int[Array, " runs"]) -> Links:
        """The links of an iteration where failures remember nothing; runs: the numbers by which these draw."""
        return self.next_links(None, key, iteration, runs)[0]

    def next_links(
        self, memory: PyTree, key: Array, iteration: Int[Array, ""], runs: Int[Array, " runs"]
    ) -> tuple[Links, Any]:
        """The links of an iteration, by what the failures remember of those before, and what they remember after it."""
        kept = self.tables, self.edges.weights, self.shifts, self.matrix, self.outward
        if self.graphs == 1:  # nothing to look up, and no copy
            tables, weights, shifts, matrix, outward = jax.tree.map(lambda of_graphs: of_graphs.squeeze(0), kept)
        else:
            graph = self.graph_at(key, iteration)
            tables, weights, shifts, matrix, outward = jax.tree.map(lambda of_graphs: of_graphs[graph], kept)
        up = None
        if self.failing is not None:
            up, memory = self.failing.step(memory, self._draw(key, iteration, runs))
        edges = replace(self.edges, weights=weights)
        return Links(tables, edges, up, shifts, matrix, self.kernel, self.halo, outward), memory

    def _draw(self, key: Array, iteration: Int[Array, ""], runs: Int[Array, " runs"]) -> LinkDraw:
        key = jax.random.fold_in(jax.random.fold_in(key, iteration), 1)  # 0 draws the graph
        return LinkDraw(key, iteration, runs, self.edges.numbers, self.edges, self.halo)


def _tables(links: list[LinkList], kernel: str, name: Callable[[LinkList], np.ndarray]) -> Tables:
    buckets = plan(np.stack([of_graph.degree for of_graph in links]), kernel)
    kernels.check_size(kernel, len(links) * sum(rows * slots for rows, slots in buckets))
    return build_tables(links, buckets, name)


def _kept(
    links: list[LinkList], kernel: str, fails: bool
) -> tuple[Tables, Shifts | None, Float[Array, "graphs nodes nodes"] | None]:
    """The tables, and the forms of the weights that the kernel may use beside them."""
    kernels.check(kernel, fails, directed=False)
    nodes, tables = links[0].nodes, _tables(links, kernel, both_ways)
    entries = sum(rows * slots for rows, slots in tables.buckets)
    shifts = matrix = None
    if not fails and kernels.may_shift(kernel):
        shifts = recognised(links)
        if kernel == "shifts" and shifts is None:
            raise kernels.no_shifts()
    if not fails and kernels.keeps_matrix(kernel, nodes, entries):
        kernels.check_size(kernel, len(links) * nodes**2)
        matrix = array_of(matrices(links), float_dtype())
    return tables, shifts, matrix
