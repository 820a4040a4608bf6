import sys

import networkx as nx
import pytest

from jaxcoopt.datasets import TOPOLOGIES, backbone, backbone_names, topology

SOCIAL = {"karate": (34, 78), "florentine": (15, 20), "les_miserables": (77, 254)}
FREE = [name for name in TOPOLOGIES if name not in SOCIAL]
RANDOM = ["erdos_renyi", "regular", "barabasi_albert", "watts_strogatz"]


def simple_and_connected(graph: nx.Graph, nodes: int) -> bool:
    return (
        list(graph) == list(range(nodes))
        and not graph.is_directed()
        and not graph.is_multigraph()
        and nx.number_of_selfloops(graph) == 0
        and nx.is_connected(graph)
    )


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("nodes", [9, 12, 30])
def test_every_topology_is_connected_over_integers(name, nodes):
    assert simple_and_connected(topology(name, nodes), nodes)


@pytest.mark.parametrize("name", SOCIAL)
def test_social_graphs(name):
    graph = topology(name)
    nodes, edges = SOCIAL[name]
    assert simple_and_connected(graph, nodes)
    assert graph.number_of_edges() == edges
    assert len({label for _, label in graph.nodes(data="label")}) == nodes
    assert topology(name, nodes).edges == graph.edges
    with pytest.raises(ValueError, match=f"nodes: {name} has {nodes} nodes, got 3"):
        topology(name, 3)


@pytest.mark.parametrize(
    ("name", "nodes", "edges"),
    [("ring", 7, 7), ("path", 7, 6), ("star", 7, 6), ("complete", 7, 21), ("grid", 12, 17), ("torus", 12, 24)],
)
def test_shapes_have_the_right_number_of_edges(name, nodes, edges):
    assert topology(name, nodes).number_of_edges() == edges


def test_star_has_its_middle_at_zero_and_grid_runs_along_rows():
    assert topology("star", 6).degree[0] == 5
    assert sorted(topology("grid", 6).neighbors(0)) == [1, 3]  # 2 rows of 3


@pytest.mark.parametrize("nodes", [2, 3, 6, 8, 11, 16])
def test_exponential_links_powers_of_two(nodes):
    graph = topology("exponential", nodes)
    jumps = {2**power for power in range(6) if 2**power < nodes}
    expected = {(node + sign * jump) % nodes for node in [0] for jump in jumps for sign in (1, -1)}
    assert set(graph.neighbors(0)) == expected
    assert len({degree for _, degree in graph.degree()}) == 1


@pytest.mark.parametrize("name", ["path", "star", "complete", "exponential", "erdos_renyi"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_one_and_two_nodes(name, nodes):
    graph = topology(name, nodes)
    assert simple_and_connected(graph, nodes)
    assert graph.number_of_edges() == nodes - 1


@pytest.mark.parametrize("name", RANDOM)
def test_random_topologies_follow_the_seed(name):
    first, again, other = (set(topology(name, 24, seed=seed).edges) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(8))
def test_random_topologies_are_connected_for_every_seed(seed):
    for name in RANDOM:
        assert simple_and_connected(topology(name, 20, seed=seed), 20)
    assert simple_and_connected(topology("erdos_renyi", 12, probability=0.2, seed=seed), 12)


def test_degree_and_probability_are_heeded():
    assert {degree for _, degree in topology("regular", 10, degree=3).degree()} == {3}
    assert topology("barabasi_albert", 200, degree=6).number_of_edges() == 3 + 3 * 196
    assert topology("watts_strogatz", 20, degree=6).number_of_edges() == 60
    assert set(topology("watts_strogatz", 20, degree=2, probability=0.0).edges) == set(topology("ring", 20).edges)
    assert topology("erdos_renyi", 8, probability=1.0).number_of_edges() == 28


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rings", 5), "did you mean 'ring'"),
        (("ring",), "say how many nodes"),
        (("ring", 2), "at least 3"),
        (("ring", 0), "expected 1 or more, got 0"),
        (("grid", 7), "try 4"),
        (("torus", 10), "try 9"),
        (("regular", 5, 3), "nodes \\* degree even, got 3"),
        (("regular", 4, 4), "less than nodes = 4"),
        (("barabasi_albert", 10, 3), "an even number"),
        (("watts_strogatz", 4, 4), "less than nodes = 4"),
        (("erdos_renyi", 10, 4, 1.5), "expected a number in 0..1"),
        (("erdos_renyi", 10, 4, 0.0), "none of 100 draws was connected"),
        (("regular", 10, 1), "none of 100 draws was connected"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        topology(*arguments)


@pytest.mark.parametrize(
    ("name", "nodes", "edges"),
    [
        ("sndlib/germany50", 50, 88),
        ("topozoo/Abilene", 11, 14),
        ("backbone/africa", 403, 536),
        ("gabriel/25/0", 25, 40),
    ],
)
def test_backbones(name, nodes, edges):
    graph = backbone(name)
    assert simple_and_connected(graph, nodes)
    assert graph.number_of_edges() == edges
    assert all(len(position) == 2 for _, position in graph.nodes(data="pos"))


def test_a_backbone_keeps_names_labels_and_demands():
    germany = backbone("sndlib/germany50")
    assert germany.nodes[0]["name"] == "Aachen"
    assert germany.graph["demands"][14][12] == 34.0
    assert backbone("topozoo/Abilene").nodes[1] == {"name": "Chicago", "pos": [-87.65, 41.85], "label": "1"}


def test_names_of_backbones():
    names = backbone_names()
    assert list(names) == sorted(set(names))
    assert sum(name.startswith("sndlib/") for name in names) == 26
    assert sum(name.startswith("topozoo/") for name in names) > 200


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="did you mean 'sndlib/germany50'"):
        backbone("germany50")
    with pytest.raises(ValueError, match="backbone_names\\(\\)") as caught:
        backbone("0")
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="not known"):
        backbone("../data/sndlib/germany50")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "topohub", None)
    with pytest.raises(ImportError, match=r"topohub.*pip install 'jaxcoopt\[data\]'"):
        backbone("sndlib/germany50")
