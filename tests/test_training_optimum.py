"""The training optimum whatever the features' units, ranks and sharpness; data without one; programs compiled once."""

import logging

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_sensitivity import assert_close

import jaxcoopt as jc
from jaxcoopt.problem import scores, training_optimum

NODES, SAMPLES, FEATURES = 4, 15, 4
BYTES = 2.0**30


def fit(loss, features, targets, **rest):
    return jc.reference(jc.Problem(training=jc.Training(loss, features, targets, **rest)))


def predicted(found, features):
    return np.tensordot(features, found.params["weights"], 1) + found.params["bias"]


def least_squares(features, targets):
    """The loss of NumPy's lstsq, which is told the columns in like units."""
    rows = np.concatenate([features.reshape(-1, features.shape[-1]), np.ones((targets.size, 1))], axis=1)
    rows = rows / np.linalg.norm(rows, axis=0)
    return 0.5 * np.mean((rows @ np.linalg.lstsq(rows, targets.ravel())[0] - targets.ravel()) ** 2)


def random_units(rng):
    """Features over 14 decades with means up to 1e5 times their spread; some columns twice, constant or summed."""
    features = rng.normal(size=(NODES, SAMPLES, FEATURES))
    features = (features + 10 ** rng.uniform(-2, 5, FEATURES) * rng.integers(0, 2, FEATURES)) * 10 ** rng.uniform(
        -3, 11, FEATURES
    )
    match rng.integers(4):
        case 0:
            features[..., 3] = 2 * features[..., 2]
        case 1:
            features[..., 1] = 3.3
        case 2:
            features[..., 0] = features[..., 1] + features[..., 2]
    return features


def as_lstsq(rng, problems):
    for _ in range(problems):
        features, targets = random_units(rng), rng.normal(size=(NODES, SAMPLES)) * 10 ** rng.uniform(-3, 9)
        found, best = fit(jc.losses.Linear(), features, targets), least_squares(features, targets)
        assert found.training_loss == pytest.approx(best, rel=1e-9)
        assert 0.5 * np.mean((predicted(found, features) - targets) ** 2) == pytest.approx(best, rel=1e-9)


def test_least_squares_as_lstsq_in_any_unit(rng):
    as_lstsq(rng, 40)


@pytest.mark.slow
def test_a_thousand_least_squares_as_lstsq_in_any_unit(rng):
    as_lstsq(rng, 1000)


LOSSES = {
    "logistic": lambda l2: jc.losses.Logistic(l2),
    "hinge": lambda l2: jc.losses.SmoothHinge(l2),
    "sharp hinge": lambda l2: jc.losses.SmoothHinge(l2, sharpness=1000.0),
    "softmax": lambda l2: jc.losses.Softmax(3, l2),
}


def clouds(rng, name, samples=SAMPLES, noise=1.5):
    features = rng.normal(size=(NODES, samples, FEATURES))
    score = features @ rng.normal(size=FEATURES) + noise * rng.normal(size=features.shape[:2])
    return features, np.digitize(score, [-1, 1]) if name == "softmax" else np.where(score > 0, 1, -1)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_does_not_depend_on_units(rng, name):
    """Without l2: in bytes, and moved; a column twice, a constant one and a sum change nothing either."""
    for _ in range(10):
        features, targets = clouds(rng, name, 40)
        first = fit(LOSSES[name](0.0), features, targets).training_loss
        moved = (features + 10 ** rng.uniform(-2, 4, FEATURES)) * 10 ** rng.uniform(-6, 12, FEATURES)
        assert fit(LOSSES[name](0.0), moved, targets).training_loss == pytest.approx(first, rel=1e-9)
        more = [moved, moved[..., :1], np.full_like(moved[..., :1], 7e9), moved[..., 1:2] + moved[..., 2:3]]
        wider = np.concatenate(more, axis=-1)
        assert fit(LOSSES[name](0.0), wider, targets).training_loss == pytest.approx(first, rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_collinear_features_with_l2_as_one(rng, name):
    """A column twice shares its weight: with l2 it is as one column that is the square root of 2 times as large."""
    features, targets = clouds(rng, name)
    twice = np.concatenate([features, features[..., :1]], axis=-1)
    once = features * np.where(np.arange(FEATURES) == 0, 2**0.5, 1)
    a, b = (fit(LOSSES[name](0.1), x, targets) for x in (twice, once))
    assert a.training_loss == pytest.approx(b.training_loss, rel=1e-12)
    np.testing.assert_allclose(a.params["weights"][0], a.params["weights"][FEATURES], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sharpness", [10.0, 1e3, 1e6])
def test_hinges_as_cvxpy(rng, sharpness):
    """With l2 and without, by interior points, whose cone for the softplus is exact; they stop at about 1e-8."""
    features, targets = clouds(rng, "hinge")
    x, y = features.reshape(-1, FEATURES), targets.ravel()
    for l2 in (1.0, 1e-3):
        w, b = cp.Variable(FEATURES), cp.Variable()
        margin = 1 - cp.multiply(y, x @ w + b)
        smooth = cp.logistic(sharpness * margin) / sharpness if sharpness < 1e5 else cp.pos(margin)
        problem = cp.Problem(cp.Minimize(cp.sum(smooth) / len(y) + l2 / 2 * cp.sum_squares(w)))
        problem.solve(solver=cp.CLARABEL)
        found = fit(jc.losses.SmoothHinge(l2, sharpness), features, targets)
        assert found.training_loss == pytest.approx(problem.value, rel=1e-6, abs=1e-6)


def test_sharp_hinges_are_found(rng):
    """Few samples, so that the optimum stands at corners: 1,000 and beyond, with l2 and without."""
    for sharpness in (100.0, 1e3, 1e4, 1e5):
        for l2 in (1.0, 1e-2, 0.0):
            features = rng.normal(size=(6, 8, 2))
            targets = np.sign(features[..., 0] + 3 * rng.normal(size=(6, 8)))
            found = fit(jc.losses.SmoothHinge(l2, sharpness), features, targets)
            margin = targets * predicted(found, features)
            slope = lambda m, mu=sharpness: -1 / (1 + np.exp(-np.clip(mu * (1 - m), -500, 500)))  # noqa: E731
            pull = np.mean(slope(margin) * targets)
            bend = np.mean(-sharpness * slope(margin) * (1 + slope(margin)))
            gain = pull**2 / 2 / max(bend, 1e-300)  # of a Newton step of the bias
            assert abs(pull) < 1e-9 or gain < 1e-9 * found.training_loss, "the bias is not at its optimum"


def test_kernel_features_in_bytes(rng):
    """More features than samples, mapped from unlike units: the same loss as from like ones, up to the map."""
    features, labels = clouds(rng, "hinge")
    mapped = jc.features.quadratic(features)
    many = np.concatenate([mapped, jc.features.fourier(features, 100)], axis=-1)  # 114 of 60 samples
    for loss in (jc.losses.Linear(), jc.losses.SmoothHinge(1e-3), jc.losses.Logistic(1e-3)):
        targets = rng.normal(size=labels.shape) if isinstance(loss, jc.losses.Linear) else labels
        found = fit(loss, mapped, targets)
        assert fit(loss, many, targets).training_loss <= found.training_loss * (1 + 1e-9)
    targets = rng.normal(size=labels.shape)
    in_units = mapped * 10 ** rng.uniform(-3, 9, mapped.shape[-1])
    best = fit(jc.losses.Linear(), mapped, targets).training_loss
    assert fit(jc.losses.Linear(), in_units, targets).training_loss == pytest.approx(best, rel=1e-9)


def separable(rng, classes, kind):
    """Data that a plane through 0 separates; kind 1: but for some samples that stand at 0 with either label."""
    features = rng.normal(size=(NODES, 3, 3)) * 10.0 ** rng.uniform(-3, 3, 3)
    score = features / np.abs(features).max(axis=(0, 1)) @ rng.normal(size=3)
    if kind:
        features[:2], score[0], score[1] = 0, 1, -1
    return features, np.where(score > 0, 1, 0 if classes else -1)


UNREGULARISED = [
    jc.losses.Logistic(),
    jc.losses.Logistic(intercept=False),
    jc.losses.SmoothHinge(),
    jc.losses.SmoothHinge(sharpness=1000.0),
    jc.losses.Softmax(2),
    jc.losses.Softmax(3, intercept=False),
]


def never_accepted(rng, problems):
    for i in range(problems):
        loss = UNREGULARISED[i % len(UNREGULARISED)]
        features, targets = separable(rng, loss.targets == "integer", rng.integers(2))
        with pytest.raises(RuntimeError, match="no optimum"):
            fit(loss, features, targets)


def test_separable_data_without_l2_is_refused(rng):
    never_accepted(rng, 60)


@pytest.mark.slow
def test_many_separable_data_without_l2_are_refused(rng):
    never_accepted(rng, 250)


def exponential(params, x, y):
    return jnp.exp(-y * (x @ params))


def test_a_custom_loss_without_optimum_is_refused(rng):
    features = rng.normal(size=(NODES, 5, 2))
    with pytest.raises(RuntimeError, match="no optimum that could be found"):
        fit(jc.losses.Custom(exponential, lambda key: np.zeros(2), True), features, np.sign(features[..., 0]))


def quartic(params, x, y):
    return (x @ params["w"] + params["b"] - y) ** 2 + (x @ params["w"]) ** 4


def test_a_custom_loss_does_not_depend_on_units(rng):
    features, targets = rng.normal(size=(NODES, 10, 2)), rng.normal(size=(NODES, 10))
    loss = jc.losses.Custom(quartic, lambda key: {"w": np.zeros(2), "b": np.zeros(())}, convex=True)
    first = fit(loss, features, targets).training_loss
    assert fit(loss, features * np.array([1.0, BYTES]), targets).training_loss == pytest.approx(first, rel=1e-9)


@pytest.mark.parametrize("name", ["linear", *LOSSES])
def test_derivatives_do_not_depend_on_units(rng, name):
    """In bytes beside [0, 1], and moved by an offset: the fit moves as in like units, with each weight in its own."""
    features, targets = clouds(rng, name, 40)
    targets = rng.normal(size=targets.shape) if name == "linear" else targets
    loss = (LOSSES | {"linear": lambda l2: jc.losses.Linear(l2)})[name]
    unit, offset = np.array([1.0, BYTES, 1e-6, 1.0]), np.array([0.0, 3.0, -2.0, 0.0])
    weights = rng.uniform(0.5, 2, NODES)

    def moves(features):
        at = lambda w: fit(loss(0.0), features, targets, weights=w)  # noqa: E731
        params = lambda w: (at(w).params["weights"], at(w).training_loss)  # noqa: E731
        return jax.jvp(params, (jnp.asarray(weights),), (jnp.arange(1.0, NODES + 1),))[1]

    by_weight, of_loss = moves(features)
    in_units, of_loss_there = moves((features + offset) * unit)
    scale = unit.reshape(-1, *(1,) * (by_weight.ndim - 1))
    assert_close((in_units * scale, of_loss_there), (by_weight, of_loss), 1e-6)


@pytest.mark.parametrize("name", ["linear", "custom", *LOSSES])
def test_large_problems_as_small_ones(rng, name, monkeypatch):
    """By products with the Hessian, and with features that are only scaled, as where there are very many."""
    features, targets = clouds(rng, name, 40)
    targets = rng.normal(size=targets.shape) if name in ("linear", "custom") else targets
    custom = jc.losses.Custom(quartic, lambda key: {"w": np.zeros(FEATURES), "b": np.zeros(())}, convex=True)
    others = {"linear": lambda l2: jc.losses.Linear(l2), "custom": lambda l2: custom}
    loss = (LOSSES | others)[name](0.01)
    small = fit(loss, features, targets)
    monkeypatch.setattr(scores, "DENSE", 0)
    monkeypatch.setattr(training_optimum, "DENSE", 0)
    monkeypatch.setattr(scores, "MOST_WORK", 0)
    large = fit(loss, features, targets)
    assert large.training_loss == pytest.approx(small.training_loss, rel=1e-9)
    assert_close(large.params, small.params, 1e-6)


def test_a_small_loss_beside_large_targets_is_not_taken_for_nothing(rng):
    """Times in seconds since 1970 to a second: the loss is 1e-18 of that at 0; where all is explained it is 0."""
    features = rng.normal(size=(NODES, SAMPLES, FEATURES))
    targets = 1.7e9 + rng.normal(size=(NODES, SAMPLES))
    found = fit(jc.losses.Linear(), features, targets)
    assert found.training_loss == pytest.approx(least_squares(features, targets - 1.7e9), rel=1e-6)
    assert fit(jc.losses.Linear(), features, 3.0 + features[..., 0]).training_loss == 0


def test_a_second_reference_compiles_nothing(rng, caplog):
    """Of other numbers in the same shapes: both halves, every loss, l2 of each run."""

    def references():
        for name, loss in (LOSSES | {"linear": lambda l2: jc.losses.Linear(l2)}).items():
            features, targets = clouds(rng, name)
            allocation = jc.Allocation(jc.costs.Quadratic(rng.uniform(1, 2, NODES), 0.0), 1.0, 0.0, 1.0)
            for l2 in (rng.uniform(0.1, 1), rng.uniform(0.1, 1, 3)):
                jc.reference(jc.Problem(allocation, jc.Training(loss(l2), features, targets)))

    references()
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        references()
    assert [record.message for record in caplog.records if record.message.startswith("Compiling")] == []
