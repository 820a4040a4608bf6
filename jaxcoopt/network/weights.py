"""Link weights of one graph: non-negative, one for each edge; symmetric, or balanced where links are directed."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from jaxcoopt.arrays import plain
from jaxcoopt.errors import numbers, unknown_name
from jaxcoopt.network.graphs import adjacency

RULES = ("metropolis", "max_degree")


class LinkList(NamedTuple):
    """The links of one graph, by node and then by neighbour: w_ij with i `own`, who hears j, `neighbour`.

    An undirected edge is two links, one each way, with the same weight.
    """

    nodes: int
    own: Int[np.ndarray, " links"]
    neighbour: Int[np.ndarray, " links"]
    weight: Float[np.ndarray, " links"]

    @property
    def degree(self) -> Int[np.ndarray, " nodes"]:
        """How many neighbours each node hears."""
        return np.bincount(self.own, minlength=self.nodes)

    def transposed(self) -> "LinkList":
        """The same links by who is heard: w_ij with j `own`, i `neighbour`."""
        order = np.lexsort((self.own, self.neighbour))
        return LinkList(self.nodes, self.neighbour[order], self.own[order], self.weight[order])


def weights_of(weights: object, graphs: int) -> list[tuple[str, object]]:
    """One weight rule or array for each graph, with its name in errors."""
    mixed = isinstance(weights, (list, tuple)) and any(isinstance(w, str) or _axes(w) == 2 for w in weights)
    if isinstance(weights, str) or (not mixed and _axes(weights) in (0, 2)):
        return [("weights", weights)] * graphs
    each = weights if isinstance(weights, list | tuple) else plain("weights", weights)
    if len(each) != graphs:
        raise ValueError(f"weights: got {len(each)} for {graphs} graphs; give one for each, or one for all")
    return [(f"weights[{i}]", weight) for i, weight in enumerate(each)]


def _axes(weights: object) -> int:
    """How many axes an array of weights has."""
    return 2 if sparse.issparse(weights) else np.ndim(plain("weights", weights))


def link_weights(
    graph: nx.Graph,
    ends: Int[np.ndarray, "edges 2"],
    weights: object,
    where: str = "weights",
    order: Sequence[Hashable] | None = None,
) -> LinkList:
    """w_ij of every edge of `graph`, in float64.

    ends: the node numbers of `graph.edges`; order: the labels of nodes 0, 1, ..., for errors. weights: "metropolis"
    1 / (1 + max(d_i, d_j)); "max_degree" 1 / (1 + max d); a positive number, the same for all edges; the name of an
    edge attribute; or a [nodes, nodes] array, dense or scipy.sparse, symmetric, of a directed graph balanced.
    """
    directed = graph.is_directed()
    links = adjacency(ends, len(graph), directed)
    if isinstance(weights, str) and weights in RULES:
        if directed:
            raise ValueError(
                f"{where}: {weights!r} is for undirected graphs; give weights of the directed links that are balanced "
                "(the same sum into and out of every node): a number, an edge attribute's name, or an array w[i, j] of "
                "the links j -> i"
            )
        return _by_degree(_listed(links, len(graph)), weights)
    if isinstance(weights, str):
        given = _from_attribute(graph, ends, weights, where)
    elif sparse.issparse(weights):
        entries = sparse.coo_array(weights)
        given = sparse.coo_array((numbers(where, entries.data), entries.coords), shape=entries.shape)
    else:
        array = numbers(where, weights)
        given = sparse.coo_array(links * float(array) if array.ndim == 0 else array)
    return _checked(given, links, where, range(len(graph)) if order is None else order, directed)


def _listed(matrix: sparse.csr_array, nodes: int) -> LinkList:
    """The entries of a [nodes, nodes] scipy.sparse array."""
    pairs = matrix.tocoo()
    order = np.lexsort((pairs.col, pairs.row))
    own, neighbour = pairs.row[order].astype(np.int64), pairs.col[order].astype(np.int64)
    return LinkList(nodes, own, neighbour, pairs.data[order])


def _by_degree(links: LinkList, rule: str) -> LinkList:
    degree = links.degree
    larger = np.maximum(degree[links.own], degree[links.neighbour]) if rule == "metropolis" else degree.max()
    return links._replace(weight=links.weight / (1.0 + larger))


def _from_attribute(graph: nx.Graph, ends: np.ndarray, name: str, where: str) -> sparse.coo_array:
    proper = ends[:, 0] != ends[:, 1]
    edges = [edge for edge, keep in zip(graph.edges(data=True), proper, strict=True) if keep]
    missing = next((edge[:2] for edge in edges if name not in edge[2]), None)
    if missing is not None and not any(name in data for *_, data in edges):
        known = [*RULES, *sorted({key for *_, data in edges for key in data})]
        raise unknown_name(where, name, known)
    if missing is not None:
        raise ValueError(f"{where}: edge {missing} has no attribute {name!r}; every edge needs a weight")
    values = np.array([float(numbers(where, data[name])) for *_, data in edges])
    tail, head = ends[proper].T
    if not graph.is_directed():
        values, tail, head = np.tile(values, 2), np.concatenate([tail, head]), np.concatenate([head, tail])
    return sparse.coo_array((values, (head, tail)), shape=(len(graph), len(graph)))


def _checked(
    given: sparse.coo_array, links: sparse.csr_array, where: str, order: Sequence[Hashable], directed: bool
) -> LinkList:
    """The links of `given`, after checking it against the graph's own; both scipy.sparse, [nodes, nodes]."""
    if given.shape != links.shape:
        raise ValueError(f"{where}: expected an array [nodes, nodes] = {links.shape}, got {given.shape}")
    apart = given.row != given.col  # a node does not hear itself
    kept = sparse.csr_array((given.data[apart], (given.row[apart], given.col[apart])), shape=given.shape)
    kept.eliminate_zeros()
    if not np.isfinite(kept.data).all():
        raise ValueError(f"{where}: holds NaN or infinity; every weight must be a finite number")
    if not directed:
        _refuse(kept != kept.T, kept, order, f"{where}: asymmetric, so the budget would leak; make w_ij = w_ji")
    _refuse(kept < 0, kept, order, f"{where}: negative; every weight must be above 0")
    unlike = links - abs(kept).sign()
    _refuse(unlike > 0, kept, order, f"{where}: missing (0) on an edge; give every edge a weight above 0")
    _refuse(unlike < 0, kept, order, f"{where}: given where the graph has no edge; add the edge or set it to 0")
    if directed:
        _refuse_unbalanced(kept, where, order)
    return _listed(kept, len(order))


def _refuse_unbalanced(given: sparse.csr_array, where: str, order: Sequence[Hashable]) -> None:
    """Raise ValueError for weights that do not sum to the same into and out of every node, to 1e-9 of the largest."""
    into, out = np.asarray(given.sum(axis=1)).ravel(), np.asarray(given.sum(axis=0)).ravel()
    apart = np.abs(into - out)
    if apart.max() > 1e-9 * max(into.max(), out.max()):
        node = int(apart.argmax())
        raise ValueError(
            f"{where}: not balanced, so the optimum would be missed: at node {order[node]!r} the links in have "
            f"{into[node]:g} in all, the links out {out[node]:g}; make the two the same at every node"
        )


def _refuse(bad: sparse.csr_array, given: sparse.csr_array, order: Sequence[Hashable], message: str) -> None:
    rows, columns = bad.nonzero()
    if len(rows):
        first = np.lexsort((columns, rows))[0]
        i, j = int(rows[first]), int(columns[first])
        nodes = f"{order[i]!r}, {order[j]!r}"
        raise ValueError(f"{message} (first at nodes {nodes}: w_ij = {given[i, j]:g}, w_ji = {given[j, i]:g})")


def matrices(links: Sequence[LinkList]) -> Float[np.ndarray, "graphs nodes nodes"]:
    """The weights as dense matrices."""
    dense = np.zeros((len(links), links[0].nodes, links[0].nodes))
    for matrix, of_graph in zip(dense, links, strict=True):
        matrix[of_graph.own, of_graph.neighbour] = of_graph.weight
    return dense
