"""The training loss evaluated more seldom than records are made: what stands where, in parts, sweeps and on devices."""

import subprocess
import sys
from pathlib import Path

import jax
import networkx as nx
import numpy as np
import pytest
from test_program_count import counted

import jaxcoopt as jc

NODES, RUNS = 5, 3
DATA = np.random.default_rng(13)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)), float(NODES)),
    jc.Training(jc.losses.Linear(0.5), DATA.normal(size=(NODES, 6, 3)), DATA.normal(size=(NODES, 6))),
)
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
STEPS = np.array([0.03, 0.1, 0.2])
METHOD = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.EXTRA(STEPS))
OPTIMUM = jc.reference(PROBLEM)
OF_SAMPLES = ("training_loss", "training_gap")


def solved(steps=55, every=5, seldom=None, **more):
    record = jc.Record(every, training_every=seldom)
    return jc.solve(PROBLEM, NETWORK, METHOD, steps, **({"runs": RUNS, "optimum": OPTIMUM, "record": record} | more))


def same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seldom", [20, 7, 1, 1000])
def test_the_last_value_stands(seldom):
    """Evaluated at the first record at or after each multiple, and at the end; all else as without."""
    full, found = solved(), solved(seldom=seldom)
    at = np.asarray(full.iterations)
    due = [k == 0 or k == at[-1] or k // seldom > (k - 5) // seldom for k in at]
    last = np.maximum.accumulate(np.where(due, np.arange(len(at)), 0))
    assert len(set(last.tolist())) == {20: 4, 7: 9, 1: 12, 1000: 2}[seldom]
    for name, rows in full.trace.items():
        np.testing.assert_array_equal(found.trace[name], np.asarray(rows)[last] if name in OF_SAMPLES else rows)
    same(found.params, full.params)


def test_another_interval_is_the_same_program():
    solved(seldom=20)
    with counted() as programs:
        solved(seldom=30)
    assert not programs


def test_where_a_run_stops_it_is_evaluated():
    full, found = solved(3000, tol=1e-4), solved(3000, seldom=10**6, tol=1e-4)
    np.testing.assert_array_equal(found.left, full.left)
    assert len(set(full.left.tolist())) > 1
    same(found.status, full.status)
    for name in OF_SAMPLES:
        np.testing.assert_array_equal(found.trace[name][-1], full.trace[name][-1])
    assert len(np.unique(np.asarray(found.trace["training_loss"])[:, 0])) == 2  # at the start and where it stopped


def test_in_parts_and_saved(tmp_path):
    options = {"record": jc.Record(5, training_every=20), "optimum": OPTIMUM}
    whole = solved(60, seldom=20)
    simulation = jc.Simulation(PROBLEM, NETWORK, METHOD, runs=RUNS, **options)
    simulation.run(20)
    simulation.save(tmp_path)
    loaded = jc.Simulation.load(tmp_path, PROBLEM, NETWORK, METHOD, record=options["record"])
    same(simulation.run(40).trace, whole.trace)
    same(loaded.run(40).trace, whole.trace)
    with pytest.raises(ValueError, match=r"record\.training_every: 20 there, None here"):
        jc.Simulation.load(tmp_path, PROBLEM, NETWORK, METHOD, record=jc.Record(5))


def test_in_a_sweep(tmp_path):
    method = jc.CoOptimizer(METHOD.allocation, jc.methods.EXTRA(0.1))
    call = {"grid": {"training.step": STEPS}, "steps": 55, "store": tmp_path / "a.zarr"}
    table = jc.sweep(PROBLEM, NETWORK, method, record=jc.Record(5, training_every=20), **call)
    full = jc.sweep(PROBLEM, NETWORK, method, record=jc.Record(5), **(call | {"store": None}))
    last = [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 11]
    np.testing.assert_array_equal(table["training_loss"], full["training_loss"][..., last])
    assert len(np.unique(full["training_loss"])) == 1 + 3 * 11
    with pytest.raises(ValueError, match=r"sweep\.training_every: 20 there, absent here"):
        jc.sweep(PROBLEM, NETWORK, method, record=jc.Record(5), **call)


def test_inside_jit_every_record_is_evaluated():
    inside = jax.jit(lambda: solved(seldom=20))()
    np.testing.assert_allclose(inside.trace["training_loss"], solved().trace["training_loss"], rtol=1e-9)


@pytest.mark.parametrize(
    ("problem", "seldom", "words"),
    [
        (PROBLEM, 0, "record.training_every"),
        (jc.Problem(PROBLEM.allocation), 10, "record.training_every: it is given, but the problem has no training"),
    ],
)
def test_what_is_none_is_refused(untyped, problem, seldom, words):
    method = METHOD if problem.training is not None else jc.CoOptimizer(jc.methods.DualFlow())
    with pytest.raises(ValueError, match=words):
        jc.solve(problem, NETWORK, method, 10, runs=RUNS, record=jc.Record(5, training_every=seldom))


APART = """
import sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)
import test_evaluation as t
import jaxcoopt as jc
t.METHOD = jc.CoOptimizer(t.METHOD.allocation, jc.methods.EXTRA(np.geomspace(0.03, 0.2, {runs})))
options = dict(runs={runs}, seldom=20)
several = t.solved(shard={shard!r}, **options).trace
with jax.default_device(jax.local_devices()[0]):
    one, full = t.solved(**options).trace, t.solved(runs={runs}).trace
assert len(np.unique(one["training_loss"][:, 0])) == 4 < len(np.unique(full["training_loss"][:, 0]))
for name in one:
    np.testing.assert_allclose(several[name], one[name], rtol=1e-9, atol=1e-13)
"""


@pytest.mark.parametrize(("shard", "runs"), [("runs", 64), ("nodes", 2)])
def test_on_several_devices(shard, runs):
    text = APART.format(tests=str(Path(__file__).parent), shard=shard, runs=runs)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
