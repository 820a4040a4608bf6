"""What is read from networkx graphs: the order of the nodes, the edges as numbers, and whether they connect."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import networkx as nx
import numpy as np
from jaxtyping import Int
from scipy import sparse

from jaxcoopt.arrays import plain, shown
from jaxcoopt.errors import unknown_name


def listed(graphs: nx.Graph | Iterable[nx.Graph]) -> list[nx.Graph]:
    """The graphs as a list, each checked: all over the same nodes, at least two of them; all directed if any is."""
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
    if len(graphs[0]) < 2:
        raise ValueError(f"graphs: a network needs at least 2 nodes, got {len(graphs[0])}")
    graphs = _by_name(graphs)
    for i, graph in enumerate(graphs):
        _refuse_other_nodes(i, graph, graphs[0])
    if any(graph.is_directed() for graph in graphs):
        graphs = [graph if graph.is_directed() else graph.to_directed() for graph in graphs]
    # Parallel edges become one, which has the attributes of all of them.
    plain = nx.DiGraph if graphs[0].is_directed() else nx.Graph
    return [plain(graph) if graph.is_multigraph() else graph for graph in graphs]


def _refuse_other_nodes(i: int, graph: nx.Graph, first: nx.Graph) -> None:
    """Raise ValueError where a graph's nodes are not those of the first, saying which differ."""
    lacks, more = [node for node in first if node not in graph], [node for node in graph if node not in first]
    if not lacks and not more:
        return
    parts = [
        f"{word} {len(nodes)} ({', '.join(f'{node!r:.40}' for node in nodes[:5])}{', ...' * (len(nodes) > 5)})"
        for word, nodes in (("lacks", lacks), ("adds", more))
        if nodes
    ]
    alike = {str(node) for node in lacks} & {str(node) for node in more}
    advice = "write them alike: a number and a text are two labels" if alike else "add nodes without links, or rename"
    raise ValueError(
        f"graphs[{i}]: all graphs must have the same nodes; of those of graphs[0] it {' and '.join(parts)}; {advice}"
    )


def _by_name(graphs: list[nx.Graph]) -> list[nx.Graph]:
    """The graphs with the same node under the same label in all of them.

    Files number their nodes as they like, and name them in an attribute: where such names say that a label means
    another node than in the first graph, the names count.
    """
    names = [_attributes(graph) for graph in graphs]
    if any(len(set(each.values())) < len(graph) for each, graph in zip(names, graphs, strict=True)):
        return graphs  # some have no names, or share one
    label_of = {name: label for label, name in names[0].items()}
    if all(set(each.values()) == set(label_of) for each in names):
        return [
            graphs[0],
            *(_relabelled(graph, own, label_of) for graph, own in zip(graphs[1:], names[1:], strict=True)),
        ]
    for i, own in enumerate(names):
        for label, name in own.items():
            if names[0].get(label, name) != name:
                raise ValueError(
                    f"graphs[{i}]: node {label!r} is called {name!r:.40} there and {names[0][label]!r:.40} in "
                    "graphs[0]; give all graphs the same nodes under the same names"
                )
    return graphs


def _relabelled(graph: nx.Graph, names: dict[Hashable, str], label_of: dict[str, Hashable]) -> nx.Graph:
    new = {label: label_of[name] for label, name in names.items()}
    return graph if all(label == to for label, to in new.items()) else nx.relabel_nodes(graph, new)


def _attributes(graph: nx.Graph) -> dict[Hashable, str]:
    """What the nodes are called by their attribute "name", or else "label", as files give it; those that have one."""
    found = {label: data.get("name") or data.get("label") for label, data in graph.nodes(data=True)}
    return {label: str(name) for label, name in found.items() if name is not None and str(name).strip()}


def node_order(graphs: Sequence[nx.Graph]) -> list[Hashable]:
    """The labels of nodes 0, 1, ...: whole numbers, and texts of them, ascending; others as in the first graph."""
    labels = list(graphs[0])
    numbers = [_whole(label) for label in labels]
    kinds = {isinstance(label, str) for label in labels}
    if None in numbers or len(kinds) > 1:
        return labels
    return [labels[at] for at in np.argsort(np.asarray(numbers), kind="stable")]


def _whole(label: Hashable) -> int | None:
    """3 for 3, 3.0 and "3"; None for what is no whole number."""
    if isinstance(label, str):
        digits = label.removeprefix("-")
        return int(label) if digits.isdecimal() and len(digits) < 19 else None
    if isinstance(label, bool) or not isinstance(label, int | float | np.number):
        return None
    return int(label) if math.isfinite(label) and label == int(label) else None


def node_labels(graphs: Sequence[nx.Graph], order: Sequence[Hashable]) -> list[Hashable]:
    """What people call nodes 0, 1, ...: the attribute "name", or else "label", or else the graph's own label.

    A name that several nodes have is followed by the own label, so that all differ.
    """
    names: dict[Hashable, str] = {}
    for graph in reversed(graphs):
        names |= {label: name for label, name in _attributes(graph).items() if name != str(label)}
    often = Counter(names.values())
    own = {str(label) for label in order if label not in names}

    def called(label: Hashable) -> Hashable:
        name = names.get(label)
        return label if name is None else name if often[name] == 1 and name not in own else f"{name} ({label})"

    return [called(label) for label in order]


def edge_ends(graph: nx.Graph, order: list[Hashable]) -> Int[np.ndarray, "edges 2"]:
    """The two node numbers of every edge of `graph.edges`, self-loops among them."""
    index = {label: i for i, label in enumerate(order)}
    ends = np.fromiter((index[end] for edge in graph.edges for end in edge), np.int64)
    return ends.reshape(-1, 2)


def adjacency(ends: Int[np.ndarray, "edges 2"], nodes: int, directed: bool) -> sparse.csr_array:
    """1 at row i, column j where i hears j, scipy.sparse [nodes, nodes]: at both directions of an edge, or at (head,
    tail) of a directed one; self-loops dropped.
    """
    tail, head = ends[ends[:, 0] != ends[:, 1]].T
    rows, columns = (head, tail) if directed else (np.concatenate([tail, head]), np.concatenate([head, tail]))
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes))


def check_connected(adjacencies: Sequence[sparse.csr_array], order: list[Hashable], directed: bool) -> None:
    """Raise ValueError, naming the smallest part, where the union of the graphs falls apart."""
    union = sum(adjacencies[1:], start=adjacencies[0])
    parts, part = sparse.csgraph.connected_components(union, directed, connection="strong")
    if parts > 1:
        smallest = np.flatnonzero(part == np.bincount(part).argmin())
        strongly = "strongly connected (a way from every node to every other)" if directed else "connected"
        raise ValueError(
            f"graphs: their union is not {strongly} but falls into {parts} parts, the smallest with nodes "
            f"{sorted((order[int(i)] for i in smallest), key=str)[:5]}; "
            "add edges (or graphs to the switching sequence) that join them"
        )


def switching_sequence(switching: object, graphs: int) -> np.ndarray | None:
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
