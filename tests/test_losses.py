"""Losses, number by number, against formulas written out here. Against scikit-learn: test_optimum."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import jaxcoopt as jc
from jaxcoopt.problem.align import aligned

N, RUNS = 4, 3
RTOL = 1e-10 if bool(jax.config.jax_enable_x64) else 2e-5
SAMPLES, FEATURES, CLASSES = 6, 3, 3
L2 = np.array([0.1, 0.3, 0.0])
rng = np.random.default_rng(3)
DATA = rng.normal(size=(N, SAMPLES, FEATURES))
BINARY = np.where(rng.random((N, SAMPLES)) < 0.5, -1, 1)
WHOLE = rng.integers(0, CLASSES, (N, SAMPLES))
REAL = rng.normal(size=(N, SAMPLES))
MASK = rng.random((N, SAMPLES)) < 0.7
MASK[:, 0] = True
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0])


def linear(params: Any, x: np.ndarray) -> Any:
    return x @ params["weights"] + params["bias"]


def cross_entropy(scores: np.ndarray, y: int) -> float:
    return logsumexp(scores) - scores[y]


def ridge(params: Any) -> float:
    return 0.5 * (params["weights"] ** 2).sum()


def mlp(params: Any, x: np.ndarray) -> np.ndarray:
    for layer in params[:-1]:
        x = np.tanh(linear(layer, x))
    return linear(params[-1], x)


# loss, targets, loss of one sample at one node's parameters, penalty / l2
LOSSES: dict[str, tuple[Any, Any, Any, Any]] = {
    "linear": (jc.losses.Linear(l2=L2), REAL, lambda p, x, y: (linear(p, x) - y) ** 2 / 2, ridge),
    "logistic": (
        jc.losses.Logistic(l2=L2),
        BINARY,
        lambda p, x, y: math.log1p(math.exp(-y * linear(p, x))),
        ridge,
    ),
    "hinge": (
        jc.losses.SmoothHinge(l2=L2, sharpness=np.array([1.0, 5.0, 20.0])),
        BINARY,
        None,
        ridge,
    ),
    "softmax": (jc.losses.Softmax(CLASSES, l2=L2), WHOLE, lambda p, x, y: cross_entropy(linear(p, x), y), ridge),
    "mlp classes": (
        jc.losses.MLP((4, 2), CLASSES, l2=L2),
        WHOLE,
        lambda p, x, y: cross_entropy(mlp(p, x), y),
        lambda p: sum(ridge(layer) for layer in p),
    ),
    "mlp regression": (
        jc.losses.MLP((4,), l2=L2),
        REAL,
        lambda p, x, y: (mlp(p, x)[0] - y) ** 2 / 2,
        lambda p: sum(ridge(layer) for layer in p),
    ),
    "custom": (
        jc.losses.Custom(lambda p, x, y: jnp.log(jnp.cosh(p["u"] @ x - y)), lambda key: {"u": jnp.zeros(FEATURES)}),
        REAL,
        lambda p, x, y: math.log(math.cosh(p["u"] @ x - y)),
        lambda p: 0.0,
    ),
}


def half(name: str, mask: Any = None, weights: Any = None) -> jc.Training:
    loss, targets, *_ = LOSSES[name]
    training = aligned(jc.Problem(training=jc.Training(loss, DATA, targets, mask, weights)), N).training
    assert training is not None
    return training


def random_params(training: jc.Training, seed: int = 0) -> Any:
    """Leaves [nodes, *shape, runs], different at every node and run."""
    shapes = jax.eval_shape(lambda key: training.loss.init(key, FEATURES), jax.random.key(0))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=(N, *leaf.shape, RUNS)), float), shapes)


def at(params: Any, node: int, run: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf[node, ..., run], float), params)


def sample_loss(name: str, run: int) -> Any:
    if name != "hinge":
        return LOSSES[name][2]
    mu = float(LOSSES[name][0].sharpness[run])
    return lambda p, x, y: np.logaddexp(0, mu * (1 - y * linear(p, x))) / mu


def by_hand(name: str, params: Any, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """weights_i (mean over the node's own samples + l2 penalty), in loops: [nodes, runs]."""
    loss, targets, _, penalty = LOSSES[name]
    found = np.zeros((N, RUNS))
    for i, run in np.ndindex(N, RUNS):
        own, one = at(params, i, run), sample_loss(name, run)
        values = [one(own, DATA[i, s], targets[i, s]) for s in range(SAMPLES) if mask[i, s]]
        found[i, run] = weights[i] * (np.mean(values) + getattr(loss, "l2", L2)[run] * penalty(own))
    return found


@pytest.mark.parametrize(("masked", "weighted"), [(False, False), (True, True)])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_against_formulas(name, masked, weighted):
    training = half(name, MASK if masked else None, WEIGHTS if weighted else None)
    params = random_params(training)
    weights = WEIGHTS if weighted else np.ones(N)
    wanted = by_hand(name, params, MASK if masked else np.ones_like(MASK), weights)
    found = jax.jit(lambda at: training.losses(at, training.batch()))(params)
    assert found.shape == (N, RUNS)
    assert found.dtype == jnp.zeros(()).dtype
    np.testing.assert_allclose(found, wanted, rtol=10 * RTOL, atol=RTOL)
    same = jax.tree.map(lambda leaf: leaf[:1], params)  # one y for all nodes
    everywhere = jax.tree.map(lambda leaf: np.repeat(leaf, N, axis=0), same)
    wanted = by_hand(name, everywhere, MASK if masked else np.ones_like(MASK), weights)
    np.testing.assert_allclose(
        jax.jit(training.pooled_loss)(same), wanted.sum(axis=0) / weights.sum(), rtol=10 * RTOL, atol=RTOL
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_against_finite_differences(name):
    """Along a random direction at every node and run at once: nodes and runs do not see each other."""
    with jax.enable_x64(True):
        training = half(name, MASK, WEIGHTS)
        params, direction = random_params(training), random_params(training, seed=1)
        h = 1e-6

        @jax.jit
        def moved(by: jax.Array) -> jax.Array:
            return training.losses(jax.tree.map(lambda p, d: p + by * d, params, direction), training.batch())

        gradient = jax.jit(lambda at: training.gradient(at, training.batch()))(params)
        products = jax.tree.map(lambda g, d: (g * d).reshape(N, -1, RUNS).sum(axis=1), gradient, direction)
        slope = sum(jax.tree.leaves(products))
        np.testing.assert_allclose(slope, (moved(h) - moved(-h)) / (2 * h), rtol=1e-6, atol=1e-8)
        assert np.abs(np.asarray(slope)[3]).max() == 0  # the node without weight
        assert np.abs(np.asarray(slope)[:3]).min() > 1e-4


def test_custom_loss_equals_the_built_in_one():
    def logistic(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        square = 0.05 * jnp.sum(params["weights"] ** 2)
        return jax.nn.softplus(-y * (x @ params["weights"] + params["bias"])) + square

    custom = jc.losses.Custom(logistic, lambda key: {"weights": jnp.zeros(FEATURES), "bias": jnp.zeros(())})
    halves = [
        aligned(jc.Problem(training=jc.Training(loss, DATA, BINARY.astype(float), MASK)), N).training
        for loss in (custom, jc.losses.Logistic(l2=0.1))
    ]
    params = random_params(halves[1])
    both = jax.jit(lambda half, at: (half.losses(at, half.batch()), half.gradient(at, half.batch())))
    values, gradients = zip(*(both(half, params) for half in halves), strict=True)
    np.testing.assert_allclose(*values, rtol=RTOL)
    for name in ("weights", "bias"):
        np.testing.assert_allclose(gradients[0][name], gradients[1][name], rtol=10 * RTOL, atol=RTOL)


@pytest.mark.fast
def test_shapes_of_parameters():
    def shapes(loss: jc.losses.Loss) -> Any:
        return jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(lambda key: loss.init(key, 5), jax.random.key(0)))

    assert shapes(jc.losses.Linear()) == {"weights": (5,), "bias": ()}
    assert shapes(jc.losses.Logistic(intercept=False)) == {"weights": (5,)}
    assert shapes(jc.losses.Softmax(4)) == {"weights": (5, 4), "bias": (4,)}
    layers = [{"weights": (5, 8), "bias": (8,)}, {"weights": (8, 6), "bias": (6,)}, {"weights": (6, 3), "bias": (3,)}]
    assert shapes(jc.losses.MLP((8, 6), classes=3)) == layers
    assert shapes(jc.losses.MLP((8,))) == [{"weights": (5, 8), "bias": (8,)}, {"weights": (8, 1), "bias": (1,)}]
    assert shapes(jc.losses.MLP((), classes=2)) == [{"weights": (5, 2), "bias": (2,)}]


@pytest.mark.fast
def test_start_of_a_deep_network_keeps_the_variance():
    """LeCun: weights of variance 1 / fan-in, and no bias."""
    for layer in jax.jit(lambda key: jc.losses.MLP((200, 100)).init(key, 300))(jax.random.key(1)):
        fan_in, fan_out = layer["weights"].shape
        assert float(layer["weights"].var()) * fan_in == pytest.approx(1, abs=5 * math.sqrt(2 / (fan_in * fan_out)))
        np.testing.assert_array_equal(layer["bias"], 0)


@pytest.mark.parametrize("name", ["linear", "logistic", "hinge", "softmax", "mlp classes", "mlp regression"])
def test_predictions(name):
    training = half(name)
    params = random_params(training)
    found = jax.jit(training.loss.predict)(params, training.features)
    assert found.shape == (N, SAMPLES, RUNS)
    score = mlp if name.startswith("mlp") else linear
    for i, s, run in np.ndindex(N, SAMPLES, RUNS):
        scores = score(at(params, i, run), DATA[i, s])
        wanted = {
            "linear": scores,
            "logistic": np.sign(scores),
            "hinge": np.sign(scores),
            "mlp regression": np.ravel(scores)[0],
        }.get(name, np.argmax(scores))
        assert float(found[i, s, run]) == pytest.approx(wanted, rel=10 * RTOL)


@pytest.mark.fast
def test_custom_losses_make_no_predictions():
    loss = LOSSES["custom"][0]
    with pytest.raises(TypeError, match="Custom makes no predictions"):
        loss.predict({"u": jnp.zeros((N, FEATURES, RUNS))}, jnp.asarray(DATA))


@pytest.mark.fast
def test_hinge_is_within_ln2_over_mu_of_the_hinge():
    margins = np.linspace(-3, 4, 57)
    training = jc.Training(
        jc.losses.SmoothHinge(sharpness=8.0, intercept=False), margins[None, :, None], np.ones((1, 57))
    )
    training = aligned(jc.Problem(training=training), 1).training
    smooth = training.loss.samples({"weights": jnp.ones((1, 1, 1))}, training.features, training.targets)[0, :, 0]
    excess = np.asarray(smooth) - np.maximum(0, 1 - margins)
    assert excess.min() >= -1e-6
    assert excess.max() == pytest.approx(math.log(2) / 8, rel=1e-5)  # at margin 1


@pytest.mark.fast
def test_large_scores_do_not_overflow():
    huge = jnp.asarray(np.full((1, 1, 1), 1e4))
    for loss, label in ((jc.losses.Logistic(intercept=False), -1.0), (jc.losses.SmoothHinge(intercept=False), -1.0)):
        value = loss.samples({"weights": jnp.ones((1, 1, 1))}, huge, jnp.full((1, 1), label))
        assert float(value[0, 0, 0]) == pytest.approx(1e4, rel=1e-3)
    weights = {"weights": jnp.asarray([[[[1.0], [-1.0]]]])}
    value = jc.losses.Softmax(2, intercept=False).samples(weights, huge, jnp.ones((1, 1), jnp.int32))
    assert float(value[0, 0, 0]) == pytest.approx(2e4, rel=1e-6)


@pytest.mark.fast
def test_binary_labels_in_either_spelling():
    for loss in (jc.losses.Logistic(), jc.losses.SmoothHinge()):
        ones, zeros = (
            aligned(jc.Problem(training=jc.Training(loss, DATA, labels)), N).training.targets
            for labels in (BINARY, (BINARY + 1) // 2)
        )
        np.testing.assert_array_equal(ones, zeros)
        np.testing.assert_array_equal(ones, BINARY)
