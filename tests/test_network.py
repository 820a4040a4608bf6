"""The network: weights by hand, tables against networkx, mixing against matrices, failures against the binomial law."""

from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.compensated import grid_for
from jaxcoopt.network.links import Links
from jaxcoopt.network.tables import CHUNK

KEY = jax.random.key(3)
TOL = 1e-12 if jax.config.jax_enable_x64 else 1e-5


@jax.jit
def links(network: jc.Network, key: jax.Array, iteration: Any, runs: Any) -> Links:
    return network.links(key, iteration, runs)


@jax.jit
def _many(network: jc.Network, key: jax.Array, iterations: jax.Array, runs: jax.Array) -> jax.Array:
    return jax.vmap(lambda k: network.links(key, k, runs).dense())(iterations)


def many(network: jc.Network, iterations: int, runs: Any = (0,), key: Any = KEY) -> np.ndarray:
    """[iterations, nodes, nodes], with a runs axis where links may fail."""
    return np.asarray(_many(network, key, jnp.arange(iterations, dtype=jnp.int32), jnp.asarray(runs, jnp.int32)))


def dense(network: jc.Network, iteration: int = 0) -> np.ndarray:
    return many(network, iteration + 1)[iteration]


def links_of(network: jc.Network, runs: int, iteration: int = 0) -> Links:
    return links(network, KEY, jnp.asarray(iteration, jnp.int32), jnp.arange(runs, dtype=jnp.int32))


# ---------------------------------------------------------------- weights

PATH_AND_CHORD = nx.Graph([(0, 1), (1, 2), (2, 3), (1, 3)])  # degrees 1, 3, 2, 2


@pytest.mark.fast
@pytest.mark.parametrize(
    ("rule", "by_hand"),
    [
        ("metropolis", {(0, 1): 1 / 4, (1, 2): 1 / 4, (1, 3): 1 / 4, (2, 3): 1 / 3}),
        ("max_degree", dict.fromkeys([(0, 1), (1, 2), (1, 3), (2, 3)], 1 / 4)),
        (0.3, dict.fromkeys([(0, 1), (1, 2), (1, 3), (2, 3)], 0.3)),
        (1, dict.fromkeys([(0, 1), (1, 2), (1, 3), (2, 3)], 1.0)),
    ],
)
def test_weight_rules_by_hand(rule, by_hand):
    wanted = np.zeros((4, 4))
    for (i, j), weight in by_hand.items():
        wanted[i, j] = wanted[j, i] = weight
    np.testing.assert_allclose(dense(jc.Network.from_graphs(PATH_AND_CHORD, weights=rule)), wanted, rtol=1e-6)


@pytest.mark.fast
def test_weights_follow_the_degrees_of_their_own_graph():
    """A node's degree is that in the graph of the iteration, not in the union."""
    star, path = nx.star_graph(3), nx.path_graph(4)
    network = jc.Network.from_graphs([star, path])
    assert dense(network, 0)[0, 1] == pytest.approx(1 / 4)
    assert dense(network, 1)[0, 1] == pytest.approx(1 / 3)


@pytest.mark.fast
def test_edge_attribute_weights():
    graph = nx.path_graph(3)
    graph.edges[0, 1]["bandwidth"], graph.edges[1, 2]["bandwidth"] = 0.2, 0.7
    found = dense(jc.Network.from_graphs(graph, weights="bandwidth"))
    np.testing.assert_allclose(found, [[0, 0.2, 0], [0.2, 0, 0.7], [0, 0.7, 0]], rtol=1e-6)


@pytest.mark.fast
def test_array_weights_for_all_graphs_or_for_each():
    ring, ones = nx.cycle_graph(4), nx.to_numpy_array(nx.cycle_graph(4))
    for both in (0.2 * ones, [0.2 * ones, 0.2 * ones], [0.2, 0.2], ["metropolis", 0.2 * ones]):
        network = jc.Network.from_graphs([ring, ring], weights=both)
        np.testing.assert_allclose(dense(network, 1), 0.2 * ones, rtol=1e-6)
    np.testing.assert_allclose(dense(network, 0), ones / 3, rtol=1e-6)
    diagonal = jc.Network.from_graphs(ring, weights=0.2 * ones + 5 * np.eye(4))
    np.testing.assert_allclose(dense(diagonal), 0.2 * ones, rtol=1e-6)  # a node does not hear itself


@pytest.mark.parametrize("rule", ["metropolis", "max_degree", 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_symmetric_and_on_the_edges_only(rule, seed):
    graph = nx.connected_watts_strogatz_graph(12, 4, 0.5, seed=seed)
    weights = dense(jc.Network.from_graphs(graph, weights=rule))
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_array_equal(weights > 0, nx.to_numpy_array(graph, nodelist=range(12)) > 0)
    if rule != 0.1:
        assert weights.sum(axis=1).max() < 1


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kernel", ["table", "buckets"])
def test_neighbour_tables_against_networkx(seed, kernel):
    """Several random graphs at once, so that rows and graphs have different lengths."""
    graphs = [nx.gnp_random_graph(10, p, seed=10 * seed + i) for i, p in enumerate((0.1, 0.3, 0.6))]
    graphs.append(nx.path_graph(10))
    network = jc.Network.from_graphs(graphs, kernel=kernel)
    assert (len(network.tables.buckets) > 1) == (kernel == "buckets")
    union = nx.compose_all(graphs)
    assert (network.nodes, network.graphs, network.edges.count) == (10, 4, union.number_of_edges())
    numbers: dict[int, frozenset[int]] = {}
    for g, graph in enumerate(graphs):
        tables = jax.tree.map(lambda table, g=g: table[g], network.tables)
        own, neighbours, weights, link = map(np.asarray, (tables.own(), tables.neighbours, tables.weights, tables.link))
        for i in graph:
            real, padding = (own == i) & (weights > 0), (own == i) & (weights == 0)
            assert sorted(neighbours[real]) == sorted(graph[i])
            assert (neighbours[padding] == i).all()
            for j, number in zip(neighbours[real], link[real], strict=True):
                assert numbers.setdefault(int(number), frozenset((i, int(j)))) == {i, int(j)}
        assert network.links_sent[g] == pytest.approx(2 * graph.number_of_edges() / 10)
    assert sorted(numbers) == list(range(network.edges.count))


@pytest.mark.fast
def test_self_loops_and_parallel_edges_are_dropped():
    graph = nx.MultiGraph([(0, 1), (0, 1), (1, 2), (2, 2)])
    plain = jc.Network.from_graphs(nx.path_graph(3))
    np.testing.assert_array_equal(dense(jc.Network.from_graphs(graph)), dense(plain))
    assert graph.number_of_edges() == 4  # the caller's graph is left alone


@pytest.mark.fast
def test_nodes_are_numbered_by_label_when_labels_are_numbers():
    graph = nx.Graph([(3, 1), (1, 0), (0, 2)])  # first seen: 3, 1, 0, 2
    found = dense(jc.Network.from_graphs(graph, weights=1.0))
    np.testing.assert_array_equal(found, nx.to_numpy_array(graph, nodelist=range(4)))


@pytest.mark.fast
def test_other_labels_keep_the_order_of_the_first_graph():
    first, second = nx.Graph([("Rome", "Bern"), ("Bern", "Oslo")]), nx.Graph([("Oslo", "Rome"), ("Rome", "Bern")])
    network = jc.Network.from_graphs([first, second], weights=1.0)
    order = ["Rome", "Bern", "Oslo"]
    for k, graph in enumerate((first, second)):
        np.testing.assert_array_equal(dense(network, k), nx.to_numpy_array(graph, nodelist=order))
    shifted = nx.relabel_nodes(nx.path_graph(3), {0: 1, 1: 2, 2: 3})  # numbers, but not from 0
    np.testing.assert_array_equal(
        dense(jc.Network.from_graphs(shifted, weights=1.0)), nx.to_numpy_array(nx.path_graph(3))
    )


# ---------------------------------------------------------------- mixing

GRAPHS = {
    "ring": nx.cycle_graph(9),
    "random": nx.connected_watts_strogatz_graph(14, 6, 0.5, seed=1),
    "star of 40": nx.star_graph(40),
    "complete": nx.complete_graph(20),
}


def laplacian_mix(weights: np.ndarray, u: np.ndarray, q: Any = lambda d: d) -> np.ndarray:
    """sum_j w_ij q(u_j - u_i) with weights [nodes, nodes, runs], u [nodes, *shape, runs]."""
    difference = u[None] - u[:, None]  # [i, j] is u_j - u_i
    weights = weights.reshape(*weights.shape[:2], *(1,) * (u.ndim - 2), weights.shape[2])
    return (weights * q(difference)).sum(axis=1)


@jax.jit
def mix(now: Links, tree: Any) -> Any:
    return now.mix(tree)


@jax.jit
def mix_through(now: Links, tree: Any) -> Any:
    return now.mix(tree, lambda d: jnp.round(2 * d) / 2)


@pytest.mark.parametrize(("rate", "through"), [(0.0, False), (0.4, True)])
@pytest.mark.parametrize("name", GRAPHS)
def test_mix_is_the_laplacian(name, rate, through):
    network = jc.Network.from_graphs(GRAPHS[name], failure_rate=rate)
    assert (network.tables.buckets[-1][1] > CHUNK) == (name != "ring")
    runs, n, rng = 3, network.nodes, np.random.default_rng(0)
    tree = {"x": rng.normal(size=(n, runs)), "w": [rng.normal(size=(n, 2, 4, runs))]}
    tree = jax.tree.map(jnp.asarray, tree)
    now = links_of(network, runs, iteration=5)
    weights = np.asarray(now.dense())
    weights = weights if weights.ndim == 3 else np.repeat(weights[..., None], runs, axis=2)
    mixed = (mix_through if through else mix)(now, tree)
    assert jax.tree.structure(mixed) == jax.tree.structure(tree)
    for leaf, u in zip(jax.tree.leaves(mixed), jax.tree.leaves(tree), strict=True):
        wanted = laplacian_mix(weights, np.asarray(u), (lambda d: np.round(2 * d) / 2) if through else (lambda d: d))
        assert leaf.dtype == u.dtype
        np.testing.assert_allclose(leaf, wanted, rtol=TOL, atol=TOL)
        assert np.abs(wanted).max() > 0.1


@jax.jit
def flow_and_mix(now: Links, u: jax.Array, step: jax.Array) -> Any:
    grid = grid_for(jnp.abs(u).max(axis=0, keepdims=True))

    def amount(own: jax.Array, other: jax.Array, weight: jax.Array) -> jax.Array:
        return step * weight * (other - own)

    def signed(own: jax.Array, other: jax.Array, weight: jax.Array) -> jax.Array:
        return step * weight * jnp.sign(other - own)

    return now.flow(u, signed, grid), now.mix(u, jnp.sign), now.flow(u, amount, grid), now.mix(u)


@pytest.mark.parametrize("name", ["random", "star of 40"])
def test_flow_gives_to_one_end_what_it_takes_from_the_other(name):
    """`flow` is step times the mix as a pair of numbers, and both together sum to 0 far below rounding."""
    network = jc.Network.from_graphs(GRAPHS[name], failure_rate=0.2)
    u = jnp.asarray(np.random.default_rng(1).normal(size=(network.nodes, 2)))
    step = jnp.asarray([[0.3, 0.7]], u.dtype)
    signs, sign_mix, pair, plain_mix = flow_and_mix(links_of(network, 2), u, step)
    for flow, mixed in ((signs, sign_mix), (pair, plain_mix)):
        total = np.asarray(flow.high, np.float64) + np.asarray(flow.low, np.float64)
        np.testing.assert_allclose(total, step * mixed, rtol=TOL, atol=TOL)
        exact = sum(np.asarray(flow.high, np.longdouble)) + sum(np.asarray(flow.low, np.longdouble))
        assert np.abs(exact).max() == 0


@pytest.mark.parametrize("name", GRAPHS)
def test_equal_values_do_not_move(name):
    network = jc.Network.from_graphs(GRAPHS[name])
    np.testing.assert_array_equal(mix(links_of(network, 1), jnp.full((network.nodes, 1), 1e8 / 3)), 0)


# ---------------------------------------------------------------- switching


def numbered(count: int) -> list[nx.Graph]:
    """Graphs told apart by the weight that `dense` shows on link 0-1."""
    return [nx.path_graph(3)] * count


@pytest.mark.fast
def test_switching_in_a_cycle():
    network = jc.Network.from_graphs(numbered(3), weights=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(many(network, 7)[:, 0, 1], [1, 2, 3, 1, 2, 3, 1])


@pytest.mark.fast
@pytest.mark.parametrize("sequence", [[2, 0, 0, 1], np.array([2, 0, 0, 1]), (2, 0, 0, 1)])
def test_switching_by_a_sequence(sequence):
    network = jc.Network.from_graphs(numbered(3), weights=[1.0, 2.0, 3.0], switching=sequence)
    np.testing.assert_array_equal(many(network, 9)[:, 0, 1], [3, 1, 1, 2, 3, 1, 1, 2, 3])


@pytest.mark.fast
def test_random_switching():
    """Uniform over the graphs, set by the key, the same for all runs; draws at successive iterations do not follow."""
    network = jc.Network.from_graphs(numbered(3), weights=[1.0, 2.0, 3.0], switching="random", failure_rate=1e-9)
    seen = many(network, 900, runs=(0, 5))[:, 0, 1]
    np.testing.assert_array_equal(seen[:, 0], seen[:, 1])
    counts = np.array([(seen[:, 0] == value).sum() for value in (1, 2, 3)])
    assert (np.abs(counts - 300) < 5 * np.sqrt(900 * 2 / 9)).all()
    repeats = (seen[1:, 0] == seen[:-1, 0]).sum()
    assert abs(repeats - 899 / 3) < 5 * np.sqrt(899 * 2 / 9)
    np.testing.assert_array_equal(many(network, 900, runs=(0, 5))[:, 0, 1], seen)
    assert (many(network, 900, runs=(0, 5), key=jax.random.key(4))[:, 0, 1] != seen).any()


@pytest.mark.fast
def test_graphs_may_be_apart_where_their_union_is_not():
    halves = [nx.Graph([(0, 1), (2, 3)]), nx.Graph([(1, 2), (3, 0)])]
    assert jc.Network.from_graphs(halves, switching=[0, 1]).graphs == 2
    with pytest.raises(ValueError, match="not connected"):
        jc.Network.from_graphs(halves, switching=[0])


@pytest.mark.fast
def test_names_of_the_parts():
    with pytest.raises(ValueError, match=r"2 parts.*'Oslo'"):
        jc.Network.from_graphs(nx.Graph([("Rome", "Bern"), ("Bern", "Kiev"), ("Oslo", "Riga")]))


# ---------------------------------------------------------------- failures

DENSE_GRAPH = nx.complete_graph(8)
EDGES = 28


ITERATIONS, RUNS = 300, (0, 1, 2, 3)  # of all draws: one compiled program


def draws(network: jc.Network, runs: Any = RUNS, key: Any = KEY) -> np.ndarray:
    """Weights [iterations, nodes, nodes, runs]."""
    return many(network, ITERATIONS, runs, key)


def up(network: jc.Network, runs: Any = RUNS, key: Any = KEY) -> np.ndarray:
    """Which of the complete graph's links hold: [iterations, edges, runs]."""
    i, j = np.triu_indices(8, 1)
    return draws(network, runs, key)[:, i, j] > 0


def complete(failure_rate: Any) -> jc.Network:
    return jc.Network.from_graphs(DENSE_GRAPH, failure_rate=failure_rate)


def test_both_directions_fail_together():
    weights = draws(complete(0.5))
    np.testing.assert_array_equal(weights, np.swapaxes(weights, 1, 2))
    held = weights[weights > 0]
    assert 0 < held.size < 0.9 * 2 * EDGES * ITERATIONS * len(RUNS)
    np.testing.assert_allclose(held, 1 / 8, rtol=1e-6)  # a link that holds keeps its weight


def test_a_link_fails_in_every_graph_that_has_it():
    """Numbers of links are those of the union, so that graphs with other tables still fail both ends together."""
    graphs = [nx.star_graph(7), nx.cycle_graph(8), DENSE_GRAPH]
    weights = draws(jc.Network.from_graphs(graphs, failure_rate=0.5))
    np.testing.assert_array_equal(weights, np.swapaxes(weights, 1, 2))
    for k, graph in enumerate(graphs):
        adjacency = nx.to_numpy_array(graph, nodelist=range(8)) > 0
        held = (weights[k::3] > 0).mean(axis=(0, 3))
        assert (held[~adjacency] == 0).all()
        assert (np.abs(held[adjacency] - 0.5) < 5 * 0.5 / np.sqrt(ITERATIONS / 3 * len(RUNS))).all()


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_links_fail_at_the_given_rate(rate):
    """Within five standard deviations over all draws, and for every single link."""
    held = up(complete(rate))
    for count, mean in ((held.size, held.mean()), (held.size / EDGES, held.mean(axis=(0, 2)))):
        assert (np.abs(mean - (1 - rate)) <= 5 * np.sqrt(rate * (1 - rate) / count)).all()


def test_failures_are_independent_of_each_other():
    """Between links, between runs, between iterations: no correlation beyond five standard deviations."""
    held = up(complete(0.5)) - 0.5
    pairs = (held[:, :-1], held[:, 1:]), (held[:, :, :-1], held[:, :, 1:]), (held[:-1], held[1:])
    for one, other in pairs:
        product = 4 * one * other
        assert abs(product.mean()) < 5 / np.sqrt(product.size)


def test_a_run_does_not_see_the_runs_beside_it():
    together = up(complete(0.5))
    np.testing.assert_array_equal(up(complete(0.5), [3])[..., 0], together[..., 3])
    mixed = up(complete(0.5), [7, 2, 0, 9])
    np.testing.assert_array_equal(mixed[..., 1:3], together[..., [2, 0]])
    assert (mixed[..., 0] != mixed[..., 3]).any()


def test_failures_come_from_the_key_and_the_iteration():
    one = up(complete(0.5))
    np.testing.assert_array_equal(one, up(complete(0.5)))
    assert (one != up(complete(0.5), key=jax.random.key(4))).any()
    assert len({draw.tobytes() for draw in one}) == ITERATIONS


def test_a_rate_for_each_run():
    network = complete(np.array([0.0, 0.2, 0.8, 0.5]))
    held = up(network)
    means = held.mean(axis=(0, 1))
    assert means[0] == 1
    assert (np.abs(means - [1, 0.8, 0.2, 0.5]) < 5 * 0.5 / np.sqrt(ITERATIONS * EDGES)).all()
    np.testing.assert_array_equal(up(complete(0.2))[..., 1], held[..., 1])


@pytest.mark.fast
def test_links_that_never_fail_have_no_runs_axis():
    network = jc.Network.from_graphs(DENSE_GRAPH, failure_rate=0)
    assert network.failure_rate is None
    assert links_of(network, 5).up is None
    assert dense(network).ndim == 2
    with_runs = jc.Network.from_graphs(DENSE_GRAPH, failure_rate=np.zeros(5))
    np.testing.assert_array_equal(dense(with_runs), dense(network))
    assert with_runs.failure_rate is None


def test_seeds_of_solve_reach_the_links():
    """Equal starts and one-batch problems: only the links differ between seeds and runs."""
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(8), np.arange(8.0)), 28.0))
    network = jc.Network.from_graphs(DENSE_GRAPH, failure_rate=0.6)
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(step=0.3))
    start = jc.Initial(allocation=np.full(8, 3.5))

    def shares(seed: int) -> jax.Array:
        return jc.solve(problem, network, method, 3, runs=2, seed=seed, initial=start, optimum=jc.Optimum()).allocation

    one, again, other = shares(0), shares(0), shares(1)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    assert np.abs(one[:, 0] - one[:, 1]).max() > 1e-3
