"""Derivatives of `jc.reference`: against its finite differences, against unrolled runs, and at the kinks."""

import warnings

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from problems import NODES
from test_optimum import binding_box

import jaxcoopt as jc

NETWORK = jc.Network.from_graphs([nx.complete_graph(NODES)])
OUTWARD = np.arange(1.0, NODES + 1)  # weights that tell the nodes apart


def moved(tree, direction, step):
    return jax.tree.map(lambda leaf, along: leaf + step * along, tree, direction)


def direction_of(rng, tree):
    return jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), tree)


def central_difference(fn, at, along, h=1e-5):
    ahead, back = (jax.tree.map(np.asarray, fn(moved(at, along, step))) for step in (h, -h))
    return jax.tree.map(lambda a, b: (a - b) / (2 * h), ahead, back)


def assert_close(found, wanted, tolerance):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def arrays(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), tree)


# ---------------------------------------------------------------- allocation


def costs_of(name, constants):
    a, c, w = (constants[key] for key in "acw")
    parts = {
        "quadratic": lambda: jc.costs.Quadratic(a, c),
        "latency": lambda: jc.costs.Latency(w),
        "power": lambda: jc.costs.Power(w, 1.5),
        "queueing": lambda: jc.costs.Queueing(2 + a),
        "sum": lambda: jc.costs.Quadratic(a, c) + jc.costs.Latency(w) + jc.costs.Queueing(2 + a),
        "custom": lambda: jc.costs.Custom(lambda x, p: p["w"] * jnp.cosh(x - p["c"]), {"w": w, "c": c}),
    }
    return parts[name]()


FAMILIES = ["quadratic", "latency", "power", "queueing", "sum", "custom"]


def shares(rng, runs=()):
    """Constants, bounds that bind at nodes 0 and 1, and a budget."""
    constants = {
        "a": rng.uniform(0.5, 3, (NODES, *runs)),
        "c": rng.uniform(-1, 2, NODES),
        "w": rng.uniform(0.2, 2, NODES),
    }
    lower, upper = binding_box(rng)
    return arrays({"constants": constants, "lower": lower, "upper": upper, "budget": np.full(runs, float(NODES))})


def problem_of(name, given):
    cost = costs_of(name, given["constants"])
    return jc.Problem(jc.Allocation(cost, given["budget"], given["lower"], given["upper"]))


def parts_of(problem):
    found = jc.reference(problem)
    return found.allocation, found.price, found.allocation_cost


def without_near_kinks(rng, name, runs=()):
    """Fresh numbers, drawn again where a bound lets go within the finite difference's reach."""
    for _ in range(50):
        given = shares(rng, runs)
        x, price, _ = (np.asarray(value) for value in parts_of(problem_of(name, given)))
        lower, upper = (np.asarray(given[side]).reshape(-1, *(1,) * len(runs)) for side in ("lower", "upper"))
        slope = jax.grad(lambda x, g=given: columns_cost(name, g, x).sum())(jnp.asarray(x.reshape(NODES, -1)))
        force = np.abs(np.asarray(slope).reshape(x.shape) - price)
        held = (x == lower) | (x == upper)
        if np.all(force[held] > 1e-2) and np.all((np.minimum(x - lower, upper - x) > 1e-2) | held) and (~held).any():
            return given
    raise AssertionError("no problem without a near kink was found")


def columns_cost(name, given, x):
    constants = jax.tree.map(lambda leaf: leaf.reshape(NODES, -1), given["constants"])
    return costs_of(name, constants).value(x)


@pytest.mark.parametrize("name", FAMILIES)
def test_shares_move_as_finite_differences_say(rng, name):
    """Allocation, price and cost with every constant, bound and the budget; reverse equals forward; no warning."""
    given = without_near_kinks(rng, name)
    fn = lambda at: parts_of(problem_of(name, at))  # noqa: E731
    along = direction_of(rng, given)
    value, forward = jax.jvp(fn, (given,), (along,))
    assert_close(value, fn(given), 2e-15)  # compiled apart, whose fused sums may round differently
    assert_close(forward, central_difference(fn, given, along), 2e-7)
    _, pull = jax.vjp(fn, given)
    weights = direction_of(rng, value)
    (reverse,) = pull(arrays(weights))
    assert dot(reverse, along) == pytest.approx(dot(weights, forward), rel=1e-10)


def dot(a, b):
    return sum(float(np.vdot(x, y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.parametrize("name", ["quadratic", "sum"])
def test_shares_move_as_the_unrolled_run_does(rng, name):
    """Over 600 iterations, at whose end the run stands at the optimum."""
    given = without_near_kinks(rng, name)
    method = jc.CoOptimizer(jc.methods.CurvatureFlow(0.9, bounds=jc.bounds.Multiplier(0.5)))

    def unrolled(at):
        x = jc.solve(problem_of(name, at), NETWORK, method, 600, record_every=600).allocation[:, 0]
        return jnp.dot(OUTWARD, x), x

    (_, x), slope = jax.jit(jax.value_and_grad(unrolled, has_aux=True))(given)
    implicit = jax.grad(lambda at: jnp.dot(OUTWARD, jc.reference(problem_of(name, at)).allocation))(given)
    np.testing.assert_allclose(x, jc.reference(problem_of(name, given)).allocation, atol=1e-9)
    assert_close(implicit, slope, 1e-6)


def test_each_run_moves_alone(rng):
    given = without_near_kinks(rng, "sum", (2,))
    along = direction_of(rng, given)
    fn = lambda at: parts_of(problem_of("sum", at))  # noqa: E731
    value, together = jax.jvp(fn, (given,), (along,))
    assert value[0].shape == (NODES, 2)
    assert_close(together, central_difference(fn, given, along), 2e-7)

    def pick(tree, run):
        own = tree["constants"] | {"a": tree["constants"]["a"][:, run]}
        return tree | {"constants": own, "budget": tree["budget"][run]}

    for run in range(2):
        alone = jax.jvp(fn, (pick(given, run),), (pick(along, run),))[1]
        assert_close(alone, jax.tree.map(lambda leaf, r=run: leaf[..., r], together), 1e-10)


def test_second_derivatives(rng):
    given = without_near_kinks(rng, "sum")
    along = direction_of(rng, given)
    slope = jax.grad(lambda at: jnp.dot(OUTWARD, jc.reference(problem_of("sum", at)).allocation))
    twice = jax.jvp(slope, (given,), (along,))[1]
    assert_close(twice, central_difference(slope, given, along), 1e-5)


def test_the_price_is_the_slope_of_the_cost(rng):
    """Without bounds, whose None is no leaf, and in single precision, whose answers are single."""
    allocation = lambda b: jc.Problem(jc.Allocation(jc.costs.Quadratic(OUTWARD, 0.0), b))  # noqa: E731
    for wide, kind in ((True, np.float64), (False, np.float32)):
        with jax.enable_x64(wide):
            slope = jax.grad(lambda b: jc.reference(allocation(b)).allocation_cost)(jnp.asarray(3.0))
            assert slope.dtype == kind
            assert slope == pytest.approx(3.0 / (1 / OUTWARD).sum(), rel=1e-6)


def by_budget(cost, budget, lower=None, upper=None):
    """(d allocation, d price, d cost) / d budget."""
    return jax.jacfwd(lambda b: parts_of(jc.Problem(jc.Allocation(cost, b, lower, upper), None)))(budget)


def test_a_kink_is_told_and_held():
    """Node 0 is just at its bound: a growing budget presses it on, and that side is given."""
    with pytest.warns(RuntimeWarning, match=r"node 0 \(run 0\): there a share is at its bound"):
        x, price, _ = by_budget(jc.costs.Quadratic(np.ones(4), 0.0), 4.0, None, np.array([1.0, 2, 2, 2]))
    np.testing.assert_allclose(x, [0, 1 / 3, 1 / 3, 1 / 3])
    assert price == pytest.approx(1 / 3)


@pytest.mark.parametrize(("end", "first"), [("lower", 0), ("upper", 3)])
def test_all_nodes_held(end, first):
    """The budget at the end of the box: the node that leaves first takes all of the only change there can be."""
    curvature, ones = np.array([1.0, 2, 3, 4]), np.ones(4)
    box = {"lower": (ones, 3 * ones), "upper": (-ones, ones)}[end]
    with pytest.warns(RuntimeWarning, match=rf"node {first} \(run 0\): every node of the run is at a bound"):
        x, price, cost = by_budget(jc.costs.Quadratic(curvature, 0.0), 4.0, *box)
    np.testing.assert_allclose(x, np.arange(4) == first)
    assert price == pytest.approx(curvature[first])
    assert cost == pytest.approx(curvature[first])


def test_fixed_nodes_and_linear_costs():
    """Equal bounds move together; a free node with a linear cost sets the price and takes what is left."""
    fixed = lambda b: jc.Problem(jc.Allocation(jc.costs.Quadratic(OUTWARD, 0.0), b * NODES, b, b), None)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        x = jax.jacfwd(lambda b: jc.reference(fixed(b), NODES).allocation)(1.0)
    np.testing.assert_allclose(x, np.ones(NODES))
    linear = lambda p: jc.costs.Power(jnp.stack([p, 2.0, 3.0, 1.0]), np.array([1.0, 2, 2, 2]))  # noqa: E731
    fn = lambda p: parts_of(jc.Problem(jc.Allocation(linear(p), 4.0, 0.0, 9.0)))  # noqa: E731
    p = jnp.asarray(1.0)
    assert_close(jax.jacfwd(fn)(p), central_difference(fn, p, jnp.ones(())), 1e-7)
    x, price, _ = by_budget(linear(p), 4.0, 0.0, 9.0)
    np.testing.assert_allclose(x, [1, 0, 0, 0])
    assert price == 0


# ---------------------------------------------------------------- training


LOSSES = {
    "linear": lambda l2: jc.losses.Linear(l2),
    "logistic": lambda l2: jc.losses.Logistic(l2),
    "hinge": lambda l2: jc.losses.SmoothHinge(l2),
    "softmax": lambda l2: jc.losses.Softmax(3, l2),
}


def samples(rng, kind):
    """(what one differentiates by, the rest) of a training half."""
    features, score = rng.normal(size=(NODES, 8, 3)), rng.normal(size=(NODES, 8))
    given = {"l2": 0.1, "weights": rng.uniform(0.5, 2, NODES), "features": features}
    mask = rng.random((NODES, 8)) < 0.8
    mask[:, :2] = True
    labels = {"linear": score, "softmax": np.digitize(score, [-0.4, 0.4])}.get(kind, np.where(score > 0, 1, -1))
    if kind == "linear":
        given["targets"] = labels
    return arrays(given), {"targets": labels, "mask": mask}


def training_of(kind, given, rest):
    whole = rest | given
    return jc.Training(LOSSES[kind](whole["l2"]), whole["features"], whole["targets"], whole["mask"], whole["weights"])


def fit_of(training):
    found = jc.reference(jc.Problem(training=training))
    return found.params, found.training_loss


@pytest.mark.parametrize("kind", LOSSES)
def test_parameters_move_as_finite_differences_say(rng, kind):
    """Parameters and loss with l2, weights, features and real targets; reverse equals forward."""
    given, rest = samples(rng, kind)
    fn = lambda at: fit_of(training_of(kind, at, rest))  # noqa: E731
    along = direction_of(rng, given)
    value, forward = jax.jvp(fn, (given,), (along,))
    assert_close(value, fn(given), 0)
    assert_close(forward, central_difference(fn, given, along, 1e-4), 3e-6)
    _, pull = jax.vjp(fn, given)
    weights = direction_of(rng, value)
    (reverse,) = pull(arrays(weights))
    assert dot(reverse, along) == pytest.approx(dot(weights, forward), rel=1e-9)


def test_parameters_of_each_run_move_alone(rng):
    given, rest = samples(rng, "logistic")
    strengths = jnp.asarray([0.1, 0.3])
    fn = lambda l2: fit_of(training_of("logistic", given | {"l2": l2}, rest))  # noqa: E731
    params, loss = jax.jvp(fn, (strengths,), (jnp.ones(2),))[1]
    for run, l2 in enumerate(strengths):
        alone = jax.jvp(fn, (l2,), (jnp.ones(()),))[1]
        assert_close(alone, (jax.tree.map(lambda leaf, r=run: leaf[..., r], params), loss[run]), 1e-8)


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_parameters_move_as_the_unrolled_run_does(rng, kind):
    given, rest = samples(rng, kind)
    given |= {"l2": jnp.asarray(1.0), "features": 0.5 * given["features"]}
    method = jc.CoOptimizer(training=jc.methods.GradientTracking(0.1))

    def unrolled(at):
        problem = jc.Problem(training=training_of(kind, at, rest))
        weights = jc.solve(problem, NETWORK, method, 1500, record_every=1500).params["weights"][..., 0]
        return jnp.dot(weights.mean(axis=0), OUTWARD[:3]), weights

    (_, reached), slope = jax.jit(jax.value_and_grad(unrolled, has_aux=True))(given)
    implicit = jax.grad(lambda at: jnp.dot(fit_of(training_of(kind, at, rest))[0]["weights"], OUTWARD[:3]))(given)
    best = fit_of(training_of(kind, given, rest))[0]["weights"]
    np.testing.assert_allclose(reached, np.broadcast_to(best, reached.shape), atol=1e-8)
    assert_close(implicit, slope, 1e-6)


# ---------------------------------------------------------------- what stays as it was


def test_jit_and_vmap_say_what_to_do():
    price = lambda b: jc.reference(jc.Problem(jc.Allocation(jc.costs.Quadratic(OUTWARD, 0.0), b))).price  # noqa: E731
    for fn in (jax.jit(price), jax.jit(jax.grad(price))):
        with pytest.raises(ValueError, match=r"outside of jit"):
            fn(3.0)
    with pytest.raises(ValueError, match=r"instead of vmap"):
        jax.vmap(price)(jnp.ones(2))


def test_a_known_problem_has_its_optimum_inside_jit_too(rng):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(OUTWARD, rng.normal(size=OUTWARD.shape)), 3.0))
    there = jc.reference(problem)
    here = jax.jit(lambda scale: scale * jc.reference(problem).allocation)(1.0)
    np.testing.assert_array_equal(here, there.allocation)


def test_known_halves_stay_numpy(rng):
    """A known problem has no derivatives and no warning of kinks; nor has the known half of another."""
    given, rest = samples(rng, "linear")
    training = training_of("linear", given, rest)
    cost, upper = jc.costs.Quadratic(np.ones(NODES), 0.0), np.ones(NODES)

    def price(b):
        found = jc.reference(jc.Problem(jc.Allocation(cost, b, None, 2 * upper), training))
        assert type(found.training_loss) is np.ndarray
        assert type(found.params["weights"]) is np.ndarray
        return found.price

    assert jax.grad(price)(6.0) == pytest.approx(1 / NODES)
    found = jc.reference(jc.Problem(jc.Allocation(cost, 6.0, None, upper), training))
    assert type(found.allocation) is np.ndarray
    assert type(found.price) is np.float64


def test_a_loss_without_optimum_has_no_derivative(rng):
    given, rest = samples(rng, "linear")
    loss = lambda l2: jc.losses.MLP((2,), l2=l2)  # noqa: E731

    def total(l2):
        found = jc.reference(jc.Problem(training=jc.Training(loss(l2), given["features"], rest["targets"])))
        assert found.params is None
        return 0.0 * l2

    assert jax.grad(total)(0.1) == 0
