"""The networks of a comparison: drawn apart for tuning and evaluation, of one shape so that nothing recompiles."""

from dataclasses import replace

import networkx as nx
import numpy as np

from jaxcoopt import datasets
from jaxcoopt.compare.settings import Graphs
from jaxcoopt.network.network import Network

PARTS = ("tuning", "evaluation")


def sizes(table: Graphs) -> list[int]:
    """The numbers of nodes of its cases. Raises ValueError for an unknown name, ImportError without its source."""
    if table.kind == "backbone":
        return [len(datasets.backbone(table.name))]
    return table.nodes or [len(_graph(table, None, 0))]


def draw_networks(table: Graphs, nodes: int, seed: int) -> dict[str, list[Network]]:
    """For "tuning", one network; for "evaluation", `draws` others."""
    made = {
        part: [_network(table, nodes, [seed, number, nodes, draw]) for draw in range(count)]
        for number, (part, count) in enumerate(zip(PARTS, (1, table.draws), strict=True))
    }
    # `edges` is static, and by how much the graphs of a union overlap is chance.
    edges = max(network.edges for part in made.values() for network in part)
    return {part: [replace(network, edges=edges) for network in drawn] for part, drawn in made.items()}


def _network(table: Graphs, nodes: int, entropy: list[int]) -> Network:
    seeds = np.random.default_rng(entropy).integers(2**31, size=table.graphs)
    graphs = [_graph(table, nodes, int(seed)) for seed in seeds]
    return Network.from_graphs(graphs, table.weights, table.failure_rate, table.switching)


def _graph(table: Graphs, nodes: int | None, seed: int) -> nx.Graph:
    if table.kind == "backbone":
        return datasets.backbone(table.name)
    return datasets.topology(table.name, nodes, table.degree, table.probability, seed)
