"""Small random problems, each with its oracle: the same costs and losses by tests/numpy_loop.py, one run at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import numpy_loop as oracle

import jaxcoopt as jc
from jaxcoopt.run.prepare import key_of

NODES, RUNS, SAMPLES, FEATURES, CLASSES = 6, 3, 5, 3, 3
STEP = np.array([0.02, 0.03, 0.01])
MOMENTUM = np.array([0.0, 0.5, 0.3])
RATE = np.array([0.05, 0.1, 0.02])


# ---------------------------------------------------------------- networks


def graphs(nodes: int = NODES) -> list[nx.Graph]:
    """Three graphs, none of them regular, one of them not connected."""
    star = nx.star_graph(nodes - 1)
    pairs = nx.Graph([(i, i + 1) for i in range(0, nodes - 1, 2)])
    pairs.add_nodes_from(range(nodes))
    chord = nx.cycle_graph(nodes)
    chord.add_edges_from([(0, 2), (1, nodes - 1)])
    return [star, pairs, chord]


def network(failure_rate: Any = 0.3, switching: Any = "cycle", nodes: int = NODES) -> jc.Network:
    return jc.Network.from_graphs(graphs(nodes), failure_rate=failure_rate, switching=switching)


@jax.jit
def _dense(net: jc.Network, key: jax.Array, iteration: jax.Array, runs: jax.Array) -> jax.Array:
    return net.links(key, iteration, runs).dense()


def weight_matrices(net: jc.Network, steps: int, runs: int = RUNS, seed: int = 0) -> np.ndarray:
    """W_k of every iteration: [steps, nodes, nodes, runs]."""
    key, numbers = key_of(seed, "network"), jnp.arange(runs)
    matrices = np.stack([np.asarray(_dense(net, key, jnp.asarray(k, jnp.int32), numbers)) for k in range(steps)])
    return matrices if matrices.ndim == 4 else np.repeat(matrices[..., None], runs, axis=3)


# ---------------------------------------------------------------- allocation


@dataclass(frozen=True)
class Shares:
    """An allocation half, its start, its penalty, and price(i, x, run) for the oracle."""

    allocation: jc.Allocation
    start: np.ndarray
    bounds: jc.bounds.Penalty
    price: Callable[[int, float, int], float]


def _shares(rng: Any, cost: Any, cost_price: Any, lower: Any, upper: Any, form: str, scale: float = 1.0) -> Shares:
    """Runs have starts of their own within (0.5, 1.5) and a common budget; a bound is a scalar, [nodes] or None."""
    start = rng.uniform(0.5, 1.5, (NODES, RUNS))
    start *= NODES / start.sum(axis=0)
    bounds = jc.bounds.Penalty(
        weight=scale * np.array([2.0, 1.0, 3.0]), sharpness=np.array([10.0, 5.0, 8.0]), form=form
    )
    low, high = (
        np.broadcast_to(end if bound is None else bound, (NODES,)) for bound, end in ((lower, -np.inf), (upper, np.inf))
    )

    def price(i: int, x: float, run: int) -> float:
        weight, sharpness = np.asarray(bounds.weight)[run], np.asarray(bounds.sharpness)[run]
        with np.errstate(over="ignore"):
            return cost_price(i, x, run) + oracle.penalty_price(x, low[i], high[i], weight, sharpness, form)

    return Shares(jc.Allocation(cost, float(NODES), lower, upper), start, bounds, price)


def quadratic_shares(rng: Any) -> Shares:
    a, c = rng.uniform(0.5, 3, NODES), rng.uniform(0, 2, (NODES, RUNS))
    cost = jc.costs.Quadratic(a, c, 1.0)
    lower, upper = rng.uniform(0, 0.6, NODES), rng.uniform(1.1, 1.6, NODES)
    return _shares(rng, cost, lambda i, x, r: oracle.quadratic_price(x, a[i], c[i, r]), lower, upper, "softplus")


def latency_power_shares(rng: Any) -> Shares:
    work, p, e = rng.uniform(0.2, 2, NODES), rng.uniform(0.2, 1, NODES), rng.uniform(1, 3)
    cost = jc.costs.Latency(work) + jc.costs.Power(p, e)

    def price(i: int, x: float, run: int) -> float:
        return oracle.latency_price(x, work[i]) + oracle.power_price(x, p[i], e)

    return _shares(rng, cost, price, 0.3, rng.uniform(1, 2, NODES), "square")


def queueing_shares(rng: Any) -> Shares:
    capacity, a = rng.uniform(2.5, 4, NODES), rng.uniform(0.2, 1, NODES)
    cost = jc.costs.Queueing(capacity) + jc.costs.Quadratic(a, 0.5)
    lower = np.where(np.arange(NODES) % 2, rng.uniform(0.2, 0.9, NODES), -np.inf)

    def price(i: int, x: float, run: int) -> float:
        return oracle.queueing_price(x, capacity[i]) + oracle.quadratic_price(x, a[i], 0.5)

    return _shares(rng, cost, price, lower, None, "softplus")


def custom_shares(rng: Any) -> Shares:
    a = rng.uniform(0.5, 2, NODES)
    cost = jc.costs.Custom(cosh_cost, a)
    return _shares(rng, cost, lambda i, x, r: a[i] * np.sinh(x), None, None, "square")


def cosh_cost(x: jax.Array, a: jax.Array) -> jax.Array:
    return a * jnp.cosh(x)


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Fit:
    """A training half, its start (leaves [nodes, *shape, runs]), and gradient(i, y_i, run) for the oracle."""

    training: jc.Training
    start: Any
    gradient: Callable[[int, np.ndarray, int], np.ndarray]


KINDS = {
    "linear": lambda l2, mu: jc.losses.Linear(l2=l2),
    "logistic": lambda l2, mu: jc.losses.Logistic(l2=l2, intercept=False),
    "softmax": lambda l2, mu: jc.losses.Softmax(classes=CLASSES, l2=l2),
    "hinge": lambda l2, mu: jc.losses.SmoothHinge(l2=l2, sharpness=mu),
}


def labels(rng: Any, kind: str, shape: Any) -> np.ndarray:
    if kind == "linear":
        return rng.normal(size=shape)
    return rng.integers(0, CLASSES, shape) if kind == "softmax" else rng.choice([-1, 1], shape)


def fit(rng: Any, kind: str, masked: bool, weighted: bool) -> Fit:
    features, targets = rng.normal(size=(NODES, SAMPLES, FEATURES)), labels(rng, kind, (NODES, SAMPLES))
    mask = rng.random((NODES, SAMPLES)) < 0.6 if masked else np.ones((NODES, SAMPLES), bool)
    mask[:, rng.integers(SAMPLES)] = True
    weights = rng.uniform(0.5, 1.5, NODES) if weighted else None
    l2, mu = rng.uniform(0.01, 0.1, RUNS), rng.uniform(2, 8, RUNS)
    training = jc.Training(KINDS[kind](l2, mu), features, targets, mask if masked else None, weights)
    outputs = (CLASSES,) if kind == "softmax" else ()
    start = {"weights": rng.normal(size=(NODES, FEATURES, *outputs, RUNS))}
    if kind != "logistic":
        start["bias"] = rng.normal(size=(NODES, *outputs, RUNS))

    def gradient(i: int, y: np.ndarray, run: int) -> np.ndarray:
        share = 1.0 if weights is None else weights[i]
        rows = features[i][mask[i]], targets[i][mask[i]]
        return oracle.node_gradient(kind, y, *rows, max(1, sum(outputs)), l2[run], share, mu[run])

    return Fit(training, start, gradient)


def one_run(params: Any, run: int) -> np.ndarray:
    """The parameters of one run, flattened as the oracle does: [nodes, m]."""
    leaves = {name: np.asarray(leaf)[..., run] for name, leaf in params.items()}
    return np.stack([oracle.flatten({name: leaf[i] for name, leaf in leaves.items()}) for i in range(NODES)])


# ---------------------------------------------------------------- both halves, and the channels

PROBLEMS = {
    "quadratic-linear": (quadratic_shares, partial(fit, kind="linear", masked=True, weighted=True)),
    "latency-logistic": (latency_power_shares, partial(fit, kind="logistic", masked=True, weighted=False)),
    "queueing-softmax": (queueing_shares, partial(fit, kind="softmax", masked=False, weighted=True)),
    "custom-hinge": (custom_shares, partial(fit, kind="hinge", masked=False, weighted=False)),
}
PLACEMENTS = ("message", "difference", "innovation")
RHO, GRID, SCALE, LIMIT = (
    np.array([0.3, 0.7, 0.05]),
    np.array([0.3, 0.1, 0.5]),
    np.array([0.1, 0.2, 0.05]),
    np.array([0.5, 1, 0.2]),
)
QUANTIZERS = {
    "ideal": (jc.channels.Ideal, lambda run: oracle.ideal),
    "log": (partial(jc.channels.LogQuantizer, RHO), lambda run: partial(oracle.log_quantize, rho=RHO[run])),
    "log-5-bits": (
        partial(jc.channels.LogQuantizer, RHO, bits=5, scale=0.2),
        lambda run: partial(oracle.log_quantize, rho=RHO[run], bits=5, scale=0.2),
    ),
    "uniform": (
        partial(jc.channels.UniformQuantizer, GRID),
        lambda run: partial(oracle.uniform_quantize, step=GRID[run]),
    ),
    "uniform-3-bits": (
        partial(jc.channels.UniformQuantizer, GRID, bits=3),
        lambda run: partial(oracle.uniform_quantize, step=GRID[run], bits=3),
    ),
    "sign": (partial(jc.channels.Sign, SCALE), lambda run: partial(oracle.sign_quantize, scale=SCALE[run])),
    "clip": (partial(jc.channels.Clip, LIMIT), lambda run: partial(oracle.clip, limit=LIMIT[run])),
}
