"""Wrong budgets and arrays are refused before anything runs: the words name argument, what was given, what to do."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from bad_calls import (
    FEATURES,
    ONES,
    RING,
    SAMPLES,
    SHORT,
    Case,
    N,
    X,
    Y,
    alloc,
    attributed,
    but,
    check_refused,
    cost,
    cpu,
    fit,
    flow,
    given,
    graphs,
    learned,
    ring_weights,
    run,
    track,
    train,
    via,
)

import jaxcoopt as jc
from jaxcoopt.channel import LogQuantizer

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
    "beside padding": (
        train(features=but(X, (0, 0, 1), np.nan), mask=SHORT),
        ValueError,
        ("training.features", "nan", "fill padding with 0"),
    ),
    "targets beside padding": (
        train(targets=but(Y, (0, 0), np.nan), mask=SHORT),
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

REFUSED: dict[str, Case] = {
    f"{group}-{name}": case
    for group, cases in {
        "budget": BUDGET,
        "finite": NOT_FINITE,
        "shape": SHAPES,
        "per-run": PER_RUN,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.fast
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    check_refused(REFUSED[name])
