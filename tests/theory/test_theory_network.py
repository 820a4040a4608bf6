"""Sectors against dense samples, Laplacians against formulas, link failures against draws."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from scipy import sparse

import jaxcoopt as jc
from jaxcoopt.draws import Draw
from jaxcoopt.theory import laplacian as laplacian_file

CHANNELS = {
    "ideal": jc.channels.Ideal(),
    "log": jc.channels.LogQuantizer(rho=0.7),
    "log-bits": jc.channels.LogQuantizer(rho=0.7, bits=5),
    "uniform": jc.channels.UniformQuantizer(step=0.1),
    "sign": jc.channels.Sign(scale=0.3),
    "clip": jc.channels.Clip(limit=0.5),
    "natural": jc.channels.Natural(),
    "qsgd": jc.channels.QSGD(levels=4),
    "top-k": jc.channels.TopK(count=1),
    "rand-k": jc.channels.RandK(count=1),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_sectors_are_tight(name):
    """Nothing leaves the sector, and both ends are reached as nearly as samples can."""
    channel = CHANNELS[name]
    size = np.exp(np.linspace(np.log(1e-4), np.log(50), 20001))
    u = jnp.asarray(np.concatenate([size, -size]).reshape(2, 1, -1))
    if name in ("top-k", "rand-k", "qsgd"):  # numbers beside a large one
        u = jnp.concatenate([u, 3 * u, u * 1e-3], axis=1)
    draw = Draw(jax.random.key(0), jnp.arange(u.shape[-1]))
    gain = np.asarray(channel.quantize(u, draw if channel.random else None) / u)
    lower, upper, _ = jc.theory.sector(channel)
    assert lower - 1e-12 <= gain.min() <= lower + 0.02
    assert gain.max() <= upper + 1e-12
    assert gain.max() >= (upper - 0.02 if np.isfinite(upper) else 20)


def test_sector_of_the_papers(untyped):
    rho = np.array([0.1, 0.01])
    lower, upper, first = jc.theory.sector(jc.channels.LogQuantizer(rho=rho))
    np.testing.assert_allclose(first, [1 - rho / 2, 1 + rho / 2], rtol=1e-15)
    assert np.all((upper > first[1]) & (upper - first[1] < rho**2))  # the first order falls short
    assert np.all((lower > first[0]) & (lower - first[0] < rho**2))
    with pytest.raises(TypeError, match=r"channel: expected one of jaxcoopt\.channels"):
        jc.theory.sector(0.5)
    with pytest.raises(ValueError, match=r"channel\.rho: must be a finite number"):
        jc.theory.sector(jc.channels.LogQuantizer(rho=np.nan))


# ---------------------------------------------------------------- eigenvalues


def known(n: int) -> dict[str, tuple[nx.Graph, float, float]]:
    """Graph, lambda_2 and lambda_max with all weights 1."""
    ring = 2 - 2 * np.cos(2 * np.pi / n)
    return {
        "ring": (nx.cycle_graph(n), ring, 2 - 2 * np.cos(2 * np.pi * (n // 2) / n)),
        "star": (nx.star_graph(n - 1), 1.0, float(n)),
        "complete": (nx.complete_graph(n), float(n), float(n)),
        "path": (nx.path_graph(n), 2 - 2 * np.cos(np.pi / n), 2 + 2 * np.cos(np.pi / n)),
    }


@pytest.mark.parametrize("name", known(5))
@pytest.mark.parametrize("nodes", [5, 12, 600])
def test_eigenvalues_of_known_graphs(name, nodes):
    if name == "complete" and nodes > 100:
        nodes = 410  # still beyond the dense ones
    graph, second, largest = known(nodes)[name]
    found = jc.theory.connectivity(jc.Network.from_graphs(graph, weights=1.0))
    np.testing.assert_allclose(found.average_lambda_2, second, rtol=1e-6)
    np.testing.assert_allclose(found.average_lambda_max, largest, rtol=1e-6)


def test_eigenvalues_of_a_switching_network(rng):
    graphs = [nx.gnp_random_graph(7, 0.4, seed=int(rng.integers(1000))) for _ in range(2)] + [nx.cycle_graph(7)]
    network = jc.Network.from_graphs(graphs, failure_rate=0.25, switching=[0, 1, 2, 2])
    found, each = jc.theory.connectivity(network), [of.toarray() for of in jc.theory.laplacians(network)]
    for matrix, second, largest in zip(each, found.lambda_2, found.lambda_max, strict=True):
        np.testing.assert_allclose(matrix.sum(axis=1), 0, atol=1e-14)
        np.testing.assert_allclose(np.linalg.eigvalsh(matrix)[[1, -1]], [second, largest], atol=1e-12)
    mean = np.linalg.eigvalsh((each[0] + each[1] + 2 * each[2]) / 4)
    np.testing.assert_allclose([found.average_lambda_2, found.average_lambda_max], mean[[1, -1]], atol=1e-12)
    np.testing.assert_allclose(found.expected_lambda_2, 0.75 * mean[1], atol=1e-12)


def test_a_graph_in_parts_has_none(monkeypatch):
    apart = nx.Graph([(0, 1), (2, 3)])
    joined = nx.path_graph(4)
    for limit in (400, 1):
        monkeypatch.setattr(laplacian_file, "DENSE", limit)
        found = jc.theory.connectivity(jc.Network.from_graphs([apart, joined]))
        np.testing.assert_allclose(found.lambda_2[0], 0, atol=1e-14)
        assert found.average_lambda_2 > 0.01


def test_directed_weights_count_by_their_symmetric_part():
    ring = np.roll(np.eye(6), 1, axis=1)
    values = np.linalg.eigvals(np.eye(6) - ring)
    real = np.sort(values.real)[1]
    np.testing.assert_allclose(jc.theory.lambda_2(sparse.csr_array(np.eye(6) - ring)), real, atol=1e-12)


@pytest.mark.parametrize("matrix", [np.zeros((3, 4)), np.zeros(3), np.zeros((1, 1))])
def test_no_laplacian(matrix):
    with pytest.raises(ValueError, match="laplacian: expected a matrix"):
        jc.theory.lambda_2(matrix)


# ---------------------------------------------------------------- failures


def test_failures_of_a_ring_and_of_a_complete_graph():
    """A ring of n stays connected with at most one link down: (1 - r)^n + n r (1 - r)^(n-1) = p."""
    nodes, p = 8, 0.9
    rates = np.linspace(0, 1, 100001)
    exact = (1 - rates) ** nodes + nodes * rates * (1 - rates) ** (nodes - 1)
    truth = rates[np.argmin(np.abs(exact - p))]
    ring = jc.theory.failure_threshold(jc.Network.from_graphs(nx.cycle_graph(nodes)), p, samples=2000)
    assert abs(ring.rate - truth) < 0.02
    assert abs(ring.connected(0.2) - np.interp(0.2, rates, exact)) < 0.04
    full = jc.theory.failure_threshold(jc.Network.from_graphs(nx.complete_graph(nodes)), p, samples=1000)
    assert full.rate > 0.5
    again = jc.theory.failure_threshold(jc.Network.from_graphs(nx.complete_graph(nodes)), p, samples=1000)
    assert again.rate == full.rate


def test_a_longer_window_stands_more():
    """A link is down throughout w iterations with r^w, so the threshold is the w-th root."""
    network = jc.Network.from_graphs(nx.cycle_graph(6))
    one, four = (jc.theory.failure_threshold(network, 0.9, window=w, samples=2000) for w in (1, 4))
    assert four.iterations == 4
    np.testing.assert_allclose(four.rate, one.rate**0.25, atol=0.03)


def test_thresholds_are_of_the_networks_own_draws():
    graphs, seed, rate = [nx.path_graph(5), nx.star_graph(4)], 3, 0.3
    network = jc.Network.from_graphs(graphs, failure_rate=rate)
    runs, key = jnp.arange(50), jax.random.key(seed)
    union = sum(np.asarray(network.links(key, jnp.asarray(k), runs).dense()) for k in range(2))
    held = [sparse.csgraph.connected_components(union[..., run])[0] == 1 for run in range(50)]
    found = jc.theory.failure_threshold(network, samples=50, seed=seed)
    assert found.connected(rate) == np.mean(held)
    assert 0 < np.mean(held) < 1


def test_random_switching_may_miss_a_graph():
    graphs = [nx.Graph([(0, 1), (2, 3)]), nx.path_graph(4)]
    graphs[1].remove_edge(0, 1)
    graphs[1].add_edge(0, 3)
    found = jc.theory.failure_threshold(jc.Network.from_graphs(graphs, switching="random"), samples=400)
    assert found.rate == 0  # (1, 2), (2, 3), (0, 3) are there half of the time at least
    assert 0.3 < found.connected(0.0) < 0.95


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"probability": 1.0}, ValueError, "probability: expected a number between 0 and 1"),
        ({"window": 0}, ValueError, "window: expected 1 or more"),
        ({"samples": 2.5}, TypeError, "samples: expected a whole number"),
    ],
)
def test_thresholds_of_nothing(untyped, settings, error, words):
    with pytest.raises(error, match=words):
        jc.theory.failure_threshold(jc.Network.from_graphs(nx.path_graph(3)), **settings)


def test_no_network(untyped):
    with pytest.raises(TypeError, match=r"network: expected a jaxcoopt\.Network"):
        jc.theory.connectivity(nx.path_graph(3))
    with pytest.raises(TypeError, match=r"network: expected a jaxcoopt\.Network"):
        jc.theory.failure_threshold(nx.path_graph(3))
