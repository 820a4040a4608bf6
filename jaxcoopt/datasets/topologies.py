"""Graphs by name: regular shapes, random families and small social networks, over the nodes 0..n-1."""

import math
from collections.abc import Callable

import networkx as nx
import numpy as np

from jaxcoopt.datasets.size import check_size
from jaxcoopt.errors import at_least_one, check_name, check_seed, one_number

TRIES = 100
"""How many draws of a random graph are tried until one is connected."""


def topology(
    name: str, nodes: int | None = None, degree: int = 4, probability: float | None = None, seed: int = 0
) -> nx.Graph:
    """A connected undirected graph over the nodes 0..n-1.

    - ring, path, star (node 0 in the middle), complete.
    - grid, torus: the most square rectangle with this many nodes; sides of at least 2 (torus: 3).
    - exponential: node i is linked to i +- 1, 2, 4, 8, ... modulo n.
    - erdos_renyi: each link with `probability`, drawn again until the graph is connected.
    - regular: a random graph in which every node has `degree` neighbours, drawn again until it is connected.
    - barabasi_albert: each new node brings degree / 2 links, so that the mean degree is nearly `degree`.
    - watts_strogatz: a ring with `degree` neighbours, each link rewired with `probability`; connected.
    - karate (34 nodes), florentine (15), les_miserables (77): real ones; `nodes` may be left out. The source's own
      label is kept as node attribute `label`, its edge weight as `weight`.

    Args:
        name: one of `TOPOLOGIES`.
        nodes: how many nodes.
        degree: neighbours per node, for regular, barabasi_albert and watts_strogatz (even for the last two).
        probability: for erdos_renyi (None: 2 log(n) / n, which connects almost always) and watts_strogatz (None: 0.1).
        seed: same seed, same graph.

    Raises:
        ValueError: an unknown name; a number of nodes, degree or probability for which there is no such graph, or
            none that is connected among 100 draws.
        MemoryError: more nodes and links than there is memory for, with how many would fit.

    Source: P. Erdos, A. Renyi, 1959; D. J. Watts, S. H. Strogatz, Nature 393, 1998; A.-L. Barabasi, R. Albert, Science
    286, 1999; exponential: B. Ying et al., NeurIPS 2021; karate: W. W. Zachary, 1977; florentine: R. L. Breiger,
    P. E. Pattison, 1986; les_miserables: D. E. Knuth, The Stanford GraphBase, 1993.
    """
    check_name("name", name, TOPOLOGIES)
    nodes, degree = None if nodes is None else at_least_one("nodes", nodes, 63), at_least_one("degree", degree, 63)
    seed = check_seed("seed", seed) % 2**64
    if name in _SOCIAL:
        graph = nx.convert_node_labels_to_integers(_SOCIAL[name](), label_attribute="label")
        if nodes not in (None, len(graph)):
            raise ValueError(f"nodes: {name} has {len(graph)} nodes, got {nodes}; leave nodes out")
        return graph
    if nodes is None:
        raise ValueError(f"nodes: {name} comes in any size; say how many nodes")
    if probability is not None and not 0.0 <= one_number("probability", probability) <= 1.0:
        raise ValueError(f"probability: expected a number in 0..1, got {probability}")
    check_size(name, nodes, degree, probability)
    return _SHAPES[name](nodes) if name in _SHAPES else _RANDOM[name](nodes, degree, probability, seed)


def _ring(nodes: int) -> nx.Graph:
    if nodes < 3:
        raise ValueError(f"nodes: a ring needs at least 3, got {nodes}; use 'path'")
    return nx.cycle_graph(nodes)


def _rectangle(nodes: int, torus: bool) -> nx.Graph:
    least = 3 if torus else 2
    rows = max(side for side in range(1, math.isqrt(nodes) + 1) if nodes % side == 0)
    if rows < least:
        raise ValueError(
            f"nodes: {nodes} is no product of two sides of at least {least}; try {max(least, math.isqrt(nodes)) ** 2}"
        )
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, nodes // rows, periodic=torus), ordering="sorted")


def _exponential(nodes: int) -> nx.Graph:
    return nx.circulant_graph(nodes, [2**power for power in range((nodes - 1).bit_length())])


def _erdos_renyi(nodes: int, degree: int, probability: float | None, seed: int) -> nx.Graph:
    if probability is None:
        probability = min(1.0, 2.0 * math.log(nodes) / nodes) if nodes > 2 else 1.0
    return _connected(lambda rng: nx.gnp_random_graph(nodes, probability, seed=rng), "probability", seed)


def _regular(nodes: int, degree: int, probability: float | None, seed: int) -> nx.Graph:
    if degree >= nodes or nodes * degree % 2:
        raise ValueError(f"degree: expected less than nodes = {nodes}, and nodes * degree even, got {degree}")
    return _connected(lambda rng: nx.random_regular_graph(degree, nodes, seed=rng), "degree", seed)


def _barabasi_albert(nodes: int, degree: int, probability: float | None, seed: int) -> nx.Graph:
    _check_even_degree(nodes, degree)
    return nx.barabasi_albert_graph(nodes, degree // 2, seed=np.random.default_rng(seed))


def _watts_strogatz(nodes: int, degree: int, probability: float | None, seed: int) -> nx.Graph:
    _check_even_degree(nodes, degree)
    rewired = 0.1 if probability is None else probability
    return _connected(lambda rng: nx.watts_strogatz_graph(nodes, degree, rewired, seed=rng), "degree", seed)


def _check_even_degree(nodes: int, degree: int) -> None:
    if degree % 2 or degree >= nodes:
        raise ValueError(f"degree: expected an even number less than nodes = {nodes}, got {degree}")


def _connected(draw: Callable[[np.random.Generator], nx.Graph], argument: str, seed: int) -> nx.Graph:
    """The first connected graph among `TRIES` draws."""
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        graph = draw(rng)
        if nx.is_connected(graph):
            return graph
    raise ValueError(f"{argument}: none of {TRIES} draws was connected; raise {argument}")


_SHAPES: dict[str, Callable[[int], nx.Graph]] = {
    "ring": _ring,
    "path": nx.path_graph,
    "star": lambda nodes: nx.star_graph(nodes - 1),
    "complete": nx.complete_graph,
    "grid": lambda nodes: _rectangle(nodes, torus=False),
    "torus": lambda nodes: _rectangle(nodes, torus=True),
    "exponential": _exponential,
}
_RANDOM: dict[str, Callable[[int, int, float | None, int], nx.Graph]] = {
    "erdos_renyi": _erdos_renyi,
    "regular": _regular,
    "barabasi_albert": _barabasi_albert,
    "watts_strogatz": _watts_strogatz,
}
_SOCIAL: dict[str, Callable[[], nx.Graph]] = {
    "karate": nx.karate_club_graph,
    "florentine": nx.florentine_families_graph,
    "les_miserables": nx.les_miserables_graph,
}
SIZED = (*_SHAPES, *_RANDOM)
"""Those that come in any size."""
TOPOLOGIES = (*SIZED, *_SOCIAL)
"""The names that `topology` knows."""
