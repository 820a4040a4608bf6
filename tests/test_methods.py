"""Optimizers, mini-batches, halves alone, other losses, and the clock, bits and statistics of the record."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import numpy_loop as oracle
import optax
import problems
import pytest

import jaxcoopt as jc
from jaxcoopt.draws import Draw
from jaxcoopt.problem.align import aligned
from jaxcoopt.run.prepare import key_of

NODES, RUNS = problems.NODES, problems.RUNS
IDEAL = jc.channels.Ideal("difference")


def train(fit, tracking, steps, net=None, channel=IDEAL, **options):
    problem, method = jc.Problem(training=fit.training), jc.CoOptimizer(training=tracking, channel=channel)
    options = {
        "runs": RUNS,
        "record_every": steps,
        "optimum": jc.Optimum(),
        "initial": jc.Initial(params=fit.start),
    } | options
    return jc.solve(problem, net or problems.network(), method, steps, **options)


# ---------------------------------------------------------------- optax


def optax_loop(fit, optimizer, weights, run):
    """Gradient tracking by the oracle's mix, each node with an optimizer of its own: y after the last iteration."""
    move, start = jax.jit(optimizer.update), jax.jit(optimizer.init)
    y = problems.one_run(fit.start, run)
    states = [start(row) for row in jnp.asarray(y)]
    gradient = lambda y: np.array([fit.gradient(i, y[i], run) for i in range(NODES)])  # noqa: E731
    g = gradient(y)
    z = g.copy()
    for links in weights[..., run]:
        moved = [move(jnp.asarray(z[i]), states[i], jnp.asarray(y[i])) for i in range(NODES)]
        states = [state for _, state in moved]
        y = y + oracle.mix_difference(y, links, oracle.ideal) + np.array([step for step, _ in moved])
        new = gradient(y)
        z = z + oracle.mix_difference(z, links, oracle.ideal) + new - g
        g = new
    return y


OPTIMIZERS = {
    "momentum": optax.sgd(0.05, momentum=0.9),
    "adam": optax.adam(0.05),
    "schedule": optax.sgd(optax.exponential_decay(0.2, 5, 0.5)),
    "clipping": optax.chain(optax.clip_by_global_norm(0.3), optax.sgd(0.1)),
    "weight decay": optax.adamw(0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@jax.numpy_dtype_promotion("standard")  # optax's bias correction mixes float and int32
def test_each_node_of_each_run_has_its_own_optimizer(rng, name):
    """Clipping in particular acts on the norm of one node's gradient in one run, and schedules count iterations."""
    fit, steps = problems.fit(rng, "linear", masked=False, weighted=True), 12
    result = train(fit, jc.methods.GradientTracking(optimizer=OPTIMIZERS[name]), steps)
    weights = problems.weight_matrices(problems.network(), steps)
    for run in range(RUNS):
        expected = optax_loop(fit, OPTIMIZERS[name], weights, run)
        np.testing.assert_allclose(problems.one_run(result.params, run), expected, rtol=1e-10, atol=1e-10)


def test_sgd_is_the_plain_step(rng):
    fit = problems.fit(rng, "linear", masked=False, weighted=True)
    methods = ({"step": 0.05}, {"optimizer": optax.sgd(0.05)})
    plain, sgd = (train(fit, jc.methods.GradientTracking(order="atc", **given), 50) for given in methods)
    for name, leaf in plain.params.items():
        np.testing.assert_allclose(sgd.params[name], leaf, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- mini-batches


def last_batch(fit, steps, size):
    """The training half as it runs, and the samples that the last iteration drew."""
    training = aligned(jc.Problem(training=fit.training), NODES).training
    key = jax.random.fold_in(key_of(0, "batch"), steps - 1)
    return training, training.sample(Draw(key, jnp.arange(RUNS)).named("training").named("batch"), size)


@pytest.mark.parametrize("order", ["cta", "atc"])
def test_the_tracker_sums_to_the_gradients_of_the_last_batch(rng, order):
    fit, steps = problems.fit(rng, "logistic", masked=True, weighted=True), 100
    result = train(fit, jc.methods.GradientTracking(0.05, batch_size=2, order=order), steps)
    training, batch = last_batch(fit, steps, 2)
    last = training.gradient(result.params, batch)["weights"].sum(axis=0)
    everything = training.gradient(result.params, training.batch())["weights"].sum(axis=0)
    tracked = result.state.training.tracker["weights"].sum(axis=0)
    np.testing.assert_allclose(tracked, last, rtol=1e-12, atol=1e-12)
    assert np.abs(np.asarray(tracked - everything)).max() > 1e-3  # a batch is not all samples


def test_batches_are_uniform_over_the_valid_samples(rng):
    fit = problems.fit(rng, "linear", masked=True, weighted=False)
    marked = replace(fit.training, targets=np.tile(np.arange(problems.SAMPLES, dtype=float), (NODES, 1)))
    size = 4000
    _, batch = last_batch(replace(fit, training=marked), 1, size)
    assert batch.features.shape == (NODES, size, problems.FEATURES, RUNS)
    drawn = np.asarray(batch.labels).astype(int)
    for node in range(NODES):
        valid = np.flatnonzero(fit.training.mask[node])
        for run in range(RUNS):
            share = np.bincount(drawn[node, :, run], minlength=problems.SAMPLES) / size
            assert np.all(share[~fit.training.mask[node]] == 0)
            np.testing.assert_allclose(share[valid], 1 / len(valid), atol=6 * np.sqrt(0.25 / size))
        np.testing.assert_array_equal(batch.features[node, :, :, 0], fit.training.features[node, drawn[node, :, 0]])
    assert np.any(drawn[:, :, 0] != drawn[:, :, 1])


def test_mini_batches_train(rng):
    fit = problems.fit(rng, "linear", masked=False, weighted=False)
    result = train(fit, jc.methods.GradientTracking(0.02, batch_size=3), 2000, record_every=20)
    loss = np.asarray(result.trace["training_loss"])
    best = train(fit, jc.methods.GradientTracking(0.1), 2000).trace["training_loss"][-1]
    assert np.all(loss[-20:].mean(axis=0) - best < 0.2 * (loss[0] - best))


# ---------------------------------------------------------------- halves


def test_a_half_alone_moves_as_it_does_beside_the_other(rng):
    shares, fit = problems.quadratic_shares(rng), problems.fit(rng, "linear", masked=True, weighted=True)
    flow = jc.methods.LaplacianFlow(problems.STEP, problems.MOMENTUM, shares.bounds)
    tracking = jc.methods.GradientTracking(problems.RATE)
    both = jc.CoOptimizer(flow, tracking, jc.channels.LogQuantizer(0.5, placement="innovation"))
    solve = partial(jc.solve, network=problems.network(), steps=60, runs=RUNS, record_every=60, optimum=jc.Optimum())
    together = solve(
        jc.Problem(shares.allocation, fit.training), method=both, initial=jc.Initial(shares.start, fit.start)
    )
    first = solve(jc.Problem(shares.allocation), method=replace(both, training=None), initial=jc.Initial(shares.start))
    second = solve(
        jc.Problem(training=fit.training), method=replace(both, allocation=None), initial=jc.Initial(None, fit.start)
    )
    np.testing.assert_allclose(first.allocation, together.allocation, rtol=1e-12)
    np.testing.assert_allclose(second.params["weights"], together.params["weights"], rtol=1e-10, atol=1e-12)
    assert first.params is None
    assert second.allocation is None
    assert first.trace.keys().isdisjoint({"training_loss", "consensus_error"})
    assert second.trace.keys().isdisjoint({"allocation_cost", "budget_residual", "box_violation"})


# ---------------------------------------------------------------- other losses


def start_of_custom(key):
    return {"inner": jax.random.normal(key, (problems.FEATURES,)), "outer": jnp.ones(())}


def custom_loss(params, x, y):
    return (params["outer"] * jnp.tanh(x @ params["inner"]) - y) ** 2


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (jc.losses.MLP(hidden=(8,), classes=problems.CLASSES, l2=1e-3), "softmax"),
        (jc.losses.MLP(hidden=(8, 4)), "linear"),
        (jc.losses.Custom(custom_loss, start_of_custom), "linear"),
    ],
)
def test_losses_without_a_reference_go_down(rng, loss, kind):
    fit = problems.fit(rng, kind, masked=True, weighted=True)
    fit = replace(fit, training=replace(fit.training, loss=loss))
    result = train(fit, jc.methods.GradientTracking(0.05), 500, initial=None, optimum=None, record_every=100)
    trace = result.trace["training_loss"]
    assert np.all(trace[-1] < trace[0])
    assert "training_gap" not in result.trace
    size = np.sqrt(
        sum(np.sum(leaf**2, axis=tuple(range(leaf.ndim - 1))) for leaf in jax.tree.leaves(result.mean_params))
    )
    assert np.all(result.trace["consensus_error"][-1] < 0.1 * size)  # not convex: how fast they agree is not known
    assert result.status.tolist() == [jc.Status.MAX_STEPS] * RUNS
    total = jax.tree.map(lambda z: z.sum(axis=0), result.state.training.tracker)
    training = aligned(jc.Problem(training=fit.training), NODES).training
    gradients = jax.tree.map(lambda g: g.sum(axis=0), training.gradient(result.params))
    for z, g in zip(jax.tree.leaves(total), jax.tree.leaves(gradients), strict=True):
        np.testing.assert_allclose(z, g, atol=1e-12)


# ---------------------------------------------------------------- the record


def test_seconds_are_those_of_the_slowest_node(rng):
    shares, work, steps = problems.quadratic_shares(rng), rng.uniform(1, 3, NODES), 20
    flow = jc.methods.LaplacianFlow(problems.STEP, problems.MOMENTUM, shares.bounds)
    problem, net = jc.Problem(shares.allocation, work=work), problems.network()
    result = jc.solve(
        problem,
        net,
        jc.CoOptimizer(flow, channel=IDEAL),
        steps,
        runs=RUNS,
        record_every=1,
        initial=jc.Initial(shares.start),
    )
    weights = problems.weight_matrices(net, steps)
    for run in range(RUNS):
        settings = problems.STEP[run], problems.MOMENTUM[run]
        x = oracle.allocation_loop(
            shares.start[:, run],
            partial(shares.price, run=run),
            weights[..., run],
            *settings,
            oracle.ideal,
            "difference",
        )
        seconds = np.concatenate([[0], np.cumsum((work / x[:-1]).max(axis=1))])
        np.testing.assert_allclose(result.trace["seconds"][:, run], seconds, rtol=1e-12)


@pytest.mark.fast
def test_seconds_of_training_alone(rng):
    fit, work = problems.fit(rng, "linear", masked=False, weighted=False), np.arange(1.0, NODES + 1)
    method = jc.CoOptimizer(training=jc.methods.GradientTracking(0.01))
    problem = jc.Problem(training=fit.training, work=work)
    result = jc.solve(problem, problems.network(), method, 10, runs=RUNS, record_every=5, optimum=jc.Optimum())
    np.testing.assert_allclose(result.trace["seconds"], np.repeat([[0.0], [5.0 * NODES], [10.0 * NODES]], RUNS, axis=1))


def small_run(channel, halves, failure_rate=0.0):
    """Five iterations over a path and a triangle in turn, of three nodes: the bits sent."""
    allocation = jc.Allocation(jc.costs.Quadratic(np.ones(3), np.arange(3.0)), 3.0)
    training = jc.Training(jc.losses.Linear(0.1), np.ones((3, 2, 4)), np.zeros((3, 2)))
    problem = jc.Problem(allocation if "a" in halves else None, training if "t" in halves else None)
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.1) if "a" in halves else None,
        jc.methods.GradientTracking(0.1) if "t" in halves else None,
        channel,
    )
    net = jc.Network.from_graphs([nx.path_graph(3), nx.complete_graph(3)], failure_rate=failure_rate)
    result = jc.solve(problem, net, method, 5, runs=2, record_every=1, optimum=jc.Optimum())
    return np.asarray(result.trace["bits"])


@pytest.mark.parametrize(("halves", "numbers"), [("a", 1), ("t", 2 * 5), ("at", 11)])
def test_bits_by_hand(halves, numbers):
    """A path of three nodes has 4/3 directed links a node, a triangle 2: 4/3, 2, 4/3, ... copies of each number.

    One price, and four weights and a bias of y and of z.
    """
    copies = np.cumsum([0, 4 / 3, 2, 4 / 3, 2, 4 / 3])[:, None] * np.ones(2)
    word = 5
    np.testing.assert_allclose(small_run(jc.channels.LogQuantizer(0.5, bits=word), halves), numbers * word * copies)


@pytest.mark.fast
def test_bits_of_every_run_and_of_failed_links():
    ideal = small_run(jc.channels.Ideal(), "a", failure_rate=0.9)[-1]
    np.testing.assert_allclose(ideal, 64 * (3 * 4 / 3 + 2 * 2))  # sent, though not received
    fine, coarse = small_run(jc.channels.LogQuantizer(np.array([0.01, 1.0])), "a")[-1] / 8
    span = np.log(np.finfo(float).max) - np.log(np.finfo(float).tiny)
    assert (fine, coarse) == (1 + np.ceil(np.log2(span / 0.01 + 2)), 1 + np.ceil(np.log2(span + 2)))


def test_statistics_are_what_they_say(rng):
    shares, fit = problems.quadratic_shares(rng), problems.fit(rng, "hinge", masked=True, weighted=True)
    start = np.concatenate([np.full((1, RUNS), 2.0), 0.8 * np.ones((NODES - 1, RUNS))])  # outside the box at node 0
    flow, tracking = jc.methods.LaplacianFlow(1e-3, 0.0, shares.bounds), jc.methods.GradientTracking(0.05)
    problem, initial = jc.Problem(shares.allocation, fit.training), jc.Initial(start, fit.start)
    method = jc.CoOptimizer(flow, tracking, IDEAL)
    result = jc.solve(problem, problems.network(), method, 20, runs=RUNS, record_every=20, initial=initial)
    for run in range(RUNS):
        last = {name: np.asarray(values)[-1, run] for name, values in result.trace.items()}
        optimum = jax.tree.map(lambda leaf: np.asarray(leaf)[..., run], result.optimum)  # noqa: B023
        check_allocation(last, shares.allocation, np.asarray(result.allocation)[:, run], run, optimum)
        check_training(last, fit.training, problems.one_run(result.params, run), run, optimum)


def check_allocation(last, allocation, x, run, optimum):
    cost = allocation.cost
    value = np.sum(cost.curvature / 2 * (x - cost.center[:, run]) ** 2 + cost.offset)
    best = optimum.allocation_cost
    outside = max(np.max(allocation.lower - x), np.max(x - allocation.upper))
    assert outside > 0.1
    assert last["allocation_cost"] == pytest.approx(value, rel=1e-12)
    assert last["allocation_gap"] == pytest.approx((value - best) / abs(best), rel=1e-9)
    assert last["box_violation"] == pytest.approx(outside, rel=1e-12)
    assert last["budget_residual"] <= 1e-14


def check_training(last, training, y, run, optimum):
    mean, mask, weights = y.mean(axis=0), training.mask, training.weights
    settings = training.loss.l2[run], training.loss.sharpness[run]
    losses = [
        oracle.node_loss(
            "hinge",
            mean,
            training.features[i][mask[i]],
            training.targets[i][mask[i]],
            1,
            settings[0],
            weights[i],
            settings[1],
        )
        for i in range(NODES)
    ]
    loss, least = sum(losses) / weights.sum(), optimum.training_loss
    assert last["consensus_error"] == pytest.approx(np.sqrt(np.sum((y - mean) ** 2) / NODES), rel=1e-12)
    assert last["training_loss"] == pytest.approx(loss, rel=1e-12)
    assert last["training_gap"] == pytest.approx((loss - least) / least, rel=1e-9)
