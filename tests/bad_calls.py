"""A right call of each kind, with one thing made wrong, and how it must be refused."""

import re
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods import GradientTracking, LaplacianFlow

N, SAMPLES, FEATURES = 4, 5, 3
ONES, CENTER = np.ones(N), np.arange(N, dtype=float)
X = np.random.default_rng(0).normal(size=(N, SAMPLES, FEATURES))
Y = np.where(X[..., 0] > 0, 1.0, -1.0)
FULL, SHORT = np.ones((N, SAMPLES), bool), np.array([[True] * (SAMPLES - 1) + [False]] + [[True] * SAMPLES] * (N - 1))
RING = nx.cycle_graph(N)
NETWORK = jc.Network.from_graphs(RING)
NONE = object()

Case = tuple[Callable[[], Any], type[Exception], tuple[str, ...]]


def cost(curvature: Any = ONES, center: Any = CENTER) -> jc.costs.Quadratic:
    return jc.costs.Quadratic(curvature, center)


def cpu(cost: Any = None, budget: Any = 6.0, lower: Any = 0.0, upper: Any = 3.0) -> jc.Allocation:
    return jc.Allocation(globals()["cost"]() if cost is None else cost, budget, lower, upper)


def custom(fn: Any) -> jc.Allocation:
    return cpu(jc.costs.Custom(fn, ONES))


def fit(loss: Any = None, features: Any = X, targets: Any = Y, **rest: Any) -> jc.Training:
    return jc.Training(jc.losses.Logistic(l2=0.1) if loss is None else loss, features, targets, **rest)


def flow(**settings: Any) -> LaplacianFlow:
    return LaplacianFlow(**({"step": 0.1} | settings))


def track(**settings: Any) -> GradientTracking:
    return GradientTracking(**({"step": 0.1} | settings))


def run(
    allocation: Any = None, training: Any = None, work: Any = None, by: Any = NONE, learn: Any = NONE, **rest: Any
) -> Any:
    """solve with a method for each half that is there; `by` and `learn` replace it, `via` is the channel."""
    network, via, steps = rest.pop("network", NETWORK), rest.pop("via", jc.channels.Ideal()), rest.pop("steps", 2)
    if by is NONE:
        by = None if allocation is None else flow()
    if learn is NONE:
        learn = None if training is None else track()
    method = jc.CoOptimizer(by, learn, via)
    rest = {"optimum": jc.Optimum()} | rest
    return jc.solve(jc.Problem(allocation, training, work), network, method, steps, **rest)


def graphs(*args: Any, **rest: Any) -> Callable[[], Any]:
    return lambda: jc.Network.from_graphs(*args, **rest)


def alloc(*args: Any, call: Any = None, **rest: Any) -> Callable[[], Any]:
    """A run of the allocation half; `call` holds what goes to `run`."""
    return lambda: run(cpu(*args, **rest), **(call or {}))


def train(*args: Any, call: Any = None, **rest: Any) -> Callable[[], Any]:
    return lambda: run(training=fit(*args, **rest), **(call or {}))


def given(**call: Any) -> Callable[[], Any]:
    """A right allocation, run with wrong arguments."""
    return lambda: run(cpu(), **call)


def learned(**call: Any) -> Callable[[], Any]:
    return lambda: run(training=fit(), **call)


def via(channel: Any, **call: Any) -> Callable[[], Any]:
    return lambda: run(cpu(), via=channel, **call)


def but(array: Any, index: Any, value: float) -> np.ndarray:
    """A copy with one entry replaced."""
    array = np.array(array, float)
    array[index] = value
    return array


def ring_weights(*entries: tuple[int, int, float]) -> np.ndarray:
    weights = nx.to_numpy_array(RING) * 0.3
    for i, j, value in entries:
        weights[i, j] = value
    return weights


def attributed(value: Any, leave_out: bool = False) -> nx.Graph:
    graph = nx.cycle_graph(N)
    for edge in list(graph.edges)[leave_out:]:
        graph.edges[edge]["bandwidth"] = value
    return graph


def missing(words: tuple[str, ...], message: str) -> list[str]:
    return [word for word in words if not re.search(word, message)]


def check_refused(case: Case) -> None:
    """Of the very type, not of one above it: an error that leaked says nothing to a user."""
    call, error, words = case
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error, f"{caught.value!r} leaked"
    assert not missing(words, str(caught.value)), str(caught.value)
