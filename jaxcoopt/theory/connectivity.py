"""How well a network is connected, and how much link failure it stands before it falls apart."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import sparse

from jaxcoopt.draws import random_bits
from jaxcoopt.errors import at_least_one, check_seed, one_number
from jaxcoopt.network.network import Network
from jaxcoopt.shown import briefly
from jaxcoopt.theory.check import refuse_directed
from jaxcoopt.theory.laplacian import average_laplacian, failure_rate, lambda_2, lambda_max, laplacians

SAMPLES_AT_ONCE = 2**22  # numbers drawn to a call
_bits = jax.jit(random_bits)


@briefly
@dataclass(frozen=True)
class Connectivity:
    """Eigenvalues of the weighted Laplacians with all links up.

    lambda_2, lambda_max: [graphs]; average_*: of the mean over the switching, whose lambda_2 is above 0 where the union
    of the graphs is connected; expected_lambda_2: of the mean over failures as well, (1 - rate) average_lambda_2, rate
    being the part of the iterations in which a link is down.
    """

    lambda_2: Float[np.ndarray, " graphs"]
    lambda_max: Float[np.ndarray, " graphs"]
    average_lambda_2: float
    average_lambda_max: float
    expected_lambda_2: float


def connectivity(network: Network) -> Connectivity:
    """The eigenvalues that rates and steps depend on; the failure rate must be known, and a scalar.

    >>> import jaxcoopt as jc, networkx as nx
    >>> round(jc.theory.connectivity(jc.Network.from_graphs(nx.complete_graph(5))).average_lambda_2, 6)
    1.0
    """
    each, average = laplacians(network), average_laplacian(network)
    refuse_directed(network)
    algebraic = lambda_2(average)
    return Connectivity(
        lambda_2=np.array([lambda_2(of_graph) for of_graph in each]),
        lambda_max=np.array([lambda_max(of_graph) for of_graph in each]),
        average_lambda_2=algebraic,
        average_lambda_max=lambda_max(average),
        expected_lambda_2=(1 - failure_rate(network)) * algebraic,
    )


@briefly
@dataclass(frozen=True)
class FailureThreshold:
    """rate: the largest failure rate at which the union over the window is connected with `probability`.

    critical: [samples], ascending, each sample's own largest rate, below 0 where the union is not connected even
    without failures; window, iterations: how long the union is, in periods and in iterations.
    """

    rate: float
    probability: float
    window: int
    iterations: int
    critical: Float[np.ndarray, " samples"]

    def connected(self, rate: float) -> float:
        """The share of the samples whose union is connected at a failure rate."""
        return float(np.mean(self.critical >= rate))


def failure_threshold(
    network: Network, probability: float = 0.95, *, window: int = 1, samples: int = 200, seed: int = 0
) -> FailureThreshold:
    """The failure rate up to which the union of the graphs over `window` periods stays connected with `probability`.

    By Monte Carlo over the network's own draws: a link is up at rate r where its number u is at least r, so it is in
    the union where its largest u is, and the union is connected up to the smallest such number on the maximum spanning
    tree (Hu, Oper. Res. 9, 1961): one tree gives a sample's answer at all rates at once. The network's own failures
    are not used. A period is the switching sequence, or as many iterations as there are graphs. Raises ValueError for a
    probability outside (0, 1), TypeError or ValueError for counts below 1.
    """
    window, samples = at_least_one("window", window), at_least_one("samples", samples)
    probability, seed = one_number("probability", probability), check_seed("seed", seed) % 2**63
    if not 0 < probability < 1:
        raise ValueError(f"probability: expected a number between 0 and 1, got {probability}")
    laplacians(network)  # raises for what is no network
    refuse_directed(network)
    iterations = window * (network.graphs if network.sequence is None else len(network.sequence))
    at_once = min(samples, max(1, SAMPLES_AT_ONCE // network.edges.count))
    parts = [
        _critical(network, iterations, np.arange(first, first + at_once), seed)
        for first in range(0, samples, at_once)  # all of one shape, which compiles once
    ]
    critical = np.sort(np.concatenate(parts)[:samples])
    lost = int(np.floor((1 - probability) * samples + 1e-9))  # samples that may fall apart
    return FailureThreshold(max(0.0, float(critical[lost])), probability, window, iterations, critical)


def _critical(network: Network, iterations: int, numbers: np.ndarray, seed: int) -> np.ndarray:
    """The largest failure rate at which each sample's union is connected, [samples]; -1 where there is none."""
    key, highest = jax.random.key(seed), np.full((network.edges.count, len(numbers)), -1.0)
    edges = network.edges
    member, ends = np.asarray(edges.weights) > 0, np.stack([np.asarray(edges.tail), np.asarray(edges.head)], axis=1)
    rng = np.random.default_rng(seed + int(numbers[0]))
    for k in range(iterations):
        drawn = jax.random.fold_in(jax.random.fold_in(key, k), 1)  # as in `Network.links`
        level = np.asarray(_bits(drawn, edges.numbers, jnp.asarray(numbers))) * 2.0**-32
        if network.switching == "random":
            present = member[rng.integers(network.graphs, size=len(numbers))].T
        else:
            present = member[int(network.graph_at(key, jnp.asarray(k)))][:, None]
        highest = np.where(present, np.maximum(highest, level), highest)
    return np.array([_bottleneck(ends, level, network.nodes) for level in highest.T])


def _bottleneck(ends: np.ndarray, level: np.ndarray, nodes: int) -> float:
    """The smallest level on the maximum spanning tree of the edges with a level of 0 or more, -1 where none spans."""
    held = level >= 0
    best = np.full(nodes, -1.0)
    for side in ends[held].T:
        np.maximum.at(best, side, level[held])
    above = level >= best.min()  # a node alone, which is how large graphs fall apart first
    together = sparse.coo_array((np.ones(above.sum()), ends[above].T), shape=(nodes, nodes))
    if best.min() >= 0 and sparse.csgraph.connected_components(together, directed=False)[0] == 1:
        return float(best.min())
    cost = 2 - level[held]  # in (1, 2]: a sparse graph has no edges of cost 0
    graph = sparse.csr_array((cost, ends[held].T), shape=(nodes, nodes))
    tree = sparse.csgraph.minimum_spanning_tree(graph)
    return float(2 - tree.data.max()) if tree.nnz == nodes - 1 else -1.0
