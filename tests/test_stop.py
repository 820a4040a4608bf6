"""A rule by which runs stop: the tolerance as an object, and one's own, wherever runs and nodes are."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import EXPERIMENTS

NODES, RUNS = 6, 3
DATA = np.random.default_rng(7)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)), float(NODES), 0.1, 5.0),
    jc.Training(jc.losses.Linear(0.5), DATA.normal(size=(NODES, 5, 2)), DATA.normal(size=(NODES, 5))),
    work=DATA.uniform(1, 2, NODES),
)
DEEP = jc.Problem(
    training=jc.Training(jc.losses.MLP((3,)), DATA.normal(size=(NODES, 5, 2)), DATA.normal(size=(NODES, 5)))
)
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
STEPS = np.array([0.05, 0.1, 0.2])
METHOD = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.EXTRA(STEPS))
OPTIMUM = jc.reference(PROBLEM)
LARGEST = jc.Metric("largest_share", "", lambda problem, estimate: estimate.allocation.max(axis=0))


@jc.pytree
@dataclass(frozen=True)
class Deadline(jc.Stop):
    """By simulated time, or by a low loss."""

    seconds: float = jc.setting(1e9, above=0, doc="Seconds.")
    loss: float = jc.setting(-1.0, doc="Loss.")

    def stops(self, record):
        return (record["seconds"] >= self.seconds) | (record["training_loss"] <= self.loss)


@jc.pytree
@dataclass(frozen=True)
class Enough(jc.Stop):
    """Reads a metric and the number of the iteration."""

    def stops(self, record):
        return (record["largest_share"] > 0) & (record["iteration"] >= 35)


def solved(stop=None, steps=2000, **more):
    options = {"runs": RUNS, "optimum": OPTIMUM, "stop": stop, "record": jc.Record(10)}
    return jc.solve(PROBLEM, NETWORK, METHOD, steps, **(options | more))


def same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def whole():
    """Without a stop."""
    return solved(steps=400)


def test_tol_is_short_for_a_tolerance():
    same(solved(jc.Tolerance(1e-5)), solved(tol=1e-5))


def test_a_tolerance_for_each_run():
    tols = np.array([1e-2, 1e-5, 1e-3])
    many = solved(jc.Tolerance(tols))
    for run, tol in enumerate(tols):
        assert many.left[run] == solved(tol=tol).left[run]
    assert len(set(many.left.tolist())) == RUNS


@pytest.mark.parametrize("by", ["seconds", "loss"])
def test_one_of_ones_own(whole, by):
    """Every run stops at the first look at which the whole run's trace says so, and stands as it did there."""
    name = {"seconds": "seconds", "loss": "training_loss"}[by]
    trace = np.asarray(whole.trace[name])
    limit = trace[7].mean() if by == "seconds" else trace[7].max() * 1.0001
    over = trace >= limit if by == "seconds" else trace <= limit
    first = over.argmax(axis=0)
    result = solved(Deadline(**{by: limit}))
    assert result.statuses == (jc.Status.CONVERGED,) * RUNS
    np.testing.assert_array_equal(result.left, 10 * first)
    assert result.iterations[-1] == 10 * first.max() < 400
    for each in ("training_loss", "bits", "seconds", "allocation_cost"):
        expected = np.asarray(whole.trace[each])[first, np.arange(RUNS)]
        np.testing.assert_allclose(result.trace[each][-1], expected, rtol=1e-9)


def test_metrics_and_the_iteration():
    record = jc.Record(100, [LARGEST])
    result = solved(Enough(), record=record)
    np.testing.assert_array_equal(result.left, [40] * RUNS)
    at_end = solved(Enough(), steps=36, record=record)  # no look, but the end
    assert at_end.statuses == (jc.Status.CONVERGED,) * RUNS
    assert solved(Enough(), steps=34, record=record).statuses == (jc.Status.MAX_STEPS,) * RUNS
    inside = jax.jit(lambda: solved(Enough(), steps=60, record=record))()
    assert inside.status.tolist() == result.status.tolist()
    np.testing.assert_allclose(inside.allocation, result.allocation, rtol=1e-9)


def test_a_loss_without_a_reference():
    """A tolerance needs the optimum, one's own rule does not."""
    method = jc.CoOptimizer(training=jc.methods.DGD(0.05))
    first = float(jc.solve(DEEP, NETWORK, method, 1).trace["training_loss"][0, 0])
    result = jc.solve(DEEP, NETWORK, method, 3000, stop=Deadline(loss=0.9 * first))
    assert result.statuses == (jc.Status.CONVERGED,)
    assert result.trace["training_loss"][-1, 0] <= 0.9 * first
    with pytest.raises(ValueError, match=r"tol: .*a non-convex loss has none.*jaxcoopt\.Stop"):
        jc.solve(DEEP, NETWORK, method, 10, stop=jc.Tolerance(1e-3))


def test_saved_loaded_and_refused(tmp_path, whole):
    limit = float(np.asarray(whole.trace["seconds"])[9].mean())
    given, options = (PROBLEM, NETWORK, METHOD), {"record": jc.Record(10)}
    simulation = jc.Simulation(*given, runs=RUNS, stop=Deadline(limit), optimum=OPTIMUM, **options)
    simulation.run(30)
    simulation.save(tmp_path / "own")
    loaded = jc.Simulation.load(tmp_path / "own", *given, stop=Deadline(limit), **options)
    same(loaded.run(900), simulation.run(900))
    assert set(loaded.result.statuses) == {jc.Status.CONVERGED}
    for stop, words in (
        (None, "stop: Deadline there, None here"),
        (Deadline(2 * limit), r"stop\.seconds: "),
        (jc.Tolerance(1e-3), "stop: Deadline there, None here; .*options.tol: None there, 0.001 here"),
    ):
        with pytest.raises(ValueError, match=words):
            jc.Simulation.load(tmp_path / "own", *given, stop=stop, **options)
    jc.Simulation(*given, runs=RUNS, stop=jc.Tolerance(1e-3), optimum=OPTIMUM, **options).save(tmp_path / "tol")
    for stop in (None, jc.Tolerance(1e-3)):
        jc.Simulation.load(tmp_path / "tol", *given, stop=stop, **options)
    with pytest.raises(ValueError, match=r"options\.tol: 0\.001 there, 0\.002 here"):
        jc.Simulation.load(tmp_path / "tol", *given, stop=jc.Tolerance(2e-3), **options)


def test_in_a_sweep(whole, tmp_path):
    limit = float(np.asarray(whole.trace["seconds"])[9].max())
    method = jc.CoOptimizer(METHOD.allocation, jc.methods.EXTRA(0.1))
    call = {"grid": {"training.step": STEPS}, "steps": 1000, "record_every": 10, "store": tmp_path / "a.zarr"}
    table = jc.sweep(PROBLEM, NETWORK, method, stop=Deadline(limit), **call)
    assert np.all(table["status"] == jc.Status.CONVERGED)
    np.testing.assert_array_equal(table["left"].values[:, 0], solved(Deadline(limit)).left)
    with pytest.raises(ValueError, match=r"sweep\.stop\.seconds: "):
        jc.sweep(PROBLEM, NETWORK, method, stop=Deadline(2 * limit), **call)
    with pytest.raises(ValueError, match=r"sweep\.stop: Deadline there, absent here"):
        jc.sweep(PROBLEM, NETWORK, method, **call)
    call["store"] = tmp_path / "b.zarr"
    jc.sweep(PROBLEM, NETWORK, method, tol=1e-3, **call)
    jc.sweep(PROBLEM, NETWORK, method, stop=jc.Tolerance(1e-3), **call)  # the same store


def test_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "own.toml").write_text(
        EXPERIMENTS.text("default") + '\n[stop]\nkind = "test_stop:Deadline"\nseconds = 3\n'
    )
    settings = EXPERIMENTS.read("own.toml")
    table = {"kind": "test_stop:Deadline", "seconds": 3.0, "loss": -1.0}
    assert settings.model_dump()["stop"] == table
    stop = build(settings).stop
    assert (type(stop).__name__, stop.seconds) == ("Deadline", 3.0)


def giving(value):
    @jc.pytree
    @dataclass(frozen=True)
    class Odd(jc.Stop):
        def stops(self, record):
            return value(record)

    return Odd()


@pytest.mark.parametrize(
    ("stop", "more", "error", "words"),
    [
        (1e-6, {}, TypeError, r"stop: expected jaxcoopt\.Tolerance\(1e-6\), or an object of a class derived from"),
        (jc.Tolerance(1e-6), {"tol": 1e-6}, ValueError, "tol: stop is given, too; .* so give one"),
        (jc.Tolerance(-1.0), {}, ValueError, r"stop\.tol: must be above 0"),
        (jc.Tolerance(np.ones(2)), {}, ValueError, r"stop\.tol: expected a scalar or \[runs\] = \(3,\)"),
        (giving(lambda record: record["los"]), {}, ValueError, "Odd.stops reads 'los', which is not recorded.*seconds"),
        (giving(lambda record: record["seconds"]), {}, TypeError, r"Odd\.stops gives .*, expected flags \[runs\]"),
        (giving(lambda record: jnp.ones((RUNS, 1), bool)), {}, ValueError, r"Odd.stops gives shape \(3, 1\)"),
    ],
)
def test_what_is_none_is_refused(untyped, stop, more, error, words):
    with pytest.raises(error, match=words):
        solved(stop, **more)


def test_one_flag_for_all():
    result = solved(giving(lambda record: record["iteration"] >= 20))
    assert result.left.tolist() == [20] * RUNS


APART = """
import sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)
import test_stop as t
import jaxcoopt as jc
method = jc.CoOptimizer(t.METHOD.allocation, jc.methods.EXTRA(np.geomspace(0.05, 0.2, {runs})))
def ended(stop, **more):
    options = dict(runs={runs}, stop=stop, record=jc.Record(10, [t.LARGEST]), optimum=t.OPTIMUM)
    return jc.solve(t.PROBLEM, t.NETWORK, method, 2000, **options, **more)
free = ended(t.Enough()).trace["seconds"]
for stop in (t.Enough(), t.Deadline(float(np.median(free[-1])) * 2, 0.0), jc.Tolerance(1e-4)):
    several = ended(stop, shard={shard!r})
    with jax.default_device(jax.local_devices()[0]):
        one = ended(stop)
    assert set(one.statuses) == {{jc.Status.CONVERGED}}
    np.testing.assert_array_equal(several.left, one.left)
    np.testing.assert_allclose(several.allocation, one.allocation, rtol=1e-9)
"""


@pytest.mark.parametrize(("shard", "runs"), [("runs", 64), ("nodes", 2)])
def test_on_several_devices(shard, runs):
    text = APART.format(tests=str(Path(__file__).parent), shard=shard, runs=runs)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
