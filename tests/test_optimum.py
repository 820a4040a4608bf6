"""`jc.reference` against scikit-learn, SciPy and cvxpy with Clarabel, and the paper's method against `jc.reference`."""

import warnings

import clarabel  # noqa: F401 (cvxpy's solver; a missing one must fail here)
import cvxpy as cp
import numpy as np
import numpy_loop as oracle
import problems
import pytest
import scipy.optimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC

import jaxcoopt as jc

NODES, L2 = problems.NODES, 0.03
AGREEMENT = 1e-6  # with other solvers
REACHED = 1e-8  # by the network


# ---------------------------------------------------------------- training


def pool(rng, kind, samples=12):
    """(features, targets, mask, node weights by sample count) and the pooled rows, of clouds that overlap."""
    shape = (NODES, samples)
    features, noise = rng.normal(size=(*shape, 4)), rng.normal(size=shape)
    score = features @ rng.normal(size=4) + 0.5 + noise
    targets = {"linear": score, "softmax": np.digitize(score, [-0.5, 1.0])}.get(kind, np.where(score > 0, 1, -1))
    mask = rng.random(shape) < 0.7
    mask[:, :3] = True
    return (features, targets, mask, mask.sum(axis=1)), features[mask], targets[mask]


def optimum_of(loss, data):
    return jc.reference(jc.Problem(training=jc.Training(loss, *data)))


def pooled_gradient(kind, params, data, sharpness=10.0):
    """grad of sum_i w_i g_i / sum_i w_i at one vector of parameters, by the oracle."""
    features, targets, mask, weights = data
    y = oracle.flatten(params)
    rows = [
        (features[i][mask[i]], targets[i][mask[i]], max(1, params["bias"].size), L2, weights[i], sharpness)
        for i in range(NODES)
    ]
    return sum(oracle.node_gradient(kind, y, *row) for row in rows) / weights.sum()


def pooled_loss(kind, weights, bias, rows, targets, sharpness=10.0):
    y, classes = oracle.flatten({"weights": weights, "bias": bias}), max(1, np.size(bias))
    return oracle.node_loss(kind, y, rows, targets, classes, L2, 1.0, sharpness)


@pytest.mark.fast
@pytest.mark.parametrize("kind", problems.KINDS)
def test_the_gradient_vanishes_at_the_training_optimum(rng, kind):
    data, _, _ = pool(rng, kind)
    loss = {"linear": jc.losses.Linear(L2), "logistic": jc.losses.Logistic(L2), "hinge": jc.losses.SmoothHinge(L2)}
    found = optimum_of(loss.get(kind, jc.losses.Softmax(3, L2)), data)
    assert np.linalg.norm(pooled_gradient(kind, found.params, data)) < 1e-10


@pytest.mark.fast
def test_logistic_as_scikit_learn(rng):
    data, rows, targets = pool(rng, "logistic")
    model = LogisticRegression(C=1 / (L2 * len(rows)), solver="newton-cholesky", tol=1e-12).fit(rows, targets)
    found = optimum_of(jc.losses.Logistic(L2), data)
    np.testing.assert_allclose(found.params["weights"], model.coef_[0], atol=AGREEMENT)
    np.testing.assert_allclose(found.params["bias"], model.intercept_[0], atol=AGREEMENT)
    assert found.training_loss == pytest.approx(
        pooled_loss("logistic", model.coef_, model.intercept_, rows, targets), abs=1e-10
    )


def test_logistic_without_intercept_as_scikit_learn(rng):
    data, rows, targets = pool(rng, "logistic")
    model = LogisticRegression(C=1 / (L2 * len(rows)), fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    found = optimum_of(jc.losses.Logistic(L2, intercept=False), data)
    np.testing.assert_allclose(found.params["weights"], model.fit(rows, targets).coef_[0], atol=AGREEMENT)


def test_ridge_as_scikit_learn(rng):
    data, rows, targets = pool(rng, "linear")
    model = Ridge(alpha=L2 * len(rows)).fit(rows, targets)
    found = optimum_of(jc.losses.Linear(L2), data)
    np.testing.assert_allclose(found.params["weights"], model.coef_, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found.params["bias"], model.intercept_, rtol=1e-7, atol=1e-12)
    assert found.training_loss == pytest.approx(pooled_loss("linear", model.coef_, model.intercept_, rows, targets))


def test_softmax_as_scikit_learn(rng):
    """The biases are known up to a common constant, as nothing penalises them."""
    data, rows, targets = pool(rng, "softmax")
    model = LogisticRegression(C=1 / (L2 * len(rows)), solver="newton-cg", tol=1e-12, max_iter=1000).fit(rows, targets)
    found = optimum_of(jc.losses.Softmax(3, L2), data)
    centred = lambda bias: bias - bias.mean()  # noqa: E731
    np.testing.assert_allclose(found.params["weights"].T, model.coef_, atol=AGREEMENT)
    np.testing.assert_allclose(centred(found.params["bias"]), centred(model.intercept_), atol=AGREEMENT)


def test_smooth_hinge_as_scipy(rng):
    data, rows, targets = pool(rng, "hinge")
    found = optimum_of(jc.losses.SmoothHinge(L2, sharpness=20.0), data)

    def objective(v):
        margin = targets * (rows @ v[:4] + v[4])
        return np.logaddexp(0, 20 * (1 - margin)).mean() / 20 + L2 / 2 * v[:4] @ v[:4]

    best = scipy.optimize.minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    assert found.training_loss == pytest.approx(best.fun, abs=1e-10)
    np.testing.assert_allclose(oracle.flatten(found.params), best.x, atol=1e-5)  # finite differences give BFGS no more


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sharpness", [10.0, 1e3, 1e6])
def test_smooth_hinge_tends_to_scikit_learns_hinge(sharpness):
    """hinge <= smooth <= hinge + ln(2)/mu pointwise, so the minima are as close: below 1e-6 at mu = 1e6.

    On fixed data: where libsvm cannot meet its tolerance, it would otherwise go on for minutes.
    """
    data, rows, targets = pool(np.random.default_rng(0), "hinge")
    model = SVC(kernel="linear", C=1 / (L2 * len(rows)), tol=1e-10, max_iter=100_000).fit(rows, targets)
    hinge = lambda w, b: np.maximum(0, 1 - targets * (rows @ w + b)).mean() + L2 / 2 * w @ w  # noqa: E731
    best = hinge(model.coef_[0], model.intercept_[0])
    found = optimum_of(jc.losses.SmoothHinge(L2, sharpness), data)
    rounding, room = 1e-9, np.log(2) / sharpness  # libsvm's own accuracy, and the theory's
    assert -rounding <= hinge(found.params["weights"], found.params["bias"]) - best <= room + rounding
    assert -rounding <= found.training_loss - best <= room + rounding
    assert sharpness < 1e6 or room + rounding < AGREEMENT


def test_a_convex_custom_loss_is_the_built_in_one(rng):
    data, _, _ = pool(rng, "linear")
    custom = jc.losses.Custom(huber_like, lambda key: np.zeros(4), convex=True)
    found = optimum_of(custom, data)

    def objective(v):
        residual = data[0][data[2]] @ v - data[1][data[2]]
        return np.mean(np.sqrt(1 + residual**2))

    best = scipy.optimize.minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(found.params, best.x, atol=1e-5)


def huber_like(params, x, y):
    return (1 + (x @ params - y) ** 2) ** 0.5


# ---------------------------------------------------------------- allocation


def quadratic(rng):
    a, c = rng.uniform(0.5, 3, NODES), rng.uniform(-1, 2, NODES)
    return (
        jc.costs.Quadratic(a, c),
        lambda x: cp.multiply(a / 2, cp.square(x - c)),
        lambda x: oracle.quadratic_price(x, a, c),
    )


def latency(rng):
    w = rng.uniform(0.2, 2, NODES)
    return jc.costs.Latency(w), lambda x: cp.multiply(w, cp.inv_pos(x)), lambda x: oracle.latency_price(x, w)


def power(rng):
    p = rng.uniform(0.2, 2, NODES)
    return jc.costs.Power(p, 1.5), lambda x: cp.multiply(p, cp.power(x, 1.5)), lambda x: oracle.power_price(x, p, 1.5)


def queueing(rng):
    capacity = rng.uniform(2, 4, NODES)
    return jc.costs.Queueing(capacity), lambda x: cp.inv_pos(capacity - x), lambda x: oracle.queueing_price(x, capacity)


def total(rng):
    parts = [family(rng) for family in (quadratic, latency, queueing)]
    cost = parts[0][0] + parts[1][0] + parts[2][0]
    return cost, lambda x: sum(f(x) for _, f, _ in parts), lambda x: sum(slope(x) for _, _, slope in parts)


FAMILIES = {"quadratic": quadratic, "latency": latency, "power": power, "queueing": queueing, "sum": total}


def clarabel_optimum(cost, budget, lower, upper):
    """As far as Clarabel gets: it stops where it makes no more progress, and cvxpy warns that 1e-14 was not met."""
    x = cp.Variable(NODES)
    met = cp.sum(x) == budget
    problem = cp.Problem(cp.Minimize(cp.sum(cost(x))), [met, x >= lower, x <= upper])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-14, tol_gap_rel=1e-14, tol_feas=1e-14, tol_ktratio=1e-14)
    return x.value, problem.value, -met.dual_value


def binding_box(rng):
    """Bounds of which some hold the optimum back, whatever the cost."""
    lower, upper = rng.uniform(0.1, 0.7, NODES), rng.uniform(1.1, 1.6, NODES)
    lower[0], upper[0], lower[1], upper[1] = 1.4, 1.5, 0.2, 0.3
    return lower, upper


@pytest.mark.parametrize("family", FAMILIES)
def test_allocation_as_clarabel(family):
    """On fixed numbers, as an interior point method's last digits depend on them; the next test takes fresh ones."""
    rng = np.random.default_rng(1)
    cost, in_cvxpy, _ = FAMILIES[family](rng)
    lower, upper = binding_box(rng)
    found = jc.reference(jc.Problem(jc.Allocation(cost, float(NODES), lower, upper)))
    x, value, price = clarabel_optimum(in_cvxpy, NODES, lower, upper)
    np.testing.assert_allclose(found.allocation, x, atol=AGREEMENT)
    assert found.allocation_cost == pytest.approx(value, rel=1e-9)
    assert found.price == pytest.approx(price, abs=AGREEMENT)


@pytest.mark.fast
@pytest.mark.parametrize("family", FAMILIES)
def test_active_bounds(rng, family):
    cost, _, slope = FAMILIES[family](rng)
    lower, upper = binding_box(rng)
    found = jc.reference(jc.Problem(jc.Allocation(cost, float(NODES), lower, upper)))
    assert np.any((found.allocation == lower) | (found.allocation == upper))
    assert_optimal(found, slope, NODES, lower, upper)


def assert_optimal(found, slope, budget, lower, upper):
    """Sum and box hold; the price is the marginal cost where the node is free, and bounds it where the node is not."""
    x, marginal = found.allocation, slope(found.allocation)
    assert np.all((x >= lower) & (x <= upper))
    assert abs(x.sum() - budget) <= 1e-12 * max(1, abs(budget))
    free = (x > lower) & (x < upper)
    np.testing.assert_allclose(marginal[free], np.broadcast_to(found.price, marginal[free].shape), rtol=1e-9, atol=1e-9)
    assert np.all(marginal[x == lower] >= found.price - 1e-9)
    assert np.all(marginal[x == upper] <= found.price + 1e-9)


@pytest.mark.fast
@pytest.mark.parametrize("family", FAMILIES)
def test_allocation_without_bounds(rng, family):
    cost, _, slope = FAMILIES[family](rng)
    found = jc.reference(jc.Problem(jc.Allocation(cost, float(NODES))))
    assert_optimal(found, slope, NODES, -np.inf, np.inf)


def test_far_from_the_equal_share(rng):
    """One node wants almost everything: the cut that stands in for a missing bound must not show."""
    center = np.array([1e6, 0, 0, 0, 0, -3e5])
    found = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), center), 5.0)))
    np.testing.assert_allclose(found.allocation, center + (5.0 - center.sum()) / NODES, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_budget_at_the_end_of_the_box(rng, end):
    cost, _, _ = total(rng)
    bounds = dict(zip(("lower", "upper"), binding_box(rng), strict=True))
    found = jc.reference(jc.Problem(jc.Allocation(cost, bounds[end].sum(), **bounds)))
    np.testing.assert_allclose(found.allocation, bounds[end], rtol=1e-9)


def test_the_optimum_of_each_run(rng):
    """Constants, bounds and budgets with a runs axis: each run has the optimum that it has alone."""
    a, c = rng.uniform(0.5, 3, (NODES, 3)), rng.uniform(0, 2, (NODES, 3))
    lower, upper = rng.uniform(0, 0.5, NODES), rng.uniform(1.2, 1.6, (NODES, 3))
    for budget in (6.0, np.array([5.0, 6.0, 6.5])):
        for high in (upper, upper[:, 0]):
            together = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(a, c), budget, lower, high)))
            for run in range(3):
                own = np.broadcast_to(budget, 3)[run], lower, high if high.ndim == 1 else high[:, run]
                alone = jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(a[:, run], c[:, run]), *own)))
                np.testing.assert_allclose(together.allocation[:, run], alone.allocation, rtol=1e-12)
                assert together.price[run] == pytest.approx(alone.price, rel=1e-12)
                assert together.allocation_cost[run] == pytest.approx(alone.allocation_cost, rel=1e-12)


def test_the_training_optimum_of_each_run(rng):
    data, _, _ = pool(rng, "logistic")
    strengths = np.array([0.01, 0.1])
    together = optimum_of(jc.losses.Logistic(strengths), data)
    for run, l2 in enumerate(strengths):
        alone = optimum_of(jc.losses.Logistic(l2), data)
        np.testing.assert_allclose(together.params["weights"][:, run], alone.params["weights"], atol=1e-9)
        assert together.training_loss[run] == pytest.approx(alone.training_loss, abs=1e-12)


# ---------------------------------------------------------------- the network finds both


@pytest.mark.parametrize(("family", "kind"), [("quadratic", "logistic"), ("sum", "linear")])
def test_the_network_reaches_both_optima(rng, family, kind):
    """Over ideal links, where no bound is active: the penalty's slope is 0 inside the box in its square form."""
    cost, _, _ = FAMILIES[family](rng)
    data, _, _ = pool(rng, kind)
    loss = jc.losses.Linear(0.3) if kind == "linear" else jc.losses.Logistic(0.3)
    weights = data[-1] / data[-1].mean()
    box = (-5.0, 7.0) if family == "quadratic" else (None, None)
    problem = jc.Problem(jc.Allocation(cost, float(NODES), *box), jc.Training(loss, *data[:-1], weights))
    optimum = jc.reference(problem)
    flow = jc.methods.LaplacianFlow(0.05, 0.5, jc.bounds.Penalty(1.0, form="square"))
    method = jc.CoOptimizer(flow, jc.methods.GradientTracking(0.03))
    net = jc.Network.from_graphs(problems.graphs(), failure_rate=0.2)
    result = jc.solve(problem, net, method, 8000, runs=2, record_every=8000, optimum=optimum)
    np.testing.assert_allclose(result.allocation, np.stack([optimum.allocation] * 2, -1), atol=REACHED)
    for name, leaf in result.params.items():
        target = np.broadcast_to(optimum.params[name][None, ..., None], leaf.shape)
        np.testing.assert_allclose(leaf, target, atol=REACHED)
    for gap in ("allocation_gap", "training_gap"):
        assert np.all(np.abs(result.trace[gap][-1]) <= REACHED)
