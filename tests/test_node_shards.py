"""One network spread over eight devices: the numbers of one. Devices are made before JAX starts, so in a process."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import networkx as nx
import numpy as np
import pytest
from node_shards_cases import CHANNELS, METHODS, NETWORKS, PROBLEMS

import jaxcoopt as jc
from jaxcoopt.network.blocks import cut

PROGRAM = """
import re
import jax, jax.numpy as jnp, networkx as nx, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
import jaxcoopt as jc
from jaxcoopt.platform import choices
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.node_shards import spread_nodes
from jaxcoopt.run.prepare import prepare

NODES, RUNS = 43, 3  # six nodes to a device, one on the last
SEED = SEED_HERE
rng = np.random.default_rng(SEED)
wheel = nx.cycle_graph(NODES)
wheel.add_edges_from((0, i) for i in range(2, NODES - 1))
rings = [nx.relabel_nodes(nx.cycle_graph(NODES), dict(enumerate(rng.permutation(NODES).tolist()))) for _ in range(2)]


def problem():
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(size=(NODES, RUNS)))
    allocation = jc.Allocation(cost, 0.4 * NODES * rng.uniform(0.9, 1.1, RUNS), 0.1, np.full(NODES, 3.0))
    features, targets = rng.normal(size=(NODES, 9, 4)), rng.normal(size=(NODES, 9))
    mask = rng.random((NODES, 9)) < 0.8
    mask[:, 0] = True
    training = jc.Training(jc.losses.Linear(0.1), features, targets, mask, weights=rng.uniform(1, 2, NODES))
    return jc.Problem(allocation, training, work=rng.uniform(1, 2, (NODES, RUNS)))


def weighted(problem, estimate):
    return (jnp.arange(NODES)[:, None] * problem.work * estimate.allocation).sum(axis=0)


RECORD = jc.Record(10, [jc.Metric("weighted", "", weighted)], ["allocation", "params"], [41, 0, 7])


def same(graphs, method, keeps_budget=True, **options):
    given = problem(), jc.Network.from_graphs(graphs, failure_rate=options.pop("failure_rate", 0.0)), method
    options = dict(runs=RUNS, seed=SEED, record=RECORD, optimum=jc.reference(given[0])) | options
    one, many = jc.solve(*given, 40, **options), jc.solve(*given, 40, shard="nodes", **options)
    results = [(r.allocation, r.params, r.trace, r.status, r.left, r.state, r.trajectories) for r in (one, many)]
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    assert not keeps_budget or np.max(many.trace["budget_residual"]) <= 1e-13


same(rings, jc.CoOptimizer(
    jc.methods.CurvatureFlow(0.5 * np.ones(RUNS), bounds=jc.bounds.Limit()),
    jc.methods.GradientTracking(0.02, batch_size=4), jc.channels.LogQuantizer(0.3, placement="difference")),
    failure_rate=0.2 * np.ones(RUNS), tol=0.3)
same([wheel], jc.CoOptimizer(
    jc.methods.DualFlow(), jc.methods.GradientTracking(0.02, momentum=0.3),
    jc.channels.QSGD(4, placement="innovation")),
    failure_rate=0.1)
same([wheel, *rings], jc.CoOptimizer(
    jc.methods.TrackingADMM(1.0), jc.methods.EXTRA(0.02), jc.channels.LogQuantizer(0.3)), keeps_budget=False)

# On a ring a device hears two rows of each of its two neighbours, and no block goes anywhere whole.
ring = jc.Network.from_graphs(rings[0])
large = problem(), ring, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1), jc.methods.GradientTracking(0.02))
spread = spread_nodes(*prepare(*large, RUNS, 0, None, None, Optimum()))
text = spread.program.lower(
    spread.setup, spread.carry, jnp.zeros(choices().records, jnp.int32), jnp.asarray(1, jnp.int32)).compile().as_text()
sent = "collective-permute|all-gather|all-reduce"
moved = set(re.findall(rf"= f64\\[(\\d+),12\\]\\S* (?:{sent})", text))
assert moved == {"1", "2"}, moved  # of four weights in three runs: the mean over the nodes, rows of neighbours
"""


def test_eight_devices_give_the_numbers_of_one(rng):
    in_a_process("-c", PROGRAM.replace("SEED_HERE", str(int(rng.integers(2**31)))))


def in_a_process(*arguments):
    hidden = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def on_devices(rng, devices, *cases):
    program = Path(__file__).parent / "node_shards_cases.py"
    in_a_process(str(program), str(int(rng.integers(2**31))), devices, *cases)


def test_nothing_is_counted_within_a_block(rng):
    """What a node gets of the budget is its part among all nodes, 10 of them in blocks of 4, 4 and 2."""
    on_devices(rng, "3", "primal_dual", "dual_consensus_admm", "buckets")


def some(cases, of):
    """One case in so many, others from session to session; all of them: `python tests/node_shards_cases.py 0 1,3,4`."""
    return [*cases][int(os.environ["JAXCOOPT_TEST_SEED"]) % of :: of]


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["3", "4"])
def test_methods_give_the_numbers_of_one_device(rng, devices):
    """In blocks of 4, 4 and 2 nodes, or of 3, 3, 3 and 1."""
    on_devices(rng, devices, *some(METHODS, 4)["34".index(devices) :: 2])


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_channels_give_the_numbers_of_one_device(rng, name):
    on_devices(rng, "3", name)


@pytest.mark.slow
def test_networks_and_problems_give_the_numbers_of_one_device(rng):
    on_devices(rng, "1,4", *some([*NETWORKS, *PROBLEMS], 3))


@pytest.mark.parametrize("devices", [2, 5])
def test_blocks_hold_every_node_and_link_once(rng, devices):
    graphs = [nx.random_regular_graph(3, 20, seed=int(rng.integers(1000))), nx.star_graph(19)]
    network = jc.Network.from_graphs(graphs)
    split, blocks = cut(network, devices)
    np.testing.assert_array_equal(blocks.node[blocks.node_at], np.arange(20))
    np.testing.assert_array_equal(blocks.edge[blocks.edge_at], np.arange(network.edges.count))
    np.testing.assert_array_equal(np.asarray(split.edges.number)[blocks.edge_at], np.arange(network.edges.count))
    reached = np.asarray(split.halo.number).reshape(devices, -1)
    for graph, expected in enumerate(graphs):
        found = np.zeros((20, 20))
        for device, number in enumerate(reached):
            tables = jax.tree.map(lambda leaf: leaf[graph].reshape(devices, -1)[device], split.tables)  # noqa: B023
            there = np.asarray(tables.weights) > 0
            own, neighbour = (number[np.asarray(part)[there]] for part in (tables.own(), tables.neighbours))
            np.add.at(found, (own, neighbour), 1)
        np.testing.assert_array_equal(found, nx.to_numpy_array(expected, nodelist=range(20)))


def test_blocks_of_a_ring_numbered_at_random_hear_few(rng):
    ring = nx.relabel_nodes(nx.cycle_graph(60), dict(enumerate(rng.permutation(60).tolist())))
    split, _ = cut(jc.Network.from_graphs(ring), 6)
    assert sum(rows.shape[0] // 6 for rows in split.halo.sent) <= 4  # Cuthill-McKee folds the ring: two rows each way


def test_bad_input_is_refused():
    given = jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, 0.0), 6.0)), jc.Network.from_graphs(nx.cycle_graph(6))
    with pytest.raises(ValueError, match=r"shard: 'node'.*'nodes'"):
        jc.solve(*given, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)), 2, shard="node")

    def first(step):
        return jc.solve(*given, jc.CoOptimizer(jc.methods.LaplacianFlow(step)), 2, shard="nodes").allocation[0, 0]

    with pytest.raises(ValueError, match="does not work inside jit or grad"):
        jax.grad(first)(0.1)
