"""Every wrong input is refused before anything runs: the words name the argument, what was given and what to do."""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pandas as pd
import pytest

import jaxcoopt as jc
from jaxcoopt.channel import Clip, LogQuantizer, Sign, UniformQuantizer
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


# ---------------------------------------------------------------- a right call, with one thing made wrong


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


# ---------------------------------------------------------------- what must be refused: call, error, words

BUDGET: dict[str, Case] = {
    "above the box": (alloc(budget=13.0), ValueError, ("allocation.budget", "13", r"\[0, 12\]", "change")),
    "below the box": (alloc(budget=-1.0), ValueError, ("allocation.budget", "-1", r"\[0, 12\]", "change")),
    "one run above": (
        alloc(budget=np.array([6.0, 13.0]), call={"runs": 2}),
        ValueError,
        ("allocation.budget", "13", "run 1", "change"),
    ),
    "bounds per run": (
        alloc(upper=np.array([[3.0, 1.0]] * N), call={"runs": 2}),
        ValueError,
        ("allocation.budget", "run 1", r"\[0, 4\]"),
    ),
    "crossed bounds": (
        alloc(lower=but(np.zeros(N), 1, 4)),
        ValueError,
        ("allocation.lower", "allocation.upper", "node 1", "4 > 3", "at most"),
    ),
    "infinite lower": (alloc(lower=np.inf), ValueError, ("allocation.lower is above allocation.upper", "inf > 3")),
    "outside the domain": (
        lambda: run(jc.Allocation(jc.costs.Latency(ONES), -6.0)),
        ValueError,
        ("allocation.budget", "Latency", "more than 0", "-6", "change"),
    ),
    "above all capacities": (
        lambda: run(jc.Allocation(jc.costs.Queueing(ONES), 6.0)),
        ValueError,
        ("allocation.budget", "Queueing", "less than 4", "6", "change"),
    ),
    "at the open end": (
        alloc(jc.costs.Latency(ONES), budget=0.0),
        ValueError,
        ("allocation.budget", "Latency", "more than 0", "got 0"),
    ),
    "per node": (alloc(budget=ONES * 1.5), ValueError, ("allocation.budget", r"\[runs\] = \(1,\)", r"\(4,\)")),
}

NOT_FINITE: dict[str, Case] = {
    "features": (
        train(features=but(X, (1, 2, 0), np.nan)),
        ValueError,
        ("training.features", "1 of 60", "nan", r"\(1, 2, 0\)", "clean"),
    ),
    "features inf": (train(features=but(X, (1, 2, 0), -np.inf)), ValueError, ("training.features", "-inf", "finite")),
    "targets": (train(targets=but(Y, (1, 2), np.inf)), ValueError, ("training.targets", "inf", r"\(1, 2\)", "clean")),
    "padding": (
        train(features=but(X, (0, 4, 1), np.nan), mask=SHORT),
        ValueError,
        ("training.features", "nan", "fill padding with 0"),
    ),
    "padded targets": (
        train(targets=but(Y, (0, 4), np.nan), mask=SHORT),
        ValueError,
        ("training.targets", "nan", "fill padding with 0"),
    ),
    "cost": (alloc(cost(but(ONES, 1, np.nan))), ValueError, ("allocation.cost.curvature", "nan", r"\(1,\)")),
    "cost in a sum": (
        alloc(cost() + jc.costs.Quadratic(ONES, but(ONES, 2, np.inf))),
        ValueError,
        ("allocation.cost", "center", "inf", r"\(2,\)"),
    ),
    "custom cost": (
        alloc(jc.costs.Custom(lambda x, p: p["a"] * x**2, {"a": but(ONES, 0, np.nan)})),
        ValueError,
        ("allocation.cost.parameters", "a", "nan"),
    ),
    "budget": (alloc(budget=np.nan), ValueError, ("allocation.budget", "finite", "nan")),
    "lower": (alloc(lower=np.nan), ValueError, ("allocation.lower", "NaN", "None")),
    "upper": (alloc(upper=but(ONES * 3, 2, np.nan)), ValueError, ("allocation.upper", "NaN", "None")),
    "weights": (train(weights=but(ONES, 0, np.nan)), ValueError, ("training.weights", "nan", r"\(0,\)")),
    "weights inf": (train(weights=but(ONES, 0, np.inf)), ValueError, ("training.weights", "inf")),
    "work": (given(work=but(ONES, 3, np.nan)), ValueError, ("work", "nan", r"\(3,\)")),
    "initial allocation": (
        given(initial=jc.Initial(allocation=but(ONES, 0, np.nan))),
        ValueError,
        ("initial.allocation", "nan", r"\(0,\)"),
    ),
    "initial params": (
        learned(initial=jc.Initial(params={"weights": but(np.zeros(3), 1, np.inf), "bias": 0.0})),
        ValueError,
        ("initial.params", "weights", "inf", r"\(1,\)"),
    ),
    "step": (given(by=flow(step=np.inf)), ValueError, ("method.allocation.step", "finite", "inf")),
    "rho": (via(LogQuantizer(rho=np.nan)), ValueError, ("channel.rho", "finite", "nan")),
    "tol": (given(tol=float("nan")), ValueError, ("tol", "finite", "nan")),
    "failure_rate": (graphs(RING, failure_rate=np.nan), ValueError, ("failure_rate", "finite", "nan")),
    "link weight": (graphs(RING, weights=np.nan), ValueError, ("weights", "NaN", "finite")),
    "link weights": (graphs(RING, weights=ring_weights((0, 1, np.nan))), ValueError, ("weights", "NaN", "finite")),
    "link attribute": (graphs(attributed(np.inf), weights="bandwidth"), ValueError, ("weights", "infinity", "finite")),
}

SHAPES: dict[str, Case] = {
    "cost": (alloc(cost(np.ones(5))), ValueError, ("allocation.cost.curvature", "5 nodes", "network has 4")),
    "second constant": (alloc(cost(ONES, np.ones(3))), ValueError, ("allocation.cost.center", "3 nodes", "4")),
    "cost runs": (
        alloc(cost(np.ones((N, 3))), call={"runs": 2}),
        ValueError,
        ("allocation.cost.curvature", "3 runs", "asked for 2"),
    ),
    "cost axes": (
        alloc(cost(np.ones((N, 1, 1)))),
        ValueError,
        ("allocation.cost.curvature", r"\(4, 1, 1\)", r"\[nodes"),
    ),
    "custom parameters": (
        alloc(jc.costs.Custom(lambda x, p: p * x**2, np.ones(5))),
        ValueError,
        ("allocation.cost.parameters", "5 nodes", "4"),
    ),
    "lower": (alloc(lower=np.zeros(5)), ValueError, ("allocation.lower", "5 nodes", "network has 4")),
    "upper": (alloc(upper=np.ones(5) * 3), ValueError, ("allocation.upper", "5 nodes", "network has 4")),
    "features": (
        train(features=np.ones((5, SAMPLES, 2)), targets=np.ones((5, SAMPLES))),
        ValueError,
        ("training.features", "5 nodes", "network has 4"),
    ),
    "halves": (
        lambda: run(cpu(), fit(features=X[:3], targets=Y[:3])),
        ValueError,
        ("training.features", "3 nodes", "network has 4"),
    ),
    "2-D features": (
        train(features=X[:, :, 0]),
        ValueError,
        ("training.features", r"\[nodes, samples, features\]", r"\(4, 5\)", "split"),
    ),
    "no samples": (
        train(features=np.ones((N, 0, 3)), targets=np.ones((N, 0))),
        ValueError,
        ("training.features", r"\(4, 0, 3\)"),
    ),
    "data frame": (train(features=pd.DataFrame(X[:, :, 0])), ValueError, ("training.features", r"\(4, 5\)", "split")),
    "ragged features": (
        train(features=[X[0], X[1][:3], X[2], X[3]]),
        TypeError,
        ("training.features", "differ in shape", "pad", "mask"),
    ),
    "targets": (train(targets=Y[:, :4]), ValueError, ("training.targets", r"\(4, 5\)", r"got \(4, 4\)")),
    "targets column": (train(targets=Y[..., None]), ValueError, ("training.targets", r"\(4, 5\)", r"got \(4, 5, 1\)")),
    "mask": (train(mask=np.ones((5, SAMPLES), bool)), ValueError, ("training.mask", r"\(4, 5\)", r"got \(5, 5\)")),
    "weights": (train(weights=np.ones(5)), ValueError, ("training.weights", r"\(4,\)", r"got shape \(5,\)")),
    "weights scalar": (train(weights=1.0), ValueError, ("training.weights", r"\[nodes\]", r"got shape \(\)")),
    "work": (given(work=np.ones(5)), ValueError, ("work", "5 nodes", "network has 4")),
    "network": (
        given(network=jc.Network.from_graphs(nx.path_graph(5))),
        ValueError,
        ("allocation.cost.curvature", "4 nodes", "network has 5"),
    ),
    "initial allocation": (
        given(initial=jc.Initial(allocation=np.full(5, 1.2))),
        ValueError,
        ("initial.allocation", r"\[nodes\] = \(4,\)", r"got \(5,\)"),
    ),
    "initial params": (
        learned(initial=jc.Initial(params={"weights": np.ones(FEATURES + 1), "bias": 0.0})),
        ValueError,
        ("initial.params", "weights", r"\(3,\)", r"got \(4,\)"),
    ),
    "initial params nodes": (
        learned(initial=jc.Initial(params={"weights": np.ones((5, FEATURES)), "bias": np.zeros(5)})),
        ValueError,
        ("initial.params", r"\[nodes, \.\.\.\]", r"got \(5,"),
    ),
    "initial params structure": (
        learned(initial=jc.Initial(params={"weights": np.ones(FEATURES)})),
        ValueError,
        ("initial.params", "bias", "structure", "got"),
    ),
    "initial misses the budget": (
        given(initial=jc.Initial(allocation=ONES)),
        ValueError,
        ("initial.allocation", "sums to 4", "budget is 6", "leave it None"),
    ),
    "initial for a missing half": (
        given(initial=jc.Initial(params={"weights": np.ones(3)})),
        ValueError,
        ("initial.params", "no training half", "None"),
    ),
    "initial for the other half": (
        learned(initial=jc.Initial(allocation=ONES)),
        ValueError,
        ("initial.allocation", "no allocation half", "None"),
    ),
}

PER_RUN: dict[str, Case] = {
    name: (call, ValueError, (name, r"scalar", r"\[runs\] = \(2,\)", r"\(3,\)"))
    for name, call in {
        "method.allocation.step": given(by=flow(step=np.ones(3)), runs=2),
        "method.allocation.momentum": given(by=flow(momentum=np.zeros(3)), runs=2),
        "method.allocation.bounds.weight": given(by=flow(bounds=jc.bounds.Penalty(weight=np.ones(3))), runs=2),
        "method.training.step": learned(learn=track(step=np.ones(3)), runs=2),
        "channel.rho": via(LogQuantizer(rho=np.ones(3)), runs=2),
        "network.failure_rate": given(network=jc.Network.from_graphs(RING, failure_rate=[0.1, 0.2, 0.3]), runs=2),
        "training.loss.l2": train(jc.losses.Logistic(l2=np.ones(3)), call={"runs": 2}),
        "allocation.budget": alloc(budget=np.full(3, 6.0), call={"runs": 2}),
    }.items()
} | {
    "2-D": (given(by=flow(step=np.ones((2, 1))), runs=2), ValueError, ("method.allocation.step", r"\(2, 1\)")),
    "l2 per node": (
        train(jc.losses.Logistic(l2=ONES), call={"runs": 2}),
        ValueError,
        ("training.loss.l2", r"\[runs\]", r"\(4,\)"),
    ),
}

NETWORKS: dict[str, Case] = {
    "not connected": (
        graphs(nx.Graph([(0, 1), (2, 3)])),
        ValueError,
        ("graphs", "not connected", "2 parts", r"\[0, 1\]", "add edges"),
    ),
    "union not connected": (
        graphs([nx.Graph([(0, 1), (2, 3)]), nx.Graph([(2, 3), (0, 1)])]),
        ValueError,
        ("graphs", "union", "not connected", "add edges"),
    ),
    "left out of the sequence": (
        graphs([nx.Graph([(0, 1), (2, 3)]), RING], switching=[0, 0]),
        ValueError,
        ("not connected", "switching sequence"),
    ),
    "asymmetric": (
        graphs(RING, weights=ring_weights((0, 1, 0.5))),
        ValueError,
        ("weights", "asymmetric", "w_ij = 0.5, w_ji = 0.3", "make w_ij = w_ji"),
    ),
    "negative array": (
        graphs(RING, weights=ring_weights((0, 1, -0.5), (1, 0, -0.5))),
        ValueError,
        ("weights", "negative", "-0.5", "above 0"),
    ),
    "negative number": (graphs(RING, weights=-1.0), ValueError, ("weights", "negative", "-1", "above 0")),
    "negative attribute": (graphs(attributed(-1.0), weights="bandwidth"), ValueError, ("weights", "negative")),
    "zero number": (graphs(RING, weights=0), ValueError, ("weights", "missing", "above 0")),
    "zero on an edge": (
        graphs(RING, weights=ring_weights((0, 1, 0), (1, 0, 0))),
        ValueError,
        ("weights", "missing", "nodes 0, 1", "give every edge"),
    ),
    "where no edge is": (
        graphs(RING, weights=ring_weights((0, 2, 0.5), (2, 0, 0.5))),
        ValueError,
        ("weights", "no edge", "nodes 0, 2", "add the edge"),
    ),
    "attribute missing on an edge": (
        graphs(attributed(1.0, leave_out=True), weights="bandwidth"),
        ValueError,
        ("weights", "bandwidth", r"\(0, 1\)", "every edge needs"),
    ),
    "attribute not a number": (
        graphs(attributed("fast"), weights="bandwidth"),
        TypeError,
        ("weights", "'fast'", "number"),
    ),
    "misspelt attribute": (
        graphs(attributed(1.0), weights="bandwith"),
        ValueError,
        ("weights", "'bandwith'", "did you mean 'bandwidth'"),
    ),
    "misspelt rule": (graphs(RING, weights="metroplis"), ValueError, ("weights", "did you mean 'metropolis'")),
    "number in quotes": (graphs(RING, weights="0.3"), ValueError, ("weights", "'0.3'", "metropolis, max_degree")),
    "no rule": (graphs(RING, weights=None), TypeError, ("weights", "None", "number")),
    "weights dict": (graphs(RING, weights={(0, 1): 0.3}), TypeError, ("weights", "number")),
    "weights shape": (graphs(RING, weights=np.ones((3, 3))), ValueError, ("weights", r"\(4, 4\)", r"got \(3, 3\)")),
    "one rule of two": (graphs([RING, RING], weights=["metropolis"]), ValueError, ("weights", "1 for 2 graphs")),
    "second of two": (
        graphs([RING, RING], weights=[0.3, ring_weights((0, 1, 0.5))]),
        ValueError,
        (r"weights\[1\]", "asymmetric"),
    ),
    "directed": (graphs(nx.DiGraph([(0, 1), (1, 0)])), ValueError, (r"graphs\[0\]", "directed", "to_undirected")),
    "other nodes": (graphs([RING, nx.cycle_graph(5)]), ValueError, (r"graphs\[1\]", "5 nodes", "same nodes")),
    "other labels": (
        graphs([nx.path_graph(3), nx.path_graph("abc")]),
        ValueError,
        (r"graphs\[1\]", "labels differ", "same nodes"),
    ),
    "one node": (graphs(nx.path_graph(1)), ValueError, ("graphs", "at least 2 nodes", "got 1")),
    "no nodes": (graphs(nx.Graph()), ValueError, ("graphs", "at least 2 nodes", "got 0")),
    "no graphs": (graphs([]), ValueError, ("graphs", "none", "at least one")),
    "failure_rate 1": (graphs(RING, failure_rate=1.0), ValueError, ("failure_rate", r"\[0, 1\)", "got 1")),
    "failure_rate negative": (graphs(RING, failure_rate=-0.1), ValueError, ("failure_rate", r"\[0, 1\)", "-0.1")),
    "one failure_rate of two": (graphs(RING, failure_rate=[0.1, 1.0]), ValueError, ("failure_rate", r"\[0, 1\)")),
    "failure_rate 2-D": (graphs(RING, failure_rate=[[0.1]]), ValueError, ("failure_rate", r"\[runs\]")),
    "failure_rate text": (graphs(RING, failure_rate="often"), TypeError, ("failure_rate", "'often'", "number")),
    "switching": (graphs(RING, switching="cyle"), ValueError, ("switching", "did you mean 'cycle'")),
    "switching to nowhere": (graphs(RING, switching=[0, 1]), ValueError, ("switching", r"0 \.\. 0", "0 to 1")),
    "switching negative": (graphs(RING, switching=[-1]), ValueError, ("switching", r"0 \.\. 0", "-1")),
    "switching empty": (graphs(RING, switching=[]), ValueError, ("switching", "sequence of graph indices")),
}

NUMBERS: dict[str, Case] = {
    "rho 0": (via(LogQuantizer(rho=0.0)), ValueError, ("channel.rho", "above 0", "got 0")),
    "rho negative": (via(LogQuantizer(rho=-1.0)), ValueError, ("channel.rho", "above 0", "got -1")),
    "one rho of two": (
        via(LogQuantizer(rho=np.array([0.5, -2.0])), runs=2),
        ValueError,
        ("channel.rho", "above 0", "-2", "1 of 2"),
    ),
    "uniform step": (via(UniformQuantizer(step=0.0)), ValueError, ("channel.step", "above 0", "got 0")),
    "limit": (via(Clip(limit=-1.0)), ValueError, ("channel.limit", "above 0", "got -1")),
    "sign scale": (via(Sign(scale=0.0)), ValueError, ("channel.scale", "above 0")),
    "width": (via(LogQuantizer(width=0.0)), ValueError, ("channel.width", "above 0")),
    "1 bit": (via(LogQuantizer(bits=1)), ValueError, ("channel.bits", "from 2", "got 1", "channels.Sign")),
    "no bits": (via(UniformQuantizer(step=0.1, bits=0)), ValueError, ("channel.bits", "from 2", "got 0")),
    "too many bits": (via(UniformQuantizer(step=0.1, bits=64)), ValueError, ("channel.bits", "32", "got 64")),
    "step 0": (given(by=flow(step=0.0)), ValueError, ("method.allocation.step", "above 0", "got 0")),
    "step negative": (given(by=flow(step=-0.1)), ValueError, ("method.allocation.step", "above 0", "got -0.1")),
    "training step": (learned(learn=track(step=0.0)), ValueError, ("method.training.step", "above 0", "got 0")),
    "momentum 1": (given(by=flow(momentum=1.0)), ValueError, ("method.allocation.momentum", "below 1", "got 1")),
    "momentum negative": (given(by=flow(momentum=-0.1)), ValueError, ("method.allocation.momentum", "at least 0")),
    "penalty weight": (
        given(by=flow(bounds=jc.bounds.Penalty(weight=-1.0))),
        ValueError,
        ("method.allocation.bounds.weight", "at least 0", "got -1"),
    ),
    "penalty sharpness": (
        given(by=flow(bounds=jc.bounds.Penalty(sharpness=0.0))),
        ValueError,
        ("method.allocation.bounds.sharpness", "above 0", "got 0"),
    ),
    "steps 0": (given(steps=0), ValueError, ("steps", "1 or more", "got 0")),
    "runs 0": (given(runs=0), ValueError, ("runs", "1 or more", "got 0")),
    "runs negative": (given(runs=-3), ValueError, ("runs", "1 or more", "got -3")),
    "record_every 0": (given(record_every=0), ValueError, ("record_every", "1 or more", "got 0")),
    "batch_size 0": (
        learned(learn=track(batch_size=0)),
        ValueError,
        ("method.training.batch_size", "1 or more", "got 0"),
    ),
    "tol 0": (given(tol=0.0), ValueError, ("tol", "above 0", "got 0")),
    "tol negative": (given(tol=-1.0), ValueError, ("tol", "above 0", "got -1")),
    "tol without optimum": (
        train(jc.losses.MLP((4,)), call={"tol": 1e-3}),
        ValueError,
        ("tol", "non-convex", "leave tol out"),
    ),
    "l2 negative": (train(jc.losses.Logistic(l2=-0.1)), ValueError, ("training.loss.l2", "at least 0", "got -0.1")),
    "hinge sharpness": (
        train(jc.losses.SmoothHinge(sharpness=0.0)),
        ValueError,
        ("training.loss.sharpness", "above 0"),
    ),
    "hidden size": (train(jc.losses.MLP((0,))), ValueError, ("training.loss.hidden", "1 or more", "got 0")),
    "weights 0": (train(weights=np.zeros(N)), ValueError, ("training.weights", "all of them are 0", "positive")),
    "weights negative": (train(weights=but(ONES, 1, -1)), ValueError, ("training.weights", "at least 0", "got -1")),
    "mask leaves a node empty": (
        train(mask=np.array([[True] * SAMPLES] * 3 + [[False] * SAMPLES])),
        ValueError,
        ("training.mask", "node 3", "no sample"),
    ),
    "work 0": (given(work=but(ONES, 0, 0)), ValueError, ("work", "above 0", "got 0")),
    "step and optimizer": (
        learned(learn=track(optimizer=optax.sgd(0.1))),
        ValueError,
        ("method.training", "step", "optimizer", "not both"),
    ),
    "neither step nor optimizer": (
        learned(learn=track(step=None)),
        ValueError,
        ("method.training", "step", "optimizer", "neither"),
    ),
}

COSTS: dict[str, Case] = {
    "concave": (
        custom(lambda x, p: -p * x**2),
        ValueError,
        ("allocation.cost", "not convex", "-2", "node 0", "tighten"),
    ),
    "wave": (custom(lambda x, p: p * jnp.sin(x)), ValueError, ("allocation.cost", "not convex", "second derivative")),
    "concave at one node": (
        alloc(jc.costs.Custom(lambda x, p: p * x**2, but(ONES, 2, -1))),
        ValueError,
        ("allocation.cost", "not convex", "node 2"),
    ),
    "latency below 0": (
        alloc(jc.costs.Latency(ONES), lower=-1.0),
        ValueError,
        ("allocation.cost", "Latency", r"\(0, inf\)", r"\[-1, 3\]", "tighten allocation.lower"),
    ),
    "queue over capacity": (
        alloc(jc.costs.Queueing(but(ONES * 4, 3, 2))),
        ValueError,
        ("allocation.cost", "Queueing", r"\(-inf, 2\)", r"\[0, 3\]", "tighten"),
    ),
    "exponent": (alloc(jc.costs.Power(ONES, 0.5)), ValueError, ("allocation.cost.exponent", "at least 1", "0.5")),
    "curvature 0": (alloc(cost(0.0)), ValueError, ("allocation.cost.curvature", "above 0", "got 0")),
    "work": (alloc(jc.costs.Latency(but(ONES, 1, -1))), ValueError, ("allocation.cost.work", "above 0", "-1")),
    "coefficient": (alloc(jc.costs.Power(-1.0)), ValueError, ("allocation.cost.coefficient", "above 0", "-1")),
    "a term": (alloc(cost() + cost(-0.5)), ValueError, ("allocation.cost", "curvature", "above 0", "-0.5")),
    "coupled nodes": (
        custom(lambda x, p: p * x**2 + (x - x.mean(0, keepdims=True)) ** 2),
        ValueError,
        ("allocation.cost", "elementwise", "another", "means"),
    ),
    "coupled runs": (
        custom(lambda x, p: p * x**2 + (x - x.mean(1, keepdims=True)) ** 2),
        ValueError,
        ("allocation.cost", "elementwise", "runs"),
    ),
    "one argument": (custom(lambda x: x**2), TypeError, ("allocation.cost", r"fn\(x, parameters\)", "2 were given")),
    "numpy inside": (custom(lambda x, p: p * np.asarray(x) ** 2), TypeError, ("allocation.cost", "jax.numpy")),
    "branch": (custom(lambda x, p: x if x > 0 else -x), TypeError, ("allocation.cost", "elementwise", "jax.numpy")),
}
COSTS = {
    name: ((lambda half=half: run(half)) if isinstance(half, jc.Allocation) else half, error, words)
    for name, (half, error, words) in COSTS.items()
}

LABELS: dict[str, Case] = {
    "three classes": (
        train(targets=np.tile([0, 1, 2, 0, 1], (N, 1))),
        ValueError,
        ("training.targets", "Logistic", "0 and 1", r"\[0.0, 1.0, 2.0\]"),
    ),
    "-1, 0 and 1": (train(targets=np.tile([-1, 0, 1, 0, 1], (N, 1))), ValueError, ("training.targets", "-1 and")),
    "1 and 2": (train(jc.losses.SmoothHinge(), targets=np.where(Y > 0, 2, 1)), ValueError, ("SmoothHinge", "0 and 1")),
    "class too high": (
        train(jc.losses.Softmax(3), targets=np.tile([0, 1, 2, 3, 0], (N, 1))),
        ValueError,
        ("training.targets", r"Softmax\(classes=3\)", r"0 \.\. 2", "0 to 3"),
    ),
    "class negative": (
        train(jc.losses.Softmax(3), targets=np.where(Y > 0, 1, -1)),
        ValueError,
        (r"0 \.\. 2", "-1 to 1"),
    ),
    "class fraction": (train(jc.losses.Softmax(3), targets=np.full((N, SAMPLES), 0.5)), ValueError, ("whole numbers",)),
    "class of an MLP": (train(jc.losses.MLP((4,), classes=2), targets=Y), ValueError, (r"MLP\(classes=2\)", "-1 to 1")),
    "one class": (
        train(jc.losses.Softmax(1), targets=np.zeros((N, SAMPLES))),
        ValueError,
        ("training.loss.classes", "2 or more", "got 1"),
    ),
    "text": (train(targets=np.full((N, SAMPLES), "cat")), TypeError, ("training.targets", "number", "'cat'")),
}

HALVES: dict[str, Case] = {
    "no halves": (lambda: run(), ValueError, ("problem", "neither", "at least one")),
    "method lacks allocation": (given(by=None), ValueError, ("method.allocation", "missing", "the problem has one")),
    "method lacks training": (learned(learn=None), ValueError, ("method.training", "missing", "the problem has one")),
    "problem lacks training": (given(learn=track()), ValueError, ("problem.training", "missing", "the method has one")),
    "problem lacks allocation": (
        learned(by=flow()),
        ValueError,
        ("problem.allocation", "missing", "the method has one"),
    ),
}

NOT_NUMBERS: dict[str, Case] = {
    "step in quotes": (given(by=flow(step="0.1")), TypeError, ("method.allocation.step", "'0.1'", "number")),
    "no step": (given(by=flow(step=None)), TypeError, ("method.allocation.step", "None", "number")),
    "no budget": (alloc(budget=None), TypeError, ("allocation.budget", "None", "number")),
    "budget in quotes": (alloc(budget="6"), TypeError, ("allocation.budget", "'6'", "number")),
    "date": (alloc(budget=np.datetime64("2020-01-01")), TypeError, ("allocation.budget", "2020", "number")),
    "object array": (
        alloc(cost(np.array([1, 1, 1, None], object))),
        TypeError,
        ("allocation.cost.curvature", "None", "number"),
    ),
    "no features": (train(features=None), TypeError, ("training.features", "None", "number")),
    "complex budget": (alloc(budget=6 + 1j), TypeError, ("allocation.budget", r"6\+1j", "real")),
    "complex cost": (alloc(cost(ONES + 1j)), TypeError, ("allocation.cost.curvature", r"1\.?j", "real")),
    "complex features": (train(features=X + 1j), TypeError, ("training.features", "real")),
    "complex weights": (graphs(RING, weights=ring_weights() + 0j), TypeError, ("weights", "real")),
    "mask of floats": (train(mask=np.ones((N, SAMPLES))), TypeError, ("training.mask", "float64", "astype")),
    "mask of integers": (train(mask=np.ones((N, SAMPLES), int)), TypeError, ("training.mask", "int64", "astype")),
    "list of costs": (alloc(cost([1.0] * N)), TypeError, ("allocation.cost.curvature", "list", r"np\.array")),
    "list of budgets": (
        alloc(budget=[6.0, 5.0], call={"runs": 2}),
        TypeError,
        ("allocation.budget", "list", r"np\.array"),
    ),
    "list of bounds": (alloc(lower=[[0.0, 0.0]] * N), TypeError, ("allocation.lower", "list", r"np\.array")),
    "list of steps": (
        given(by=flow(step=[0.1, 0.2, 0.3]), runs=3),
        TypeError,
        ("method.allocation.step", "list", r"np\.array"),
    ),
    "list of l2": (
        train(jc.losses.Logistic(l2=[0.1, 0.2]), call={"runs": 2}),
        TypeError,
        ("training.loss.l2", "list", r"np\.array"),
    ),
    "list in a term": (
        alloc(cost() + jc.costs.Latency([1.0] * N)),
        TypeError,
        ("allocation.cost", "work", "list", r"np\.array"),
    ),
}

REFUSED: dict[str, Case] = {
    f"{group}-{name}": case
    for group, cases in {
        "budget": BUDGET,
        "finite": NOT_FINITE,
        "shape": SHAPES,
        "per-run": PER_RUN,
        "network": NETWORKS,
        "number": NUMBERS,
        "cost": COSTS,
        "label": LABELS,
        "half": HALVES,
        "type": NOT_NUMBERS,
    }.items()
    for name, case in cases.items()
}

# Wrong kinds, which the suite's run-time type checker (tests/conftest.py) refuses before the library can; built late.
KINDS: dict[str, Case] = {
    "problem dict": (
        lambda: jc.solve({}, NETWORK, jc.CoOptimizer(flow()), 2),
        TypeError,
        ("problem", "jaxcoopt.Problem", "dict"),
    ),
    "problem half": (
        lambda: jc.solve(cpu(), NETWORK, jc.CoOptimizer(flow()), 2),
        TypeError,
        ("problem", "jaxcoopt.Problem", "Allocation"),
    ),
    "halves in the wrong places": (
        lambda: jc.solve(jc.Problem(fit()), NETWORK, jc.CoOptimizer(flow()), 2),
        TypeError,
        ("problem.allocation", "jaxcoopt.Allocation", "Training"),
    ),
    "reference of a half": (lambda: jc.reference(cpu()), TypeError, ("problem", "jaxcoopt.Problem", "Allocation")),
    "network graph": (
        lambda: jc.solve(jc.Problem(cpu()), RING, jc.CoOptimizer(flow()), 2),
        TypeError,
        ("network", "jaxcoopt.Network", "Graph", "from_graphs"),
    ),
    "bare method": (
        lambda: jc.solve(jc.Problem(cpu()), NETWORK, flow(), 2),
        TypeError,
        ("method", "jaxcoopt.CoOptimizer", "LaplacianFlow", r"CoOptimizer\(allocation=...\)"),
    ),
    "methods in the wrong places": (
        lambda: given(by=track())(),
        TypeError,
        ("method.allocation", "LaplacianFlow", "GradientTracking"),
    ),
    "training method": (
        lambda: learned(learn=flow())(),
        TypeError,
        ("method.training", "GradientTracking", "LaplacianFlow"),
    ),
    "method in quotes": (lambda: given(by="flow")(), TypeError, ("method.allocation", "'flow'")),
    "method class": (lambda: given(by=LaplacianFlow)(), TypeError, ("method.allocation", "LaplacianFlow", "class")),
    "channel in quotes": (lambda: via("log")(), TypeError, ("method.channel", "jaxcoopt.channels", "'log'")),
    "channel class": (lambda: via(LogQuantizer)(), TypeError, ("method.channel", "jaxcoopt.channels", "class")),
    "no channel": (lambda: via(None)(), TypeError, ("method.channel", "jaxcoopt.channels", "None")),
    "bounds in quotes": (
        lambda: given(by=flow(bounds="limit"))(),
        TypeError,
        ("method.allocation.bounds", "jaxcoopt.bounds", "'limit'"),
    ),
    "optimizer in quotes": (
        lambda: learned(learn=track(step=None, optimizer="adam"))(),
        TypeError,
        ("method.training.optimizer", "optax", "'adam'"),
    ),
    "optimizer not called": (
        lambda: learned(learn=track(step=None, optimizer=optax.sgd))(),
        TypeError,
        ("method.training.optimizer", "optax", "function sgd"),
    ),
    "cost function": (lambda: alloc(abs)(), TypeError, ("allocation.cost", "jaxcoopt.costs", "abs")),
    "cost class": (lambda: alloc(jc.costs.Latency)(), TypeError, ("allocation.cost", "jaxcoopt.costs", "class")),
    "cost shape": (
        lambda: alloc(jc.costs.Custom(lambda x, p: x.sum()))(),
        ValueError,
        ("allocation.cost", "elementwise", r"\(\)"),
    ),
    "cost not callable": (
        lambda: alloc(jc.costs.Custom(3.0))(),
        TypeError,
        ("allocation.cost", r"fn\(x, parameters\)", "float"),
    ),
    "loss in quotes": (lambda: train("logistic")(), TypeError, ("training.loss", "jaxcoopt.losses", "'logistic'")),
    "loss class": (lambda: train(jc.losses.Logistic)(), TypeError, ("training.loss", "jaxcoopt.losses", "class")),
    "loss per feature": (
        lambda: train(jc.losses.Custom(lambda p, x, y: (p - x) ** 2, lambda key: jnp.zeros(FEATURES)))(),
        ValueError,
        ("training.loss", "one number", r"\(3,\)"),
    ),
    "loss of two": (
        lambda: train(jc.losses.Custom(lambda p, x: 0.0, lambda key: jnp.zeros(FEATURES)))(),
        TypeError,
        ("training.loss", r"fn\(params, x, y\)", "3 were given"),
    ),
    "start without key": (
        lambda: train(jc.losses.Custom(lambda p, x, y: p @ x, lambda: jnp.zeros(FEATURES)))(),
        TypeError,
        ("training.loss", r"start\(key\)", "1 was given"),
    ),
    "start not callable": (
        lambda: train(jc.losses.Custom(lambda p, x, y: p @ x, jnp.zeros(FEATURES)))(),
        TypeError,
        ("training.loss", r"start\(key\)", "callable"),
    ),
    "classes in quotes": (
        lambda: train(jc.losses.Softmax("3"), targets=np.zeros((N, SAMPLES)))(),
        TypeError,
        ("training.loss.classes", "whole number", "'3'"),
    ),
    "hidden number": (lambda: train(jc.losses.MLP(4))(), TypeError, ("training.loss.hidden", r"\(32,\)", "4")),
    "hidden fraction": (
        lambda: train(jc.losses.MLP((4.5,)))(),
        TypeError,
        ("training.loss.hidden", "whole number", "4.5"),
    ),
    "initial array": (lambda: given(initial=ONES)(), TypeError, ("initial", "jaxcoopt.Initial", "ndarray")),
    "graph matrix": (lambda: graphs(np.ones((3, 3)))(), TypeError, (r"graphs\[0\]", "networkx", "ndarray")),
    "graph dict": (lambda: graphs({0: [1]})(), TypeError, (r"graphs\[0\]", "networkx", "int")),
    "no graph": (lambda: graphs(None)(), TypeError, ("graphs", "networkx", "NoneType")),
    "switching number": (
        lambda: graphs(RING, switching=3)(),
        ValueError,
        ("switching", "sequence of graph indices", "3"),
    ),
    "switching fractions": (
        lambda: graphs(RING, switching=[0.0])(),
        ValueError,
        ("switching", "sequence of graph indices"),
    ),
    "placement": (
        lambda: via(LogQuantizer(placement="diference"))(),
        ValueError,
        ("channel.placement", "did you mean 'difference'"),
    ),
    "derivative": (
        lambda: via(LogQuantizer(derivative="smooth"))(),
        ValueError,
        ("channel.derivative", "did you mean 'smoothed'"),
    ),
    "order": (lambda: learned(learn=track(order="atx"))(), ValueError, ("method.training.order", "did you mean 'atc'")),
    "form": (
        lambda: given(by=flow(bounds=jc.bounds.Penalty(form="squared")))(),
        ValueError,
        ("method.allocation.bounds.form", "did you mean 'square'"),
    ),
    "placement far off": (
        lambda: via(Clip(1.0, placement="xyz"))(),
        ValueError,
        ("'xyz'", "message, difference, innovation"),
    ),
    "bits fraction": (lambda: via(LogQuantizer(bits=2.5))(), ValueError, ("channel.bits", "int", "2.5")),
    "bits bool": (lambda: via(LogQuantizer(bits=True))(), ValueError, ("channel.bits", "int", "True")),
    "bits in quotes": (lambda: via(LogQuantizer(bits="8"))(), ValueError, ("channel.bits", "int", "'8'")),
    "steps fraction": (lambda: given(steps=1.5)(), TypeError, ("steps", "whole number", "1.5")),
    "steps in quotes": (lambda: given(steps="10")(), TypeError, ("steps", "whole number", "'10'")),
    "runs bool": (lambda: given(runs=True)(), TypeError, ("runs", "whole number", "True")),
    "runs float": (lambda: given(runs=2.0)(), TypeError, ("runs", "whole number", "2.0")),
    "record_every fraction": (lambda: given(record_every=0.5)(), TypeError, ("record_every", "whole number", "0.5")),
    "batch_size fraction": (
        lambda: learned(learn=track(batch_size=0.5))(),
        TypeError,
        ("method.training.batch_size", "whole number", "0.5"),
    ),
    "tol in quotes": (lambda: given(tol="small")(), TypeError, ("tol", "'small'", "number")),
    "added number": (lambda: alloc(cost() + 3.0)(), TypeError, ("allocation.cost", "3.0", "offset")),
}

# Not what the annotations say, but what users give: taken as it is meant. Looked at outside the type checker, too.
LOOSE: dict[str, Callable[[], Any]] = {
    "numpy steps": given(steps=np.int64(2)),
    "numpy counts": given(steps=np.int64(2), runs=np.int32(1), record_every=np.int64(1)),
    "numpy seed": given(seed=np.int64(7)),
    "whole tol": given(tol=1, optimum=None),
    "generator of graphs": lambda: jc.Network.from_graphs(graph for graph in [RING, RING]),
    "tuple of graphs": lambda: jc.Network.from_graphs((RING, RING)),
    "data frame of weights": lambda: jc.Network.from_graphs(RING, weights=pd.DataFrame(ring_weights())),
    "rules and arrays": lambda: jc.Network.from_graphs([RING, RING], weights=["metropolis", ring_weights()]),
    "list of features": lambda: train(features=X.tolist(), targets=Y.tolist())(),
    "list feature map": lambda: jc.features.quadratic([1.0, 2.0]),
}


@pytest.mark.fast
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error, f"{caught.value!r} leaked"
    assert not missing(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_wrong_kind_is_refused(name):
    call, error, _ = KINDS[name]
    with pytest.raises((error, TypeError)):  # the checker's own error is a TypeError
        call()


def test_wrong_kinds_are_named(outside_messages):
    """Run apart, without the type checker of the suite: what a user sees."""
    wrong = {}
    for name, (_, error, words) in KINDS.items():
        kind, message = outside_messages[name]
        if kind != error.__name__ or missing(words, message):
            wrong[name] = (kind, message, missing(words, message))
    assert not wrong


@pytest.mark.parametrize("name", LOOSE)
def test_loose_kinds_are_taken(name, outside_messages):
    assert outside_messages[name][0] == "nothing", outside_messages[name][1]


def missing(words: tuple[str, ...], message: str) -> list[str]:
    return [word for word in words if not re.search(word, message)]


@pytest.fixture(scope="module")
def outside_messages() -> dict[str, tuple[str, str]]:
    """What each case raises in an interpreter of its own, as (error, message)."""
    script = (
        "import json, test_bad_input as t\n"
        "def outcome(call):\n"
        "    try:\n"
        "        return 'nothing', repr(call())[:100]\n"
        "    except Exception as error:\n"
        "        return type(error).__name__, str(error)\n"
        "calls = {name: call for name, (call, *_) in t.KINDS.items()} | t.LOOSE\n"
        "print(json.dumps({name: outcome(call) for name, call in calls.items()}))\n"
    )
    folder = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------- what must be accepted, and mean the same

WHOLE = np.round(4 * X)  # numbers that every type holds exactly
STEP_PER_RUN = np.array([0.1, 0.2])


def same(
    features: Any = WHOLE, targets: Any = Y, mask: Any = SHORT, weights: Any = CENTER, **rest: Any
) -> Callable[[], Any]:
    """Training with everything that can be given, so that all cases share one compiled program."""
    return lambda: run(training=fit(None, features, targets, mask=mask, weights=weights), **rest)


SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "jnp features": (same(jnp.asarray(WHOLE)), same()),
    "float16 features": (same(WHOLE.astype(np.float16)), same()),
    "bfloat16 features": (same(jnp.asarray(WHOLE, jnp.bfloat16)), same()),
    "integer features": (same(WHOLE.astype(int)), same()),
    "bool features": (same(WHOLE > 0), same((WHOLE > 0).astype(float))),
    "0 and 1 labels": (same(targets=(Y > 0).astype(int)), same()),
    "bool labels": (same(targets=Y > 0), same()),
    "list mask": (same(mask=SHORT.tolist()), same()),
    "list weights": (same(weights=[0, 1, 2, 3]), same()),
    "padding is never read": (same(but(WHOLE, (0, 4, 0), 1e6), but(Y, (0, 4), -9)), same()),
    "integers": (
        lambda: run(jc.Allocation(jc.costs.Quadratic(1, np.arange(N)), 6, 0, 3), by=flow(step=1)),
        lambda: run(cpu(), by=flow(step=1.0)),
    ),
    "pandas columns": (alloc(jc.costs.Quadratic(pd.Series(ONES), pd.Series(CENTER))), alloc()),
    "jnp numbers": (alloc(budget=jnp.asarray(6), upper=jnp.asarray(3)), alloc()),
    "float16 cost": (alloc(cost(ONES.astype(np.float16), CENTER.astype(np.float16))), alloc()),
    "constants per node and run": (
        alloc(cost(np.ones((N, 1)), np.tile(CENTER[:, None], 2)), call={"runs": 2}),
        alloc(call={"runs": 2}),
    ),
    "infinite bounds": (alloc(lower=-np.inf, upper=np.inf), alloc(lower=None, upper=None)),
    "steps of jnp": (
        given(by=flow(step=jnp.asarray(STEP_PER_RUN)), runs=2),
        given(by=flow(step=STEP_PER_RUN), runs=2),
    ),
    "custom cost with a list": (
        alloc(jc.costs.Custom(lambda x, p: 0.5 * p[0] * (x - p[1]) ** 2, [ONES, CENTER])),
        alloc(),
    ),
    "initial list": (given(initial=jc.Initial(allocation=[1.5] * N)), given(initial=jc.Initial(allocation=1.5 * ONES))),
    "record_every beyond steps": (given(record_every=100), given()),
}


@pytest.mark.parametrize("name", SAME)
def test_same_input_in_another_type(name):
    here, there = (call() for call in SAME[name])
    for one, other in ((here.allocation, there.allocation), (here.params, there.params)):
        assert (one is None) == (other is None)
    got, wanted = here.allocation, there.allocation
    if got is None:
        got, wanted = here.params["weights"], there.params["weights"]
    assert got.dtype == wanted.dtype == jnp.zeros(()).dtype
    assert np.isfinite(np.asarray(got)).all()
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)


def test_data_frames_and_lists_of_nodes():
    """Node by node, as one reads it from files. JAX's own advice against lists in its functions is let pass."""
    frames = [pd.DataFrame(block) for block in X], [pd.Series(row) for row in Y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = same(*frames)()
    np.testing.assert_allclose(found.params["weights"], same(X)().params["weights"], rtol=1e-6)


def test_start_outside_the_domain_is_said_loudly():
    start = jc.Initial(allocation=np.array([-3.0, 3, 3, 3]))
    with pytest.warns(RuntimeWarning, match=r"all 1 runs diverged.*domain of the cost"):
        found = run(jc.Allocation(jc.costs.Latency(ONES), 6.0), initial=start)
    assert found.status.tolist() == [jc.Status.DIVERGED]


def test_no_optimum_is_said_once_and_needed_only_for_tol():
    separable = fit(jc.losses.Logistic(), features=Y[..., None] * np.ones(FEATURES))
    with pytest.warns(RuntimeWarning, match=r"no training gap is recorded.*l2 > 0"):
        found = run(training=separable, optimum=None)
    assert "training_gap" not in found.trace
    assert "training_loss" in found.trace
    with pytest.raises(RuntimeError, match="l2 > 0"):
        run(training=separable, optimum=None, tol=1e-3)


@pytest.mark.parametrize("seed", [-1, 7, 2**31])
def test_any_whole_seed_is_taken(seed):
    one, again, other = (same(seed=s)().params["weights"] for s in (seed, seed, 0))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    "alike",
    [jc.costs.Quadratic(2.0, 1.0), jc.costs.Quadratic(np.full((1, 1), 2.0), np.ones((1, 1)))],
    ids=["scalar", "one"],
)
def test_nodes_that_are_all_alike(alike):
    """The network says how many nodes there are: constants need not repeat it."""
    found = run(cpu(alike), optimum=None, initial=jc.Initial(allocation=np.array([0.5, 1.0, 2.0, 2.5])))
    wanted = run(cpu(jc.costs.Quadratic(2 * ONES, ONES)), optimum=None, initial=jc.Initial([0.5, 1.0, 2.0, 2.5]))
    np.testing.assert_allclose(found.allocation, wanted.allocation, rtol=1e-6)
    np.testing.assert_allclose(found.trace["allocation_gap"], wanted.trace["allocation_gap"], rtol=1e-4)
