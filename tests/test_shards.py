"""Runs spread over several devices: the same numbers as on one. Devices are made before JAX starts, so in a process."""

import os
import subprocess
import sys

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run import shards
from jaxcoopt.run.prepare import prepare

PROGRAM = """
import jax, networkx as nx, numpy as np
jax.config.update("jax_num_cpu_devices", 3)
jax.config.update("jax_enable_x64", True)
import jaxcoopt as jc
from jaxcoopt.run.shards import devices_for

NODES = 49  # as many as features and runs: no axis can be told from another by its size
rng = np.random.default_rng(0)


def arguments(runs, batch_size):
    each = rng.uniform(0.5, 1, runs)
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(size=(NODES, runs)))
    allocation = jc.Allocation(cost, 20 * each, 0.0, np.full(NODES, 3.0))
    features, targets = rng.normal(size=(NODES, 9, 49)), rng.normal(size=(NODES, 9))
    training = jc.Training(jc.losses.Linear(0.1), features, targets)
    graphs = [nx.cycle_graph(NODES), nx.random_regular_graph(4, NODES, seed=1)]
    return (
        jc.Problem(allocation, training, work=rng.uniform(1, 2, (NODES, runs))),
        jc.Network.from_graphs(graphs, failure_rate=0.3 * each),
        jc.CoOptimizer(
            jc.methods.LaplacianFlow(0.1 * each, 0.3),
            jc.methods.GradientTracking(0.02 * each, batch_size=batch_size),
            jc.channels.LogQuantizer(0.3),
        ),
    )


def leaves(result):
    found = result.allocation, result.params, result.trace, result.status, result.left, result.state
    return jax.tree.leaves((found, result.trajectories))


def both(runs, devices, batch_size, tol):
    given = arguments(runs, batch_size)
    assert devices_for(runs) == devices
    optimum = jc.reference(given[0])
    first = jc.Metric("first", "", lambda problem, estimate: estimate.allocation[0] * problem.work[0])
    record = jc.Record(7, [first], ["allocation", "params"], [0, 5])
    options = dict(runs=runs, seed=7, record=record, optimum=optimum, tol=tol)
    many = jc.solve(*given, 60, **options)
    with jax.default_device(jax.devices()[0]):
        assert devices_for(runs) == 1
        one = jc.solve(*given, 60, **options)
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(many.state))
    return given, one, many


given, one, many = both(49, 3, batch_size=4, tol=0.8)  # 17 runs a device, one of them there thrice
assert (np.asarray(one.status) == jc.Status.CONVERGED).any()
for a, b in zip(leaves(one), leaves(many), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
need = jc.memory(*given, 49)
assert need.runs == 49 and need.working > 0
assert need.state >= sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(many.state))
"""


def test_several_devices_give_the_numbers_of_one():
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.fast
@pytest.mark.parametrize(("runs", "devices"), [(1, 1), (31, 1), (32, 2), (33, 2), (63, 3), (64, 4), (1000, 4)])
def test_a_device_gets_no_fewer_runs_than_are_worth_it(monkeypatch, runs, devices):
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert shards.devices_for(runs) == devices
    with jax.default_device(jax.devices()[0]):
        assert shards.devices_for(runs) == 1


def shapes(entry, runs):
    each, rng = np.full(runs, 0.5), np.random.default_rng(0)
    allocation = jc.Allocation(jc.costs.Quadratic(np.ones((6, runs)), 0.3), 6.0, 0.0, np.full(6, 3.0))
    training = jc.Training(jc.losses.Linear(each), rng.normal(size=(6, 5, 3)), rng.normal(size=(6, 5)))
    halves = {"allocation": {"allocation": allocation}, "training": {"training": training}}[entry.half]
    problem, method = jc.Problem(**halves), jc.CoOptimizer(**{entry.half: entry.build()})
    network = jc.Network.from_graphs(nx.cycle_graph(6), failure_rate=0.1 * each)
    optimum = Optimum(allocation=np.ones((6, runs)), allocation_cost=each, params={"w": np.ones((3, runs))})
    return jax.eval_shape(lambda: prepare(problem, network, method, runs, 0, None, None, optimum))


@pytest.mark.fast
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_runs_are_where_they_are_taken_to_be(unchecked, entry):
    """What grows with the runs, in its last axis, is what is split."""
    fewer, more = shapes(entry, 41), shapes(entry, 42)
    specs = shards.run_specs(fewer[0]), shards.run_specs(fewer[1])
    leaves = zip(*(jax.tree_util.tree_leaves_with_path(tree) for tree in (fewer, more, specs)), strict=True)
    for (path, few), (_, many), (_, spec) in leaves:
        name = jax.tree_util.keystr(path)
        assert (few.shape == many.shape) == (spec == shards.WHOLE), name
        assert spec == shards.WHOLE or (few.shape[:-1] == many.shape[:-1] and few.shape[-1] == 41), name
