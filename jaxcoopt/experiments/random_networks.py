"""The networks of a comparison: drawn apart for tuning and evaluation, of one shape so that nothing recompiles."""

from dataclasses import replace

import networkx as nx
import numpy as np

from jaxcoopt import datasets
from jaxcoopt.experiments.compare_tables import Graphs
from jaxcoopt.network.network import Network

PARTS = ("tuning", "evaluation")
TRIES = 300  # draws; one that is still unlike the first is used, and compiled for


def sizes(table: Graphs) -> list[int]:
    """The numbers of nodes of its cases. Raises ValueError for an unknown name, ImportError without its source."""
    if table.kind == "backbone":
        return [len(datasets.backbone(table.name))]
    return table.nodes or [len(_graph(table, None, 0))]


def draw_networks(table: Graphs, nodes: int, seed: int) -> dict[str, list[Network]]:
    """For "tuning", one network; for "evaluation", `draws` others."""
    size, made = None, {}
    for number, (part, count) in enumerate(zip(PARTS, (1, table.draws), strict=True)):
        drawn = [
            _alike(table, nodes, np.random.default_rng([seed, number, nodes, draw]), size) for draw in range(count)
        ]
        size = _union(drawn[0]) if size is None else size
        made[part] = [_network(table, graphs) for graphs in drawn]
    return made


def _network(table: Graphs, graphs: list[nx.Graph]) -> Network:
    """Without shifts: a small random graph may fit them by chance, and would be a program of its own."""
    network = Network.from_graphs(graphs, table.weights, table.failure_rate, table.switching)
    return replace(network, shifts=None)


def _alike(table: Graphs, nodes: int, rng: np.random.Generator, size: int | None) -> list[nx.Graph]:
    """Drawn again until the union has `size` edges: arrays have that length, and programs are compiled for it."""
    graphs: list[nx.Graph] = []
    for _ in range(TRIES):
        graphs = [_graph(table, nodes, int(seed)) for seed in rng.integers(2**31, size=table.graphs)]
        if size in (None, _union(graphs)):
            break
    return graphs


def _union(graphs: list[nx.Graph]) -> int:
    return nx.compose_all(graphs).number_of_edges()


def _graph(table: Graphs, nodes: int | None, seed: int) -> nx.Graph:
    if table.kind == "backbone":
        return datasets.backbone(table.name)
    return datasets.topology(table.name, nodes, table.degree, table.probability, seed)
