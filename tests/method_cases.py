"""What the battery of all registered methods runs on: rows two by two, one small problem, one network that may fail."""

from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import numpy_loop as oracle

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES, Entry

NODES, RUNS, SAMPLES, FEATURES = 6, 3, 5, 3
SCALES = np.array([1.0, 0.9, 0.95])  # of every setting, run by run
L2 = 0.1
OUTSIDE = 0.3  # the price that the one bound in the way has at the optimum, about

# An allocation row and a training row run together: half as much to compile.
PAIRS = list(zip_longest(*([row for row in ENTRIES if row.half == half] for half in ("allocation", "training"))))


def name_of(pair: tuple[Entry | None, Entry | None]) -> str:
    return "+".join(row.name for row in pair if row is not None)


def method_of(pair: Any, channel: Any = None) -> jc.CoOptimizer:
    """Both rows with their settings as scalars."""
    halves = (None if row is None else row.build() for row in pair)
    return jc.CoOptimizer(*halves, jc.channels.Ideal() if channel is None else channel)


def per_run(method: Any, scales: np.ndarray = SCALES) -> Any:
    """Every number of the method as [runs]."""
    return jax.tree.map(lambda leaf: np.asarray(leaf * scales), method)


def of_run(method: Any, run: int) -> Any:
    """The settings of one run as scalars."""
    return jax.tree.map(lambda leaf: float(leaf[run]), per_run(method))


# ---------------------------------------------------------------- network


def graph() -> nx.Graph:
    """A ring with a chord: connected, not regular."""
    ring = nx.cycle_graph(NODES)
    ring.add_edge(0, 2)
    return ring


def network(failure_rate: float = 0.0, names: Any = None) -> jc.Network:
    """One graph, its nodes renamed. Links fail at a rate that may be 0: it is a number like others, not compiled in."""
    renamed = graph() if names is None else nx.relabel_nodes(graph(), names)
    return replace(jc.Network.from_graphs(renamed, failure_rate=0.5), failure_rate=np.asarray(failure_rate))


def switching_network() -> jc.Network:
    """Three graphs at random, none of them whole once links have failed."""
    path, pairs = nx.path_graph(NODES), nx.Graph([(i, i + 1) for i in range(0, NODES - 1, 2)])
    pairs.add_nodes_from(range(NODES))
    return jc.Network.from_graphs([graph(), path, pairs], failure_rate=0.3, switching="random")


# ---------------------------------------------------------------- problem


def allocation(rng: Any) -> jc.Allocation:
    """Curvatures of 0.7 to 2; at the optimum node 0 stands at its upper bound and no other bound is near."""
    a, c = rng.uniform(0.7, 2, NODES), rng.uniform(0.8, 1.2, NODES)
    upper = np.full(NODES, 4.0)
    a[0], c[0], upper[0] = 1.0, 0.8 + OUTSIDE, 0.8
    return jc.Allocation(jc.costs.Quadratic(a, c, 1.0), c.sum() - OUTSIDE, 0.0, upper)


def training(rng: Any) -> jc.Training:
    """Least squares whose curvatures are 0.6 to 2.1 at every node; the bias has a curvature of 1."""
    features = np.zeros((NODES, SAMPLES, FEATURES))
    for node in range(NODES):
        columns = np.column_stack([np.ones(SAMPLES), rng.normal(size=(SAMPLES, FEATURES))])
        apart = np.linalg.qr(columns)[0][:, 1:]  # orthonormal, each of mean 0
        turn = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))[0]
        features[node] = np.sqrt(SAMPLES) * apart * np.sqrt(rng.uniform(0.5, 2, FEATURES)) @ turn
    return jc.Training(jc.losses.Linear(L2), features, rng.normal(size=(NODES, SAMPLES)))


def price(a: np.ndarray, c: np.ndarray) -> Callable[[int, float], float]:
    """The marginal cost of `allocation`, for the oracle."""
    return lambda i, x: oracle.quadratic_price(x, a[i], c[i])


def slope(given: jc.Training, i: int, y: np.ndarray) -> np.ndarray:
    """The gradient of `training` at one node, for the oracle."""
    return oracle.node_gradient("linear", y, given.features[i], given.targets[i], 1, L2, 1.0)


def starts(rng: Any, allocation: jc.Allocation) -> jc.Initial:
    """Inside the box, on the budget, no two nodes alike."""
    x = rng.uniform(0.4, 0.7, (NODES, RUNS))
    x[1:] += (allocation.budget - x.sum(axis=0)) / (NODES - 1)
    params = {"weights": rng.normal(size=(NODES, FEATURES, RUNS)), "bias": rng.normal(size=(NODES, RUNS))}
    return jc.Initial(x, params)


def apart(allocation: jc.Allocation) -> np.ndarray:
    """A start at which the prices of no two neighbours are near, and no node is near a bound."""
    a, c = allocation.cost.curvature, allocation.cost.center
    price = np.array([-0.6, 0.0, 0.2, -0.1, 0.1, -0.1])
    level = (allocation.budget - c.sum() - (price / a).sum()) / (1 / a).sum()
    return (c + (price + level) / a)[:, None]


def halves(pair: Any, problem: jc.Problem, initial: jc.Initial) -> tuple[jc.Problem, jc.Initial]:
    """Without the half that the pair lacks."""
    if pair[0] is None:
        return replace(problem, allocation=None), replace(initial, allocation=None)
    if pair[1] is None:
        return replace(problem, training=None), replace(initial, params=None)
    return problem, initial


def case(rng: Any, pair: Any) -> tuple[jc.Problem, jc.Initial]:
    shares = allocation(rng)
    return halves(pair, jc.Problem(shares, training(rng)), starts(rng, shares))


def start_of(initial: jc.Initial, run: int) -> jc.Initial:
    """Of one run, as a batch of one."""
    return jax.tree.map(lambda leaf: leaf[..., run : run + 1], initial)


def penalised(problem: jc.Problem, bounds: jc.bounds.Penalty) -> jc.Optimum:
    """The optimum that a flow with this penalty goes to: a problem without bounds, by bisection."""
    given = problem.allocation
    per_node, of_runs = (given.cost.curvature, given.cost.center, given.upper), (bounds.weight, bounds.sharpness)
    constants = (*(value[:, None] * np.ones(RUNS) for value in per_node), *(np.ones((NODES, 1)) * s for s in of_runs))
    return jc.reference(jc.Problem(jc.Allocation(jc.costs.Custom(penalised_cost, constants), given.budget)))


def penalised_cost(x: jax.Array, constants: Any) -> jax.Array:
    """With a lower bound of 0."""
    a, c, upper, weight, sharpness = constants
    over, under = jax.nn.softplus(sharpness * (x - upper)), jax.nn.softplus(-sharpness * x)
    return 0.5 * a * (x - c) ** 2 + weight * (over + under) / sharpness


def close(ours: Any, theirs: Any, tolerance: float, name: str = "") -> None:
    """Two pytrees agree."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def float_types(tree: Any) -> set[Any]:
    return {leaf.dtype for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)}
