"""Samples of any shape: images, token ids and dicts of arrays give the numbers that the same data give as rows."""

from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

NODES, SAMPLES, WORDS, RUNS = 5, 6, 4, 2
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
START = {"weights": jnp.linspace(-0.2, 0.3, 8), "words": jnp.linspace(0.1, 0.5, WORDS)}


def fitted(params, score, y):
    return (score - y) ** 2 / 2 + 0.05 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def of_rows(params, x, y):
    return fitted(params, jnp.dot(params["weights"], x[:8]) + jnp.dot(params["words"], x[8:]), y)


def of_parts(params, x, y):
    """An image of 2 x 4, and the ids of three words."""
    seen = jnp.sum(params["weights"].reshape(2, 4) * x["image"])
    return fitted(params, seen + params["words"][x["ids"]].sum(), y["wanted"])


@pytest.fixture
def data(rng):
    """(rows, parts, targets, mask): the same samples twice, of which some are padding."""
    images, ids = rng.normal(size=(NODES, SAMPLES, 2, 4)), rng.integers(0, WORDS, (NODES, SAMPLES, 3))
    counts = (ids[..., None] == np.arange(WORDS)).sum(axis=2)
    mask = rng.random((NODES, SAMPLES)) < 0.8
    mask[:, 0] = True
    images[~mask] = np.nan
    rows = np.concatenate([images.reshape(NODES, SAMPLES, 8), counts], axis=2)
    return rows, {"image": images, "ids": ids}, rng.normal(size=(NODES, SAMPLES)), mask


def both(data, convex=True):
    rows, parts, targets, mask = data
    loss = partial(jc.losses.Custom, start=lambda key: START, convex=convex)
    as_rows = jc.Training(loss(of_rows), rows, targets, mask, weights=np.arange(1.0, NODES + 1))
    as_parts = jc.Training(loss(of_parts), parts, {"wanted": targets}, mask, weights=np.arange(1.0, NODES + 1))
    return jc.Problem(training=as_rows), jc.Problem(training=as_parts)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_numbers_of_rows(data, batch_size):
    method = jc.CoOptimizer(training=jc.methods.GradientTracking(0.02, batch_size=batch_size))
    rows, parts = (jc.solve(problem, NETWORK, method, 30, runs=RUNS) for problem in both(data))
    for name in rows.params:
        np.testing.assert_allclose(parts.params[name], rows.params[name], rtol=1e-9, atol=1e-12)
    for name in rows.trace:
        np.testing.assert_allclose(parts.trace[name], rows.trace[name], rtol=1e-8, atol=1e-11)
    assert rows.trace["training_gap"][-1, 0] < 0.7 * rows.trace["training_gap"][0, 0]


def test_their_optimum_and_their_slopes(data):
    rows, parts = map(jc.reference, both(data))
    for name in START:
        np.testing.assert_allclose(parts.params[name], rows.params[name], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(parts.training_loss, rows.training_loss, rtol=1e-9)

    def loss(step, problem):
        method = jc.CoOptimizer(training=jc.methods.DGD(step))
        return jc.solve(problem, NETWORK, method, 5, optimum=jc.Optimum()).trace["training_loss"][-1, 0]

    slopes = [jax.grad(loss)(0.03, problem) for problem in both(data)]
    np.testing.assert_allclose(*slopes, rtol=1e-9)


def test_auto_memory_and_sweeps_know_them(data, unchecked):
    _, parts = both(data)
    method = jc.CoOptimizer(training=jc.methods.DGD("auto"))
    result = jc.solve(parts, NETWORK, method, 60, runs=RUNS)
    assert float(result.trace["training_gap"][-1].max()) < float(result.trace["training_gap"][0].min())
    assert jc.memory(parts, NETWORK, method, runs=RUNS).total > 0
    table = jc.sweep(parts, NETWORK, jc.CoOptimizer(training=jc.methods.DGD(0.01)), {"training.step": [0.01]}, steps=10)
    assert np.isfinite(table["training_loss"].values).all()
    assert "image" in repr(parts)
    assert len(repr(parts)) < 600


@pytest.mark.fast
@pytest.mark.parametrize(
    ("features", "targets", "words"),
    [
        (
            {"image": np.ones((NODES, SAMPLES, 2)), "ids": np.ones((NODES, 3))},
            None,
            "as many nodes and samples",
        ),
        ({"image": np.ones(NODES)}, None, r"none of them 0, got \[\(5,\)\]"),
        ({}, None, "none of them 0"),
        ({"image": np.full((NODES, SAMPLES, 2), np.nan)}, None, r"training\.features\['image'\]"),
        (
            np.ones((NODES, SAMPLES, 2, 2)),
            np.ones((NODES, 2)),
            r"training\.targets: expected \[nodes, sa",
        ),
        (np.ones((NODES, SAMPLES, 2, 2)), {}, r"training\.targets: expected an array"),
        (
            np.full((NODES, SAMPLES, 2), 2**40),
            None,
            r"training\.features: a Custom loss is given whole",
        ),
    ],
)
def test_what_is_wrong_is_named(features, targets, words):
    loss = jc.losses.Custom(lambda params, x, y: params**2, lambda key: jnp.ones(()))
    targets = np.ones((NODES, SAMPLES)) if targets is None else targets
    problem = jc.Problem(training=jc.Training(loss, features, targets))
    with pytest.raises((ValueError, TypeError), match=words):
        jc.solve(problem, NETWORK, jc.CoOptimizer(training=jc.methods.DGD(0.1)), 2)


@pytest.mark.fast
def test_a_loss_of_rows_says_so():
    data = {"image": np.ones((NODES, SAMPLES, 2))}
    problem = jc.Problem(training=jc.Training(jc.losses.Linear(), data, np.ones((NODES, SAMPLES))))
    with pytest.raises(ValueError, match=r"expected \[nodes, samples, features\], none of them 0, got a pytree"):
        jc.solve(problem, NETWORK, jc.CoOptimizer(training=jc.methods.DGD(0.1)), 2)
