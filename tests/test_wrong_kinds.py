"""Arguments of a wrong kind are refused in words, and those that are meant well are taken."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from bad_calls import (
    FEATURES,
    NETWORK,
    ONES,
    RING,
    SAMPLES,
    Case,
    N,
    X,
    Y,
    alloc,
    cost,
    cpu,
    fit,
    flow,
    given,
    graphs,
    learned,
    missing,
    ring_weights,
    track,
    train,
    via,
)

import jaxcoopt as jc
from jaxcoopt.channel import Clip, LogQuantizer
from jaxcoopt.methods import LaplacianFlow


def tuned(parameters=("allocation.step",), **options):
    return jc.tune(jc.Problem(cpu()), NETWORK, jc.CoOptimizer(flow()), parameters, steps=2, iterations=1, **options)


# Wrong kinds, which the suite's run-time type checker (tests/conftest.py) refuses before the library can; built late.
KINDS: dict[str, Case] = {
    "tune objective": (lambda: tuned(objective=["final"]), TypeError, ("objective", "a name, or a function")),
    "tune optimizer": (lambda: tuned(optimizer="adam"), TypeError, ("optimizer", "one of optax", "adam")),
    "tune parameters": (lambda: tuned(parameters=5), ValueError, ("parameters", "a list of names", "5")),
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
        ("training.loss", r"start\(key\)", "function"),
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
    "bits fraction": (lambda: via(LogQuantizer(bits=2.5))(), TypeError, ("channel.bits", "whole number", "2.5")),
    "bits bool": (lambda: via(LogQuantizer(bits=True))(), TypeError, ("channel.bits", "whole number", "True")),
    "bits in quotes": (lambda: via(LogQuantizer(bits="8"))(), TypeError, ("channel.bits", "whole number", "'8'")),
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


@pytest.fixture(scope="module")
def outside_messages() -> dict[str, tuple[str, str]]:
    """What each case raises in an interpreter of its own, as (error, message)."""
    script = (
        "import json, test_wrong_kinds as t\n"
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
