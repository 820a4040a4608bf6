"""What nodes are called: kept from the graphs to the network and the result, and graphs matched by it."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt import datasets


def weighted(pairs):
    """A graph from {(a, b): weight}."""
    graph = nx.Graph()
    graph.add_weighted_edges_from((a, b, weight) for (a, b), weight in pairs.items())
    return graph


def matrix_of(network, graph=0):
    """Its weights as a table of tables: {label: {label: weight}}."""
    found = {label: {} for label in network.labels}
    edges = network.edges
    for tail, head, weight in zip(*map(np.asarray, (edges.tail, edges.head, edges.weights[graph])), strict=True):
        if weight:
            a, b = network.labels[tail], network.labels[head]
            found[a][b] = found[b][a] = float(weight)
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 1, 2, 3], (0, 1, 2, 3)),
        ([3, 1, 4, 2], (1, 2, 3, 4)),
        (["10", "9", "1", "2"], ("1", "2", "9", "10")),
        ([30, 10, 40, 20], (10, 20, 30, 40)),
        (["d", "a", "c", "b"], ("d", "a", "c", "b")),
        (["n3", "n1", "n4", "n2"], ("n3", "n1", "n4", "n2")),
        ([(0, 1), (0, 0), (1, 1), (1, 0)], ((0, 1), (0, 0), (1, 1), (1, 0))),
        ([2, "1", 3, "4"], (2, "1", 3, "4")),
        ([np.int64(2), np.int64(1), np.int64(4), np.int64(3)], (1, 2, 3, 4)),
    ],
)
def test_nodes_are_numbered_as_people_expect(given, expected):
    graph = nx.Graph()
    graph.add_nodes_from(given)
    nx.add_path(graph, given)
    network = jc.Network.from_graphs(graph)
    assert network.labels == expected
    weights = matrix_of(network)
    assert all(b in weights[a] for a, b in pairwise(given))


def test_graphs_are_matched_by_label(rng):
    """Whatever order each has its nodes and edges in."""
    labels = ["Aachen", "Bonn", "Celle", "Dachau", "Essen"]
    pairs = {(a, b): float(rng.uniform(0.01, 0.19)) for i, a in enumerate(labels) for b in labels[:i]}
    first = weighted(pairs)
    other = nx.Graph()
    other.add_nodes_from(rng.permutation(labels).tolist())
    other.add_weighted_edges_from((b, a, w / 2) for (a, b), w in reversed(pairs.items()))
    network = jc.Network.from_graphs([first, other], weights="weight")
    assert network.labels == tuple(first)
    once, half = matrix_of(network), matrix_of(network, 1)
    for (a, b), weight in pairs.items():
        assert once[a][b] == pytest.approx(weight)
        assert half[a][b] == pytest.approx(weight / 2)


def test_names_in_files_are_the_labels(tmp_path):
    """Two GraphML files that number the same named nodes in other ways."""
    names = ["Wien", "Graz", "Linz", "Wels"]
    graphs = []
    for order in (names, ["Linz", "Wels", "Wien", "Graz"]):
        graph = nx.Graph()
        for i, name in enumerate(order):
            graph.add_node(f"n{i}", label=name)
        number = {name: f"n{order.index(name)}" for name in names}
        graph.add_edges_from((number[a], number[b]) for a, b in pairwise(names))
        nx.write_graphml(graph, tmp_path / "graph.graphml")
        graphs.append(nx.read_graphml(tmp_path / "graph.graphml"))
    network = jc.Network.from_graphs(graphs)
    assert network.labels == tuple(names)
    assert network.edges.count == 3  # the same path twice
    nx.set_node_attributes(graphs[1], {"n3": "Steyr"}, "label")
    with pytest.raises(ValueError, match=r"graphs\[1\]: node 'n0' is called 'Linz' there and 'Wien' in graphs\[0\]"):
        jc.Network.from_graphs(graphs)


def test_a_name_that_several_nodes_have_is_told_apart():
    graph = nx.path_graph(4)
    nx.set_node_attributes(graph, {0: "hub", 1: "hub", 2: " ", 3: "3"}, "name")
    assert jc.Network.from_graphs(graph).labels == ("hub (0)", "hub (1)", 2, 3)
    assert jc.Network.from_graphs(nx.path_graph(4)).names is None
    assert jc.Network.from_graphs(datasets.topology("karate")).labels == tuple(range(34))
    assert jc.Network.from_graphs(datasets.topology("florentine")).labels[0] == "Acciaiuoli"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            nx.path_graph(["a", "b", "c", "x"]),
            r"lacks 1 \('d'\) and adds 1 \('x'\); add nodes without links, or rename",
        ),
        (nx.path_graph(["a", "b", "c"]), r"lacks 1 \('d'\); add"),
        (nx.path_graph(list("abcdefghijk")), r"adds 7 \('e', 'f', 'g', 'h', 'i', ...\)"),
    ],
)
def test_graphs_over_other_nodes_are_refused(other, words):
    with pytest.raises(ValueError, match=rf"graphs\[1\]: all graphs must have the same nodes; .* it {words}"):
        jc.Network.from_graphs([nx.path_graph(list("abcd")), other])


def test_a_number_is_not_its_text():
    with pytest.raises(ValueError, match="a number and a text are two labels"):
        jc.Network.from_graphs([nx.path_graph([1, 2]), nx.path_graph(["1", "2"])])


def test_results_keep_the_names():
    """The node with the cheapest CPU, wherever its graph has it."""
    labels = ["12", "3", "7", "1"]
    graph = nx.relabel_nodes(nx.cycle_graph(4), dict(enumerate(labels)))
    network = jc.Network.from_graphs(graph)
    assert network.labels == ("1", "3", "7", "12")
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(4), np.array([0.0, 0.0, 5.0, 0.0])), 5.0))
    result = jc.solve(problem, network, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)), 100)
    assert result.labels == network.labels
    table = result.to_xarray()
    assert table["node"].values.tolist() == list(network.labels)
    assert table["allocation"].sel(node="7").item() == pytest.approx(5, abs=0.1)
    ring = jc.Network.from_graphs(nx.cycle_graph(4))
    plain = jc.solve(problem, ring, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)), 100)
    assert plain.labels == (0, 1, 2, 3)
    assert plain.to_xarray()["node"].values.tolist() == [0, 1, 2, 3]


def test_names_compile_nothing_anew():
    """One program for networks that differ only in what their nodes are called."""
    from jaxcoopt.run.loop import compiled_for

    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(4), np.arange(4.0)), 5.0))
    sizes = []
    for names in ("abcd", "efgh", "ijkl"):
        network = jc.Network.from_graphs(nx.relabel_nodes(nx.cycle_graph(4), dict(enumerate(names))))
        jc.solve(problem, network, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)), 100)
        sizes.append(compiled_for(1)._cache_size())
    assert len(set(sizes)) == 1
