"""What is minimised, number by number: costs, feature maps, losses and penalties against formulas written out here."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp

import jaxcoopt as jc
from jaxcoopt.methods.flow import price_at
from jaxcoopt.problem.align import aligned
from jaxcoopt.problem.costs import Sum, curvature, marginal

N, RUNS = 4, 3
X64 = bool(jax.config.jax_enable_x64)
RTOL = 1e-10 if X64 else 2e-5
A, C = np.array([0.5, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, -1.0, 2.0])
SHARES = np.random.default_rng(0).uniform(0.4, 2.0, (N, RUNS))


def aligned_cost(cost: jc.costs.Cost) -> jc.costs.Cost:
    """Constants as solve lays them out: scalar, [nodes, 1] or [nodes, runs]."""
    half = aligned(jc.Problem(jc.Allocation(cost, 1.0)), N).allocation
    assert half is not None
    return half.cost


# ---------------------------------------------------------------- costs

a, c = A[:, None], C[:, None]
PER_RUN = np.linspace(1, 2, N * RUNS).reshape(N, RUNS)
# cost, f(x), f'(x), f''(x)
COSTS: dict[str, tuple[Any, Any, Any, Any]] = {
    "quadratic": (
        jc.costs.Quadratic(A, C, 0.7),
        lambda x: a / 2 * (x - c) ** 2 + 0.7,
        lambda x: a * (x - c),
        lambda x: a + 0 * x,
    ),
    "quadratic per run": (
        jc.costs.Quadratic(PER_RUN, C),
        lambda x: PER_RUN / 2 * (x - c) ** 2,
        lambda x: PER_RUN * (x - c),
        lambda x: PER_RUN + 0 * x,
    ),
    "coefficients": (
        jc.costs.Quadratic.from_coefficients(A, C, 0.3),
        lambda x: a * x**2 + c * x + 0.3,
        lambda x: 2 * a * x + c,
        lambda x: 2 * a + 0 * x,
    ),
    "latency": (jc.costs.Latency(A), lambda x: a / x, lambda x: -a / x**2, lambda x: 2 * a / x**3),
    "power": (
        jc.costs.Power(A, 2.5),
        lambda x: a * x**2.5,
        lambda x: 2.5 * a * x**1.5,
        lambda x: 3.75 * a * x**0.5,
    ),
    "linear power": (jc.costs.Power(A, 1.0), lambda x: a * x, lambda x: a + 0 * x, lambda x: 0 * x),
    "queueing": (
        jc.costs.Queueing(A + 3),
        lambda x: 1 / (a + 3 - x),
        lambda x: 1 / (a + 3 - x) ** 2,
        lambda x: 2 / (a + 3 - x) ** 3,
    ),
    "sum": (
        jc.costs.Latency(A) + jc.costs.Quadratic(A, C) + jc.costs.Queueing(4.0),
        lambda x: a / x + a / 2 * (x - c) ** 2 + 1 / (4 - x),
        lambda x: -a / x**2 + a * (x - c) + 1 / (4 - x) ** 2,
        lambda x: 2 * a / x**3 + a + 2 / (4 - x) ** 3,
    ),
    "custom": (
        jc.costs.Custom(lambda x, p: p["k"] * jnp.exp(x), {"k": A}),
        lambda x: a * np.exp(x),
        lambda x: a * np.exp(x),
        lambda x: a * np.exp(x),
    ),
}


@pytest.mark.fast
@pytest.mark.parametrize("name", COSTS)
def test_costs_against_closed_forms(name):
    cost, value, slope, bend = COSTS[name]
    cost, x = aligned_cost(cost), jnp.asarray(SHARES)
    for found, wanted in ((cost.value(x), value), (marginal(cost, x), slope), (curvature(cost, x), bend)):
        assert found.shape == (N, RUNS)
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, wanted(SHARES), rtol=RTOL, atol=RTOL)


@pytest.mark.parametrize("name", COSTS)
def test_costs_against_finite_differences(name):
    with jax.enable_x64(True):
        cost, x, h = aligned_cost(COSTS[name][0]), jnp.asarray(SHARES, jnp.float64), 1e-5
        slope = (cost.value(x + h) - cost.value(x - h)) / (2 * h)
        bend = (marginal(cost, x + h) - marginal(cost, x - h)) / (2 * h)
        np.testing.assert_allclose(marginal(cost, x), slope, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(curvature(cost, x), bend, rtol=1e-7, atol=1e-7)


@pytest.mark.fast
def test_sums_flatten_and_add():
    one, two, three = jc.costs.Latency(A), jc.costs.Power(A), jc.costs.Quadratic(A, C)
    for total in (one + two + three, one + (two + three), (one + two) + three):
        assert isinstance(total, Sum)
        assert [type(term) for term in total.terms] == [type(one), type(two), type(three)]
    x = jnp.asarray(SHARES)
    parts = sum(aligned_cost(term).value(x) for term in (one, two, three))
    np.testing.assert_allclose(aligned_cost(one + two + three).value(x), parts, rtol=RTOL)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("cost", "lower", "upper"),
    [
        (jc.costs.Quadratic(A, C), -math.inf, math.inf),
        (jc.costs.Latency(A), 0, math.inf),
        (jc.costs.Power(A), 0, math.inf),
        (jc.costs.Queueing(A), -math.inf, a),
        (jc.costs.Custom(lambda x, p: x**2), -math.inf, math.inf),
        (jc.costs.Latency(A) + jc.costs.Queueing(A), 0, a),
        (jc.costs.Queueing(A) + jc.costs.Queueing(1.5), -math.inf, np.minimum(a, 1.5)),
    ],
)
def test_domains(cost, lower, upper):
    start, end = aligned_cost(cost).domain()
    np.testing.assert_allclose(np.broadcast_to(start, (N, 1)), np.broadcast_to(lower, (N, 1)), rtol=1e-6)
    np.testing.assert_allclose(np.broadcast_to(end, (N, 1)), np.broadcast_to(upper, (N, 1)), rtol=1e-6)


def test_constants_per_run_are_runs_of_their_own():
    """The optimum of a batch is that of each run alone, whichever constant has the runs axis."""
    centers = np.linspace(0, 2, N * RUNS).reshape(N, RUNS)
    batch = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, centers), 5.0, 0.0, 3.0)))
    assert batch.allocation.shape == (N, RUNS)
    for run in range(RUNS):
        alone = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, centers[:, run]), 5.0, 0.0, 3.0)))
        np.testing.assert_allclose(batch.allocation[:, run], alone.allocation, rtol=1e-12)
        np.testing.assert_allclose(batch.price[run], alone.price, rtol=1e-9)
        np.testing.assert_allclose(batch.allocation_cost[run], alone.allocation_cost, rtol=1e-12)


# ---------------------------------------------------------------- feature maps


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_quadratic_features_are_the_quadratic_kernel(dtype):
    points = np.random.default_rng(1).integers(0, 40, (6, 5)).astype(dtype)
    mapped = jc.features.quadratic(points)
    assert mapped.shape == (6, 5 + 15)
    inner = points.astype(float) @ points.astype(float).T
    np.testing.assert_allclose(np.asarray(mapped, float) @ np.asarray(mapped, float).T, inner + inner**2, rtol=1e-5)


@pytest.mark.fast
def test_quadratic_features_of_every_node():
    points = np.random.default_rng(1).normal(size=(N, 6, 3))
    np.testing.assert_array_equal(jc.features.quadratic(points)[2, 5], jc.features.quadratic(points[2, 5]))


@pytest.mark.parametrize("gamma", [0.05, 0.5])
def test_fourier_features_approach_the_gaussian_kernel(gamma):
    """The error of D components is about 1 / sqrt(D)."""
    points = np.random.default_rng(2).normal(size=(20, 3))
    distance = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    errors = []
    for components in (200, 20_000):
        mapped = jc.features.fourier(points, components, gamma, seed=5)
        assert mapped.shape == (20, components)
        errors.append(np.sqrt(np.mean((mapped @ mapped.T - np.exp(-gamma * distance)) ** 2)))
        assert errors[-1] < 2 / np.sqrt(components)
    assert errors[1] < errors[0] / 3


@pytest.mark.fast
def test_fourier_features_are_the_same_for_the_same_seed():
    points = np.random.default_rng(2).normal(size=(N, 5, 3))
    one, again, other = (jc.features.fourier(points, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(jc.features.fourier(points[1], 8, 0.4), jc.features.fourier(points, 8, 0.4)[1])
    default = jc.features.fourier(points, 8, 1 / (3 * points.var()), seed=1)
    np.testing.assert_allclose(one, default)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_fourier_features_of_whole_numbers(dtype):
    points = np.arange(6).reshape(3, 2)
    wanted = jc.features.fourier(points.astype(float), 16, 0.1)
    np.testing.assert_allclose(jc.features.fourier(points.astype(dtype), 16, 0.1), wanted, rtol=1e-6)


@pytest.mark.fast
def test_features_refuse_bad_input():
    points = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"features.*nan at index \(0, 1\)"):
        jc.features.quadratic(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="components: expected 1 or more, got 0"):
        jc.features.fourier(points, 0)
    with pytest.raises(ValueError, match="gamma: must be above 0, got -1"):
        jc.features.fourier(points, gamma=-1.0)
    with pytest.raises(TypeError, match="features"):
        jc.features.fourier(np.array([["a"]]))


# ---------------------------------------------------------------- losses

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
    values = [half.losses(params, half.batch()) for half in halves]
    gradients = [half.gradient(params, half.batch()) for half in halves]
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


# ---------------------------------------------------------------- against scikit-learn


def sklearn_training(loss: Any, targets: np.ndarray) -> jc.Training:
    """Node weights proportional to the sample counts make the sum of the node losses the pooled loss."""
    return jc.Training(loss, DATA, targets, MASK, MASK.sum(axis=1) / MASK.sum())


def test_ridge_against_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    l2, count = 0.2, MASK.sum()
    optimum = jc.reference(jc.Problem(training=sklearn_training(jc.losses.Linear(l2=l2), REAL)))
    model = linear_model.Ridge(alpha=l2 * count, tol=1e-12).fit(DATA[MASK], REAL[MASK])
    np.testing.assert_allclose(optimum.params["weights"], model.coef_, rtol=1e-7)
    np.testing.assert_allclose(optimum.params["bias"], model.intercept_, rtol=1e-7)
    residual = model.predict(DATA[MASK]) - REAL[MASK]
    assert float(optimum.training_loss) == pytest.approx((residual**2).mean() / 2 + l2 / 2 * (model.coef_**2).sum())


def test_logistic_against_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    l2, count = 0.2, MASK.sum()
    optimum = jc.reference(jc.Problem(training=sklearn_training(jc.losses.Logistic(l2=l2), BINARY)))
    model = linear_model.LogisticRegression(C=1 / (l2 * count), tol=1e-10, max_iter=1000).fit(DATA[MASK], BINARY[MASK])
    np.testing.assert_allclose(optimum.params["weights"], model.coef_[0], rtol=1e-5, atol=1e-7)
    metrics = pytest.importorskip("sklearn.metrics")
    pooled = metrics.log_loss(BINARY[MASK], model.predict_proba(DATA[MASK])) + l2 / 2 * (model.coef_**2).sum()
    assert float(optimum.training_loss) == pytest.approx(pooled, rel=1e-8)


def test_softmax_against_scikit_learn():
    """l2 fixes the weights; the biases are known up to a common constant."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    l2, count = 0.2, MASK.sum()
    optimum = jc.reference(jc.Problem(training=sklearn_training(jc.losses.Softmax(CLASSES, l2=l2), WHOLE)))
    model = linear_model.LogisticRegression(C=1 / (l2 * count), tol=1e-10, max_iter=1000).fit(DATA[MASK], WHOLE[MASK])
    np.testing.assert_allclose(optimum.params["weights"], model.coef_.T, rtol=1e-4, atol=1e-6)
    bias = np.asarray(optimum.params["bias"])
    np.testing.assert_allclose(bias - bias.mean(), model.intercept_ - model.intercept_.mean(), atol=1e-5)


# ---------------------------------------------------------------- penalties

LOWER, UPPER = np.array([[0.5], [-math.inf], [0.0], [-1.0]]), np.array([[1.0], [2.0], [math.inf], [1.5]])
OUT = np.random.default_rng(4).uniform(-1.5, 3.0, (N, RUNS))


def penalty(x: np.ndarray, form: str, weight: Any, sharpness: Any) -> np.ndarray:
    """The formulas of `Penalty`'s docstring."""
    over, under = x - UPPER, LOWER - x
    if form == "square":
        return weight * (np.maximum(over, 0) ** 2 + np.maximum(under, 0) ** 2)
    return weight * (np.logaddexp(0, sharpness * over) + np.logaddexp(0, sharpness * under)) / sharpness


@pytest.mark.fast
@pytest.mark.parametrize("per_run", [False, True])
@pytest.mark.parametrize("form", ["softplus", "square"])
def test_penalty_slopes_against_finite_differences(form, per_run):
    weight, sharpness = (np.array([2.0, 5.0, 1.0]), np.array([4.0, 2.0, 9.0])) if per_run else (3.0, 6.0)
    h = 1e-6
    wanted = (penalty(OUT + h, form, weight, sharpness) - penalty(OUT - h, form, weight, sharpness)) / (2 * h)
    with jax.enable_x64(True):
        bounds = jc.bounds.Penalty(jnp.asarray(weight), jnp.asarray(sharpness), form)
        found = bounds.slope(None, jnp.asarray(OUT), jnp.asarray(LOWER), jnp.asarray(UPPER))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert np.abs(wanted).max() > 1


@pytest.mark.fast
@pytest.mark.parametrize("form", ["softplus", "square"])
def test_absent_bounds_add_nothing(form):
    bounds, x = jc.bounds.Penalty(form=form), jnp.asarray(OUT)
    for lower, upper in ((None, None), (-jnp.inf, jnp.inf), (None, jnp.full((N, 1), jnp.inf))):
        slope = bounds.slope(
            None, x, None if lower is None else jnp.asarray(lower), None if upper is None else jnp.asarray(upper)
        )
        np.testing.assert_array_equal(slope, 0)
        assert slope.shape == x.shape
    one_sided = bounds.slope(None, x, jnp.asarray(0.0), None)
    np.testing.assert_array_equal(one_sided, bounds.slope(None, x, jnp.asarray(0.0), jnp.asarray(jnp.inf)))
    assert float(one_sided.min()) < 0 <= float(-one_sided.max())


@pytest.mark.fast
def test_penalty_slope_has_a_derivative_at_infinite_bounds():
    """No NaN leaks through the branch that is not taken."""
    bounds = jc.bounds.Penalty()
    slope = jax.grad(lambda x: bounds.slope(None, x, jnp.asarray(LOWER), jnp.asarray(UPPER)).sum())(jnp.asarray(OUT))
    assert bool(jnp.isfinite(slope).all())


@pytest.mark.fast
def test_price_is_marginal_cost_plus_slope():
    half = aligned(jc.Problem(jc.Allocation(jc.costs.Quadratic(A, C), 1.0, LOWER[:, 0], UPPER[:, 0])), N).allocation
    bounds = jc.bounds.Penalty(3.0, 6.0)
    x = jnp.asarray(OUT)
    push = np.where(np.isfinite(UPPER), expit(6 * (OUT - UPPER)), 0) - np.where(
        np.isfinite(LOWER), expit(6 * (LOWER - OUT)), 0
    )
    np.testing.assert_allclose(price_at(bounds, None, half, x), a * (OUT - c) + 3 * push, rtol=10 * RTOL, atol=RTOL)
