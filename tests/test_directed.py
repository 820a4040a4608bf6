"""Directed links with balanced weights: mixes and their transposes, exact flows, runs against plain loops, refusals."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import numpy_loop as oracle
import pytest
from method_loops import Link, dgd

import jaxcoopt as jc
from jaxcoopt.compensated import grid_for
from jaxcoopt.network.tables import Tables

NODES, RUNS = 9, 3
LOG = jc.channels.LogQuantizer(rho=0.3, bits=8)


def cycles(rng, nodes=NODES, count=5):
    """Balanced weights w[i, j] of links j -> i: a cycle through all nodes, and some through a few of them."""
    weights = np.zeros((nodes, nodes))
    for i in range(count):
        through = rng.permutation(nodes)[: nodes if i == 0 else rng.integers(2, nodes)]
        weights[np.roll(through, -1), through] += rng.uniform(0.05, 0.15)
    return weights


def network(weights, **options):
    """Row i hears column j."""
    graphs = [nx.from_numpy_array(np.asarray(each).T, create_using=nx.DiGraph) for each in weights]
    return jc.Network.from_graphs(graphs, [*weights], **options)


def laplacian(weights):
    return weights - np.diag(weights.sum(axis=1))


def links_of(net, iteration=0):
    return net.links(jax.random.key(0), jnp.asarray(iteration), jnp.arange(RUNS))


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("kernel", ["auto", "buckets"])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_mix_and_its_derivatives(rng, kernel, shape):
    weights = [cycles(rng), cycles(rng)]
    net = network(weights, kernel=kernel)
    assert net.directed
    mix = jax.jit(lambda u, k: links_of(net, k).mix(u))
    for k, each in enumerate(weights):
        matrix = laplacian(each)
        u, v = rng.normal(size=(2, NODES, *shape, RUNS))
        value, tangent = jax.jvp(lambda u, k=k: mix(u, k), (u,), (v,))
        _, back = jax.vjp(lambda u, k=k: mix(u, k), u)
        close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-13)
        close(value, np.tensordot(matrix, u, 1))
        close(tangent, np.tensordot(matrix, v, 1))
        close(back(v)[0], np.tensordot(matrix.T, v, 1))
        # twice: reverse over reverse, and forward over reverse
        norm = lambda u, k=k: (mix(u, k) ** 2).sum()  # noqa: E731
        _, second = jax.jvp(jax.grad(norm), (u,), (v,))
        close(second, 2 * np.tensordot(matrix.T @ matrix, v, 1))
        many = jax.vmap(jax.grad(norm))(jnp.stack([u, v]))
        close(many[1], 2 * np.tensordot(matrix.T @ matrix, v, 1))


def test_the_transpose_needs_no_balance(rng):
    """As links that know of sums in alone, or of sums out, will need it."""
    weights = cycles(rng)
    links = links_of(network([weights]))
    scale = lambda tables, of: replace(tables, weights=tables.weights * of)  # noqa: E731
    factor = rng.uniform(0.5, 2, NODES)  # of what each node hears
    into = jnp.asarray(factor)[links.tables.own()]
    out = jnp.asarray(factor)[links.outward.neighbours]
    links = replace(links, tables=scale(links.tables, into), outward=scale(links.outward, out))
    matrix = laplacian(weights * factor[:, None])
    u, v = rng.normal(size=(2, NODES, RUNS))
    value, back = jax.vjp(links.mix, jnp.asarray(u))
    np.testing.assert_allclose(value, matrix @ u, atol=1e-13)
    np.testing.assert_allclose(back(jnp.asarray(v))[0], matrix.T @ v, atol=1e-13)


@pytest.mark.parametrize("kernel", ["auto", "buckets"])
def test_what_flows_is_lost_and_gained_to_the_last_digit(rng, kernel, optimised):
    weights = cycles(rng, 60, 40)
    links = links_of(network([weights], kernel=kernel))
    prices = rng.normal(size=(60, RUNS)) * 10.0 ** rng.uniform(-6, 2, (60, RUNS))
    grid = grid_for(jnp.full((1, RUNS), 50.0))  # no constant of the program, or XLA leaves the rounding out
    amount = lambda own, other, weight: weight * (other - own)  # noqa: E731
    flow = jax.jit(lambda p, grid: links.flow(p, amount, grid))(jnp.asarray(prices), grid)
    high, low = np.asarray(flow.high), np.asarray(flow.low)
    assert np.all(high.sum(axis=0) + low.sum(axis=0) == 0)
    np.testing.assert_allclose(high + low, laplacian(weights) @ prices, rtol=1e-9, atol=1e-12)


@pytest.mark.fast
def test_its_laplacians(rng):
    weights = [cycles(rng), cycles(rng)]
    for found, each in zip(jc.theory.laplacians(network(weights)), weights, strict=True):
        np.testing.assert_allclose(found.toarray(), -laplacian(each), atol=1e-15)


# ---------------------------------------------------------------- runs, against plain loops


QUANTIZE = partial(oracle.log_quantize, rho=0.3, bits=8)
CHANNELS = {
    "ideal": (jc.channels.Ideal(), oracle.ideal),
    "message": (replace(LOG, placement="message"), QUANTIZE),
    "innovation": (replace(LOG, placement="innovation"), QUANTIZE),
}
each_channel = pytest.mark.parametrize(("channel", "quantize"), CHANNELS.values(), ids=CHANNELS)
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-10)


@each_channel
def test_a_flow_as_a_plain_loop(rng, channel, quantize):
    weights, steps, step = [cycles(rng), cycles(rng)], 300, 0.3
    curvature, center = rng.uniform(0.5, 2, (2, NODES))
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(curvature, center), 12.0))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(step, momentum=0.2), channel=channel)
    result = jc.solve(problem, network(weights), method, steps)
    price = lambda i, x: curvature[i] * (x - center[i])  # noqa: E731
    start, sequence = np.full(NODES, 12.0 / NODES), [weights[k % 2] for k in range(steps)]
    x = oracle.allocation_loop(start, price, sequence, step, 0.2, quantize, channel.placement)[-1]
    close(result.allocation[:, 0], x)
    assert np.max(np.abs(result.trace["budget_residual"])) < 1e-13
    if channel.placement != "message":
        assert abs(float(result.trace["allocation_gap"][-1, 0])) < 1e-10


@each_channel
def test_training_as_a_plain_loop(rng, channel, quantize):
    weights, steps, step = [cycles(rng), cycles(rng)], 100, 0.02
    features, targets = rng.normal(size=(NODES, 6, 2)), rng.normal(size=(NODES, 6))
    problem = jc.Problem(training=jc.Training(jc.losses.Linear(0.1), features, targets))
    net, sequence = network(weights), [weights[k % 2] for k in range(steps)]
    gradient = lambda i, y: oracle.node_gradient("linear", y, features[i], targets[i], l2=0.1)  # noqa: E731
    start = np.zeros((NODES, 3))
    link = partial(Link, quantize, channel.placement)
    tracked, _ = oracle.gradient_tracking_loop(start, gradient, sequence, step, quantize, channel.placement)
    descended = dgd(start, gradient, sequence, {"step": step}, link)
    initial = jc.Initial(params={"weights": np.zeros(2), "bias": 0.0})
    for method, y in ((jc.methods.DIGing(step), tracked), (jc.methods.DGD(step), descended)):
        optimizer = jc.CoOptimizer(training=method, channel=channel)
        params = jc.solve(problem, net, optimizer, steps, initial=initial).params
        close(np.concatenate([params["weights"], params["bias"][:, None]], axis=1)[..., 0], y[-1])


def test_slopes_through_a_run(rng):
    net, problem = (
        network([cycles(rng)]),
        jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(1, 2, NODES), 0.3), 9.0)),
    )

    def gap(step):
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(step))
        return jc.solve(problem, net, method, 20, optimum=jc.Optimum()).trace["allocation_cost"][-1].sum()

    difference = (gap(0.2 + 1e-5) - gap(0.2 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(gap)(0.2), difference, rtol=1e-6)


def test_the_budget_in_float32(rng, float32, optimised):
    weights = cycles(rng, 30, 20)
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, 30), 3.0), 40.0))
    for channel, _ in CHANNELS.values():
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.2), channel=channel)
        result = jc.solve(problem, network([weights]), method, 20_000, record_every=10_000, runs=2)
        assert np.max(np.abs(result.trace["budget_residual"])) < 1e-6
        assert channel.placement == "message" or np.all(np.abs(result.trace["allocation_gap"][-1]) < 1e-4)


def test_the_budget_where_all_prices_are_large_alike(rng, float32, optimised):
    """A node sends its price as it is, so that what flows is as large as the prices."""
    for center in (-1e3, -1e6):
        problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), center), 12.0))
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.2))
        result = jc.solve(problem, network([cycles(rng)]), method, 2000, record_every=1000, optimum=jc.Optimum())
        assert np.max(np.abs(result.trace["budget_residual"])) < 1e-6


# ---------------------------------------------------------------- what is refused


def ring():
    return nx.cycle_graph(6, create_using=nx.DiGraph)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("graphs", "options", "words"),
    [
        (nx.path_graph(4, create_using=nx.DiGraph), {"weights": 0.2}, "not strongly connected.*4 parts"),
        (nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 2)]), {"weights": 0.2}, "not balanced.*node 0 .* 0.2 .* 0.4"),
        (ring(), {}, "'metropolis' is for undirected graphs"),
        (ring(), {"weights": 0.3, "failure_rate": 0.1}, "failure_rate: where a directed link is down"),
        (ring(), {"weights": 0.3, "kernel": "dense"}, "kernel: 'dense' is for undirected links"),
        (ring(), {"weights": -0.3}, "negative"),
    ],
)
def test_networks_that_are_refused(graphs, options, words):
    with pytest.raises(ValueError, match=words):
        jc.Network.from_graphs(graphs, **options)


@pytest.mark.fast
def test_directed_and_undirected_graphs_together():
    net = jc.Network.from_graphs([ring(), nx.complete_graph(6)], 0.1)
    assert net.directed
    assert net.edges.count == 30
    assert "30 directed links" in repr(net)
    assert isinstance(net.outward, Tables)
    assert not jc.Network.from_graphs(nx.cycle_graph(4)).directed


@pytest.mark.fast
def test_what_needs_links_both_ways(rng):
    net = jc.Network.from_graphs(ring(), 0.3)
    allocation = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(1, 2, 6), 0.3), 6.0, 0.0, 3.0))
    training = jc.Problem(training=jc.Training(jc.losses.Linear(0.1), rng.normal(size=(6, 4, 2)), np.ones((6, 4))))
    methods, channels = jc.methods, jc.channels
    for problem, method, words in [
        (allocation, jc.CoOptimizer(methods.DualFlow()), "DualFlow needs links that go both ways"),
        (allocation, jc.CoOptimizer(methods.SingleBitFlow(0.1)), "the nonlinearity SingleBit needs"),
        (
            allocation,
            jc.CoOptimizer(methods.LaplacianFlow(0.1), channel=channels.LogQuantizer(placement="difference")),
            "placement 'difference' needs the value at both ends",
        ),
        (training, jc.CoOptimizer(training=methods.EXTRA(0.1)), "EXTRA needs links that go both ways"),
        (training, jc.CoOptimizer(training=methods.DGD("auto")), "no bound is known for directed links; give a number"),
    ]:
        with pytest.raises(ValueError, match=words):
            jc.solve(problem, net, method, 3)
    good = jc.CoOptimizer(methods.LaplacianFlow(0.1))
    with pytest.raises(ValueError, match="'nodes' is for undirected links"):
        jc.solve(allocation, net, good, 3, shard="nodes")
    theory = jc.theory
    for known in (
        lambda: theory.step_bound(good.allocation, allocation, net),
        lambda: theory.spectral_rate(good.allocation, allocation, net),
        lambda: theory.paper_bound(allocation, net),
        lambda: theory.lyapunov(good.allocation, allocation, net, 3),
        lambda: theory.connectivity(net),
        lambda: theory.failure_threshold(net),
    ):
        with pytest.raises(ValueError, match="network: it is directed"):
            known()
    with pytest.raises(ValueError, match="must stay balanced"):
        jc.tune(allocation, net, good, ["weights"], steps=5, iterations=1)
