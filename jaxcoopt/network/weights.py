"""Link weights of one graph: symmetric, non-negative, one for each edge."""

from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Float

from jaxcoopt.errors import numbers, unknown_name

RULES = ("metropolis", "max_degree")


def dense_weights(
    graph: nx.Graph, order: Sequence[Hashable], weights: Any, where: str = "weights"
) -> Float[np.ndarray, "nodes nodes"]:
    """w_ij of every edge of `graph`, zero elsewhere, in float64.

    weights: "metropolis" 1 / (1 + max(d_i, d_j)); "max_degree" 1 / (1 + max d); a positive number, the same for all
    edges; the name of an edge attribute; or a symmetric [nodes, nodes] array.
    """
    index = {label: i for i, label in enumerate(order)}
    adjacency = np.zeros((len(order), len(order)), bool)
    for a, b in graph.edges:
        adjacency[index[a], index[b]] = adjacency[index[b], index[a]] = True
    degree = adjacency.sum(axis=1)
    if isinstance(weights, str):
        if weights == "metropolis":
            return adjacency / (1.0 + np.maximum(degree[:, None], degree[None, :]))
        if weights == "max_degree":
            return adjacency / (1.0 + degree.max(initial=0))
        return _checked(_from_attribute(graph, index, weights, where), adjacency, where)
    given = numbers(where, weights)
    if given.ndim == 0:
        given = given * adjacency
    return _checked(given, adjacency, where)


def _from_attribute(graph: nx.Graph, index: dict[Hashable, int], name: str, where: str) -> np.ndarray:
    having = [edge for edge in graph.edges if name in graph.edges[edge]]
    if not having:
        known = [*RULES, *sorted({key for *_, data in graph.edges(data=True) for key in data})]
        raise unknown_name(where, name, known)
    if len(having) < graph.number_of_edges():
        missing = next(edge for edge in graph.edges if name not in graph.edges[edge])
        raise ValueError(f"{where}: edge {missing} has no attribute {name!r}; every edge needs a weight")
    dense = np.zeros((len(index), len(index)))
    for a, b, value in graph.edges(data=name):
        dense[index[a], index[b]] = dense[index[b], index[a]] = numbers(where, value)
    return dense


def _checked(dense: np.ndarray, adjacency: np.ndarray, where: str) -> np.ndarray:
    if dense.shape != adjacency.shape:
        raise ValueError(f"{where}: expected an array [nodes, nodes] = {adjacency.shape}, got {dense.shape}")
    dense = np.where(np.eye(len(dense), dtype=bool), 0, dense)
    if not np.isfinite(dense).all():
        raise ValueError(f"{where}: holds NaN or infinity; every weight must be a finite number")
    _refuse(dense != dense.T, dense, f"{where}: asymmetric, so the budget would leak; make w_ij = w_ji")
    _refuse(dense < 0, dense, f"{where}: negative; every weight must be above 0")
    _refuse(adjacency & (dense == 0), dense, f"{where}: missing (0) on an edge; give every edge a weight above 0")
    _refuse(~adjacency & (dense > 0), dense, f"{where}: given where the graph has no edge; add the edge or set it to 0")
    return dense


def _refuse(bad: np.ndarray, dense: np.ndarray, message: str) -> None:
    if bad.any():
        i, j = (int(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"{message} (first at nodes {i}, {j}: w_ij = {dense[i, j]:g}, w_ji = {dense[j, i]:g})")
