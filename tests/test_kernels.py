"""Every mixing kernel against a plain NumPy loop over the edges, on fresh random graphs, weights and values."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from scipy import sparse

import jaxcoopt as jc
from jaxcoopt.compensated import grid_for
from jaxcoopt.network.links import Links

KEY, RUNS = jax.random.key(5), 3
SHAPES = {"bias": (RUNS,), "weights": (2, 4, RUNS)}  # after the nodes' axis; "auto" may pick a kernel for each


def torus(rows: int, columns: int) -> nx.Graph:
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, columns, periodic=True))


def relabelled(graph: nx.Graph, rng: Any) -> nx.Graph:
    return nx.relabel_nodes(graph, dict(enumerate(rng.permutation(len(graph)).tolist())))


GRAPHS: dict[str, Any] = {
    "pair": lambda rng: [nx.path_graph(2)],
    "ring": lambda rng: [nx.cycle_graph(9)],
    "path": lambda rng: [nx.path_graph(9)],
    "exponential": lambda rng: [nx.circulant_graph(21, [1, 2, 4, 8])],
    "torus": lambda rng: [torus(4, 5)],
    "long torus": lambda rng: [torus(2, 7)],
    "circulant, switched": lambda rng: [nx.circulant_graph(12, offsets) for offsets in ([1], [5], [1, 3, 6], [2, 3])],
    "complete": lambda rng: [nx.complete_graph(12)],
    "star": lambda rng: [nx.star_graph(40)],
    "hubs": lambda rng: [nx.barabasi_albert_graph(60, 2, seed=int(rng.integers(2**31)))],
    "unlike, switched": lambda rng: [
        relabelled(nx.star_graph(20), rng),
        nx.cycle_graph(21),
        relabelled(nx.barabasi_albert_graph(21, 3, seed=1), rng),
    ],
}
SHIFTED = ("pair", "ring", "path", "exponential", "torus", "long torus", "circulant, switched", "complete")
IRREGULAR = ("path", "star", "hubs", "unlike, switched")
CASES = [
    (name, kernel)
    for kernel, names in {
        "auto": GRAPHS,
        "table": ("ring", *IRREGULAR),
        "buckets": IRREGULAR,
        "dense": ("pair", "complete", *IRREGULAR),
        "shifts": SHIFTED,
    }.items()
    for name in names
]


def weighted(graphs: list[nx.Graph], rng: Any) -> list[np.ndarray]:
    """Random symmetric weights on the edges of each graph, by node number."""
    found = []
    for graph in graphs:
        upper = np.triu(nx.to_numpy_array(graph, nodelist=range(len(graph))) * rng.uniform(0.1, 1, (len(graph),) * 2))
        found.append(upper + upper.T)
    return found


def by_hand(weights: np.ndarray, u: np.ndarray, q: Any = lambda d: d) -> np.ndarray:
    """sum_j w_ij q(u_j - u_i), edge by edge; weights [nodes, nodes] or [nodes, nodes, runs], u [nodes, ..., runs]."""
    total = np.zeros_like(u)
    for i, j in zip(*np.nonzero(weights if weights.ndim == 2 else weights.any(axis=2)), strict=True):
        total[i] += weights[i, j] * q(u[j] - u[i])
    return total


def values(nodes: int, rng: Any) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=(nodes, *shape)) for name, shape in SHAPES.items()}


@jax.jit
def links(network: jc.Network, iteration: jax.Array) -> Links:
    return network.links(KEY, iteration, jnp.arange(RUNS, dtype=jnp.int32))


@jax.jit
def mixed(now: Links, tree: Any) -> Any:
    return now.mix(tree)


@jax.jit
def mixed_at(network: jc.Network, iteration: jax.Array, tree: Any) -> Any:
    return links(network, iteration).mix(tree)


@jax.jit
def dense(now: Links) -> jax.Array:
    return now.dense()


@jax.jit
def mixed_signs(now: Links, tree: Any) -> Any:
    return now.mix(tree, jnp.sign), now.degree()


@jax.jit
def flowed(now: Links, u: jax.Array) -> Any:
    step, grid = jnp.asarray(0.7, u.dtype), grid_for(jnp.abs(u).max(axis=0, keepdims=True))

    def amount(own: jax.Array, other: jax.Array, weight: jax.Array) -> jax.Array:
        return step * weight * (other - own)

    def signed(own: jax.Array, other: jax.Array, weight: jax.Array) -> jax.Array:
        return step * weight * jnp.sign(other - own)

    return now.flow(u, amount, grid), now.flow(u, signed, grid)


def at(iteration: int) -> jax.Array:
    return jnp.asarray(iteration, jnp.int32)


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.fast
@pytest.mark.parametrize("name", sorted(set(GRAPHS) - set(SHIFTED)))
def test_shifts_are_for_equal_offsets(rng, name):
    graphs = GRAPHS[name](rng)
    assert jc.Network.from_graphs(graphs).shifts is None
    with pytest.raises(ValueError, match=r"kernel: 'shifts' needs .* use kernel='auto'"):
        jc.Network.from_graphs(graphs, kernel="shifts")


@pytest.mark.parametrize(("name", "kernel"), CASES)
def test_mix_against_the_loop(rng, name, kernel):
    graphs = GRAPHS[name](rng)
    weights, tree = weighted(graphs, rng), values(len(graphs[0]), rng)
    network = jc.Network.from_graphs(graphs, weights, kernel=kernel)
    assert (network.shifts is not None) == (kernel in ("auto", "shifts") and name in SHIFTED)
    for k, weight in enumerate(weights):
        plain = mixed_at(network, at(k), tree)
        for leaf, u in tree.items():
            close(plain[leaf], by_hand(weight, u))
        same = mixed_at(network, at(k), jax.tree.map(lambda u: np.full_like(u, 1e8 / 3), tree))
        assert all((leaf == 0).all() for leaf in same.values())


@pytest.mark.parametrize("kernel", ["table", "buckets", "dense"])
def test_quantized_differences_go_by_the_tables(rng, kernel):
    graph = GRAPHS["hubs"](rng)[0]
    (weight,), tree = weighted([graph], rng), values(60, rng)
    signs, degree = mixed_signs(links(jc.Network.from_graphs(graph, weight, kernel=kernel), at(0)), tree)
    np.testing.assert_array_equal(degree, (weight > 0).sum(axis=1))
    for leaf, u in tree.items():
        close(signs[leaf], by_hand(weight, u, np.sign))


@pytest.mark.parametrize("kernel", ["table", "buckets"])
@pytest.mark.parametrize("name", ["star", "unlike, switched"])
def test_failing_links_against_the_loop(rng, name, kernel):
    """Each run has links of its own; both ends agree; what mixes is what `dense` and `degree` say."""
    graphs = GRAPHS[name](rng)
    weights, tree = weighted(graphs, rng), values(len(graphs[0]), rng)
    network = jc.Network.from_graphs(graphs, weights, failure_rate=[0.0, 0.3, 0.6], kernel=kernel)
    for k in range(2 * len(graphs)):
        now = links(network, at(k))
        held, weight = np.asarray(dense(now)), weights[k % len(graphs)][..., None]
        assert ((held == weight) | (held == 0)).all()
        np.testing.assert_array_equal(held, held.swapaxes(0, 1))
        close(held[..., 0], weight[..., 0])
        plain, (signs, degree) = mixed(now, tree), mixed_signs(now, tree)
        np.testing.assert_array_equal(degree, (held > 0).sum(axis=1))
        for leaf, u in tree.items():
            close(plain[leaf], by_hand(held, u))
            close(signs[leaf], by_hand(held, u, np.sign))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("kernel", ["table", "buckets"])
@pytest.mark.parametrize("name", ["star", "hubs", "unlike, switched"])
def test_flow_keeps_the_sum(rng, name, kernel, rate):
    graphs = GRAPHS[name](rng)
    network = jc.Network.from_graphs(graphs, weighted(graphs, rng), failure_rate=rate, kernel=kernel)
    assert (len(network.tables.buckets) > 1) == (kernel == "buckets")
    u = rng.normal(size=(network.nodes, RUNS))
    for k in range(len(graphs)):
        now = links(network, at(k))
        for flow, q in zip(flowed(now, jnp.asarray(u)), (lambda d: d, np.sign), strict=True):
            close(flow.high + flow.low, 0.7 * by_hand(np.asarray(dense(now)), u, q))
            for parts in np.concatenate([flow.high, flow.low]).T:
                assert math.fsum(parts) == 0


@pytest.mark.parametrize("kernel", ["table", "buckets", "dense", "shifts"])
def test_derivatives_in_the_weights(rng, kernel):
    """d/dt sum(v * mix(u)) along a direction D of the weights is sum(v * mix_D(u)), mix being linear in them."""
    graphs = [nx.circulant_graph(12, [1, 5])] if kernel == "shifts" else GRAPHS["hubs"](rng)
    (weights, direction), nodes = (weighted(graphs, rng)[0] for _ in range(2)), len(graphs[0])
    u, v = rng.normal(size=(2, nodes, RUNS))
    network, along = (jc.Network.from_graphs(graphs, w, kernel=kernel) for w in (weights, direction))

    now, tangents = links(network, at(0)), floats(links(along, at(0)))

    def total(numbers: list[jax.Array]) -> jax.Array:
        leaves, structure = jax.tree.flatten(now)
        numbers = iter(numbers)
        leaves = [next(numbers) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves]
        return jnp.sum(jnp.asarray(v) * structure.unflatten(leaves).mix(jnp.asarray(u)))

    slopes = jax.jit(jax.grad(total))(floats(now))
    found = sum(float(jnp.vdot(s, t)) for s, t in zip(slopes, tangents, strict=True))
    assert found == pytest.approx((v * by_hand(direction, u)).sum(), rel=1e-10, abs=1e-10)


def floats(tree: Any) -> list[jax.Array]:
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


@pytest.mark.parametrize("kernel", ["table", "buckets", "dense"])
def test_relabelling_the_nodes_relabels_the_mix(rng, kernel):
    graph, order = GRAPHS["hubs"](rng)[0], rng.permutation(60)
    weights, u = weighted([graph], rng)[0], rng.normal(size=(60, 2, RUNS))
    moved = nx.relabel_nodes(graph, {int(old): new for new, old in enumerate(order)})
    one = jc.Network.from_graphs(graph, weights, kernel=kernel)
    other = jc.Network.from_graphs(moved, weights[np.ix_(order, order)], kernel=kernel)
    close(mixed(links(other, at(0)), u[order]), np.asarray(mixed(links(one, at(0)), u))[order])


@pytest.mark.fast
def test_one_program_for_any_number_of_circulant_graphs():
    """Offsets are numbers of the network, not of the program: graphs with others compile nothing."""
    traced = []

    @jax.jit
    def mix(network: jc.Network, u: jax.Array) -> jax.Array:
        traced.append(None)
        return network.links(KEY, at(0), jnp.arange(RUNS, dtype=jnp.int32)).mix(u)

    for offsets in ([1, 6], [2, 6], [3, 6]):
        mix(jc.Network.from_graphs(nx.circulant_graph(13, offsets), kernel="shifts"), jnp.ones((13, RUNS)))
    assert len(traced) == 1


@pytest.mark.fast
def test_hubs_do_not_pad_the_others():
    """A star of 1,000, and a scale-free graph: at most half as many entries more than links."""
    for graph in (nx.star_graph(1000), nx.barabasi_albert_graph(2000, 4, seed=0)):
        network = jc.Network.from_graphs(graph)
        assert network.weights.size <= 1.5 * 2 * graph.number_of_edges()
        assert 2 <= len(network.tables.buckets) <= 6
        hubs = np.flatnonzero(np.array([graph.degree[i] for i in range(len(graph))]) > network.tables.buckets[0][1])
        assert sorted(np.asarray(network.tables.node[0]).tolist()) == hubs.tolist()


@pytest.mark.fast
@pytest.mark.parametrize("kernel", ["dense", "shifts"])
def test_kernels_for_links_that_hold(kernel):
    with pytest.raises(ValueError, match=f"kernel: '{kernel}' cannot .* failure_rate=0"):
        jc.Network.from_graphs(nx.cycle_graph(5), failure_rate=0.1, kernel=kernel)


@pytest.mark.fast
def test_kernel_names_and_sizes():
    with pytest.raises(ValueError, match="kernel: 'tabel' is not known; did you mean 'table'"):
        jc.Network.from_graphs(nx.cycle_graph(5), kernel="tabel")
    for kernel, graph in (("dense", nx.cycle_graph(40_000)), ("table", nx.star_graph(40_000))):
        with pytest.raises(ValueError, match=f"kernel: '{kernel}' needs arrays of 1.6e"):
            jc.Network.from_graphs(graph, kernel=kernel)


@pytest.mark.fast
def test_sparse_weights_are_taken_as_dense_ones_are(rng):
    graph = nx.connected_watts_strogatz_graph(12, 4, 0.5, seed=1)
    weights = weighted([graph], rng)[0]
    wanted = links(jc.Network.from_graphs(graph, weights), at(0)).dense()
    np.testing.assert_array_equal(wanted, weights)
    for form in (sparse.csr_array, sparse.coo_array, sparse.csr_matrix):
        np.testing.assert_array_equal(links(jc.Network.from_graphs(graph, form(weights)), at(0)).dense(), wanted)
    with pytest.raises(ValueError, match="weights: asymmetric"):
        jc.Network.from_graphs(graph, sparse.csr_array(np.triu(weights)))
    with pytest.raises(ValueError, match=r"expected an array \[nodes, nodes\] = \(12, 12\), got \(3, 3\)"):
        jc.Network.from_graphs(graph, sparse.eye_array(3))


@pytest.mark.fast
def test_a_hundred_thousand_nodes():
    network = jc.Network.from_graphs(nx.cycle_graph(100_000))
    assert network.weights.size == 200_000
    u = np.zeros((100_000, RUNS))
    u[0] = 3.0
    mixed_u = np.asarray(mixed(links(network, at(0)), jnp.asarray(u)))
    close(mixed_u[[0, 1, 2, -1]], np.array([-2.0, 1.0, 0.0, 1.0])[:, None] * np.ones(RUNS))
