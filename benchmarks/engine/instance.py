"""A case's numbers, as plain NumPy for everyone who is timed, and as the package's own objects."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import scipy.sparse as sp

from benchmarks.engine.case import SAMPLES, Case
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.quantizers import Ideal, LogQuantizer
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.network.network import Network
from jaxcoopt.problem.costs import Quadratic
from jaxcoopt.problem.losses import Linear
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.shown import briefly

FLOW_STEP, TRAINING_STEP, RHO, RIDGE = 0.05, 0.02, 0.5, 1e-2
LOWER, UPPER, SHARE = 0.0, 10.0, 3.0
PENALTY, SHARPNESS = 20.0, 50.0  # of the default jaxcoopt.bounds.Penalty


@briefly
@dataclass(frozen=True)
class Instance:
    """features [n, samples, m], targets [n, samples], curvature and center [n], in float64; the graphs in their order,
    and of each w_ij - [i = j] sum_j w_ij as CSR [n, n].
    """

    case: Case
    features: np.ndarray
    targets: np.ndarray
    curvature: np.ndarray
    center: np.ndarray
    graphs: tuple[nx.Graph, ...]
    laplacians: tuple[sp.csr_array, ...]


def make_instance(case: Case) -> Instance:
    """The same numbers every time: regression data and quadratic costs, seed 0."""
    rng, n, m = np.random.default_rng(0), case.nodes, case.params
    curvature, center = rng.uniform(0.5, 2.0, n), rng.normal(size=n)
    features = rng.normal(size=(n, SAMPLES, m)) / np.sqrt(max(1.0, m / 10))  # the step stays stable as m grows
    targets = features @ rng.normal(size=m)
    graphs = make_graphs(case)
    laplacians = tuple(mixing_matrix(graph) for graph in graphs)
    return Instance(case, features, targets, curvature, center, graphs, laplacians)


def make_graphs(case: Case) -> tuple[nx.Graph, ...]:
    """Two graphs, switched from iteration to iteration; a ring of degree d joins the d nearest, and does not change."""
    if case.graph == "ring":
        return (nx.circulant_graph(case.nodes, range(1, case.degree // 2 + 1)),)
    if case.graph == "barabasi-albert":
        return tuple(nx.barabasi_albert_graph(case.nodes, case.degree // 2, seed=seed) for seed in range(2))
    return tuple(nx.random_regular_graph(case.degree, case.nodes, seed=seed) for seed in range(2))


def mixing_matrix(graph: nx.Graph) -> sp.csr_array:
    """w_ij - [i = j] sum_j w_ij with Metropolis weights, whose product with u is sum_j w_ij (u_j - u_i)."""
    adjacency = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), dtype=float, format="coo")
    degree = adjacency.sum(axis=1)
    row, column = adjacency.coords
    weights = 1 / (1 + np.maximum(degree[row], degree[column]))
    off = sp.coo_array((weights, (row, column)), shape=adjacency.shape).tocsr()
    return sp.csr_array(off - sp.diags_array(off.sum(axis=1)))


def make_problem(instance: Instance) -> Problem:
    """Quadratic costs in a box with the default penalty, and ridge regression."""
    n = instance.case.nodes
    return Problem(
        allocation=Allocation(
            Quadratic(instance.curvature, instance.center),
            SHARE * n,
            lower=np.full(n, LOWER),
            upper=np.full(n, UPPER),
        ),
        training=Training(Linear(l2=RIDGE, intercept=False), instance.features, instance.targets),
    )


def make_channel(case: Case) -> Channel:
    """The links: log-quantized messages, or numbers as they are."""
    return Ideal() if case.channel == "ideal" else LogQuantizer(RHO, placement="message")


def make_method(case: Case) -> CoOptimizer:
    """Both halves."""
    return CoOptimizer(LaplacianFlow(FLOW_STEP), GradientTracking(TRAINING_STEP), make_channel(case))


def make_network(instance: Instance) -> Network:
    """Metropolis weights over the instance's graphs."""
    return Network.from_graphs(instance.graphs)
