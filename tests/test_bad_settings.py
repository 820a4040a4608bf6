"""Wrong networks, settings, costs and labels are refused before anything runs, in words as those of test_bad_arrays."""

import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pytest
from bad_calls import (
    ONES,
    RING,
    SAMPLES,
    Case,
    N,
    X,
    Y,
    alloc,
    attributed,
    but,
    check_refused,
    cost,
    custom,
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
from jaxcoopt.channel import Clip, LogQuantizer, Sign, UniformQuantizer

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
    "directed": (graphs(nx.DiGraph([(0, 1), (1, 0)])), ValueError, ("metropolis", "undirected", "balanced")),
    "other nodes": (graphs([RING, nx.cycle_graph(5)]), ValueError, (r"graphs\[1\]", "lacks|adds", "same nodes")),
    "other labels": (
        graphs([nx.path_graph(3), nx.path_graph("abc")]),
        ValueError,
        (r"graphs\[1\]", "lacks .* adds|lacks .* and", "same nodes"),
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
        "network": NETWORKS,
        "number": NUMBERS,
        "cost": COSTS,
        "label": LABELS,
        "half": HALVES,
        "type": NOT_NUMBERS,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.fast
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    check_refused(REFUSED[name])
