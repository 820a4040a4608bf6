"""Simulations that go on: the bits of one long run, kept in a file, and errors that say what differs."""

import os
import shutil
from dataclasses import replace

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.run import calls
from jaxcoopt.run.calls import intervals
from jaxcoopt.run.record import received_record

NODES, RUNS = 6, 3
NETWORK = jc.Network.from_graphs([nx.cycle_graph(NODES), nx.star_graph(NODES - 1)], failure_rate=0.2)
METHOD = jc.CoOptimizer(
    jc.methods.DualFlow(), jc.methods.GradientTracking(0.03, batch_size=2), channel=jc.channels.LogQuantizer(rho=0.2)
)
LARGEST = jc.Metric("largest_share", "CPU units", lambda problem, estimate: estimate.allocation.max(axis=0))
RECORD = jc.Record(10, [LARGEST], ["allocation", "params"], [5, 1])


@pytest.fixture
def problem(rng):
    training = jc.Training(jc.losses.Logistic(0.1), rng.normal(size=(NODES, 4, 2)), rng.choice([-1.0, 1.0], (NODES, 4)))
    return jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), 0.3), 6.0, 0.0, 3.0), training)


def assert_same(one, other):
    """Everything that a result holds, bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.fast
@pytest.mark.parametrize(("start", "steps", "every"), [(0, 7, 3), (0, 6, 3), (6, 7, 3), (7, 5, 3), (7, 1, 9)])
def test_records_stand_at_the_multiples_and_at_the_end(start, steps, every):
    lengths = intervals(steps, every, start)
    at = start + np.cumsum(lengths)
    expected = [k for k in range(start, start + steps + 1) if (k % every == 0 and k > start) or k == start + steps]
    np.testing.assert_array_equal(at, [0, *expected] if start == 0 else expected)


def test_in_parts_as_in_one(problem, tmp_path):
    """Also after it was saved and loaded by another object, and what the first call gave stays as it was."""
    options = {"runs": RUNS, "seed": 3, "record": RECORD}
    whole = jc.solve(problem, NETWORK, METHOD, 80, **options)
    simulation = jc.Simulation(problem, NETWORK, METHOD, **options)
    first = simulation.run(30)
    simulation.save(tmp_path / "there")
    before = [np.array(leaf) for leaf in jax.tree.leaves(first.state)]
    assert_same(simulation.run(50), whole)
    assert_same(jax.tree.leaves(first.state), before)
    assert simulation.iteration == 80
    loaded = jc.Simulation.load(tmp_path / "there", problem, NETWORK, METHOD, record=RECORD)
    assert loaded.iteration == 30
    assert_same(loaded.result, first)
    assert_same(loaded.run(50), whole)


def test_runs_that_converge_stand_still_and_end(rng, tmp_path):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), 0.3), 6.0))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.2))
    ring = jc.Network.from_graphs(nx.cycle_graph(NODES))
    options = {"record": jc.Record(every=100), "tol": 1e-6}
    simulation = jc.Simulation(problem, ring, method, **options)
    with pytest.raises(RuntimeError, match="call run"):
        simulation.result  # noqa: B018
    simulation.run(100)
    simulation.save(tmp_path)
    result = simulation.run(10_000)
    assert result.statuses == (jc.Status.CONVERGED,)
    assert_same(result, jc.solve(problem, ring, method, 10_100, **options))
    assert simulation.run(500).iterations[-1] == result.iterations[-1] == simulation.iteration
    assert_same(jc.Simulation.load(tmp_path, problem, ring, method, record=options["record"]).run(10_000), result)


def test_a_call_that_is_interrupted_leaves_it_where_it_stood(rng, monkeypatch):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), 0.3), 6.0))
    given = problem, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(0.2))
    whole, simulation = jc.solve(*given, 20, record_every=5), jc.Simulation(*given, record=jc.Record(5))

    def interrupted(*arguments):
        calls.drive(*arguments)
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr("jaxcoopt.run.simulation.drive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                simulation.run(10)
        result = simulation.run(10)
    assert_same(result, whole)


@pytest.mark.skipif(bool(os.environ.get("JAXCOOPT_TEST_TYPED")), reason="what checks types stands between the calls")
def test_warnings_say_where_it_was_called(rng):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), 0.3), 6.0))
    given = problem, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(1e30))
    for call in (lambda: jc.solve(*given, 20), lambda: jc.Simulation(*given).run(20)):
        with pytest.warns(RuntimeWarning) as told:
            call()
        assert {each.filename for each in told} == {__file__}
        assert any("all 1 runs diverged" in str(each.message) for each in told)


def test_metrics_and_trajectories(problem):
    """The metric as of the trajectory's own numbers; nodes by their labels; the library's statistics as without."""
    named = jc.Network.from_graphs(nx.relabel_nodes(nx.cycle_graph(NODES), dict(enumerate("abcdef"))))
    method = replace(METHOD, allocation=jc.methods.LaplacianFlow(0.1))
    product = jc.Metric(
        "work", "CPU seconds", lambda problem, estimate: (problem.work * estimate.allocation).sum(axis=0)
    )
    record = jc.Record(20, [LARGEST, product], ["allocation", "params"])
    result = jc.solve(problem, named, method, 50, runs=RUNS, record=record)
    stands = result.trajectories["allocation"]
    assert stands.shape == (4, NODES, RUNS)
    np.testing.assert_array_equal(result.trace["largest_share"], np.max(stands, axis=1))
    np.testing.assert_allclose(result.trace["work"], np.sum(stands, axis=1), rtol=1e-14)
    np.testing.assert_array_equal(stands[-1], result.allocation)
    last = jax.tree.map(lambda rows: rows[-1], result.trajectories["params"])
    jax.tree.map(np.testing.assert_array_equal, last, result.params)
    plain = jc.solve(problem, named, method, 50, runs=RUNS, record_every=20)
    assert_same(plain.trace, {name: result.trace[name] for name in plain.trace})
    chosen = jc.solve(problem, named, method, 50, runs=RUNS, record=replace(record, nodes=["e", "b"]))
    np.testing.assert_array_equal(chosen.trajectories["allocation"], stands[:, [4, 1]])
    labelled = chosen.to_xarray()
    np.testing.assert_array_equal(labelled["allocation_trajectory"].sel(recorded_node="b"), stands[:, 1])
    assert labelled["largest_share"].attrs == {"units": "CPU units"}
    assert labelled["params.weights_trajectory"].shape == (4, 2, 2, RUNS)


def test_inside_jit_and_grad(problem):
    """The loop of known length records the same."""
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1))
    shares = jc.Problem(problem.allocation)
    record = jc.Record(10, [LARGEST], ["allocation"])

    def largest(step):
        run = jc.CoOptimizer(jc.methods.LaplacianFlow(step))
        result = jc.solve(shares, NETWORK, run, 20, record=record, optimum=jc.Optimum())
        return result.trace["largest_share"][-1, 0], result.trajectories["allocation"]

    (value, stands), slope = jax.value_and_grad(largest, has_aux=True)(0.1)
    expected = jc.solve(shares, NETWORK, method, 20, record=record, optimum=jc.Optimum())
    np.testing.assert_allclose(stands, expected.trajectories["allocation"], rtol=1e-12)
    assert value == pytest.approx(float(expected.trace["largest_share"][-1, 0]), rel=1e-12)
    assert np.isfinite(slope)
    with pytest.raises(TypeError, match=r"use jaxcoopt\.solve"):
        jax.jit(lambda step: jc.Simulation(shares, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(step))))(0.1)


def _twice(problem, estimate):
    return 2 * estimate.allocation


@pytest.mark.fast
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"every": 0}, ValueError, "record.every"),
        ({"metrics": [3]}, TypeError, "record.metrics: expected a jaxcoopt.Metric"),
        ({"metrics": [LARGEST, LARGEST]}, ValueError, "two are called largest_share"),
        (
            {"metrics": jc.Metric("twice", "", _twice)},
            ValueError,
            r"metric twice: expected \[runs\] = \(1,\), got shape",
        ),
        ({"metrics": jc.Metric("text", "", lambda *_: "a")}, TypeError, "metric text: expected an array"),
        ({"metrics": jc.Metric("i", "", lambda *_: 1j)}, TypeError, "metric i: expected real numbers"),
        ({"trajectories": ["shares"]}, ValueError, "record.trajectories"),
        ({"trajectories": ["params"]}, ValueError, "the problem has no training"),
        ({"trajectories": 5}, TypeError, "record.trajectories: expected names"),
        ({"nodes": [1]}, ValueError, "record.nodes: they are those of trajectories"),
        ({"trajectories": "allocation", "nodes": [9]}, ValueError, "no node 9; its 6 nodes are called 0, 1, 2, ..."),
        ({"trajectories": "allocation", "nodes": []}, ValueError, "one or more labels"),
        ({"trajectories": "allocation", "nodes": 3}, TypeError, "a list of labels"),
    ],
)
def test_what_is_wrong_with_a_record_is_named(untyped, given, error, words):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), 0.3), 6.0))
    with pytest.raises(error, match=words):
        jc.solve(problem, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1)), 4, record=jc.Record(**given))


@pytest.mark.fast
def test_what_is_no_record_is_named(untyped):
    with pytest.raises(TypeError, match=r"record: expected a jaxcoopt\.Record, got 5"):
        received_record(5)
    with pytest.raises(ValueError, match="give one of them"):
        received_record(jc.Record(5), 5)
    assert received_record(jc.Record(metrics=[], trajectories=[])) == jc.Record()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("name", "unit", "function", "error"),
    [
        ("two words", "", len, ValueError),
        (None, "", len, ValueError),
        ("seconds", "", len, ValueError),
        ("a", 3, len, TypeError),
        ("a", "", 3, TypeError),
    ],
)
def test_what_is_wrong_with_a_metric_is_named(untyped, name, unit, function, error):
    with pytest.raises(error, match="metric"):
        jc.Metric(name, unit, function)


def test_what_differs_from_the_saved_run_is_said(problem, tmp_path, monkeypatch):
    shares, method = jc.Problem(problem.allocation), jc.CoOptimizer(jc.methods.LaplacianFlow(0.1))
    simulation = jc.Simulation(shares, NETWORK, method, runs=2)
    simulation.run(10)
    simulation.save(tmp_path)
    others = {
        "method.allocation.step: 0.1 there, 0.2 here": (shares, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(0.2))),
        "method.allocation: LaplacianFlow there, DualFlow": (shares, NETWORK, jc.CoOptimizer(jc.methods.DualFlow())),
        "problem.allocation.budget: 6.0 there, 5.0": (
            jc.Problem(replace(shares.allocation, budget=5.0)),
            NETWORK,
            method,
        ),
        "network.failure_rate": (shares, replace(NETWORK, failure_rate=0.3), method),
    }
    for words, trio in others.items():
        with pytest.raises(ValueError, match=words):
            jc.Simulation.load(tmp_path, *trio)
    with pytest.raises(ValueError, match=r"record\.metrics"):
        jc.Simulation.load(tmp_path, shares, NETWORK, method, record=jc.Record(metrics=[LARGEST]))
    monkeypatch.setattr("jaxcoopt.run.checkpoint.deciding", lambda: {"jax": "0.1"})
    with pytest.raises(ValueError, match=r"another version.*version\.jax"):
        jc.Simulation.load(tmp_path, shares, NETWORK, method)


@pytest.mark.fast
def test_files_that_are_not_whole_are_named(tmp_path):
    shares = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), 0.3), 6.0))
    trio = shares, NETWORK, jc.CoOptimizer(jc.methods.LaplacianFlow(0.1))
    with pytest.raises(FileNotFoundError, match=r"there is no simulation\.npz"):
        jc.Simulation.load(tmp_path, *trio)
    simulation = jc.Simulation(*trio)
    simulation.save(tmp_path / "a" / "b")  # before the first iteration, too
    assert jc.Simulation.load(tmp_path / "a" / "b", *trio).iteration == 0
    file = tmp_path / "a" / "b" / "simulation.npz"
    content = file.read_bytes()
    for wrong in (
        content[:-200],
        content[: len(content) // 2],
        b"",
        b"text",
        content[:400] + b"x" * 40 + content[440:],
    ):
        file.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"simulation\.npz: it is not a whole file"):
            jc.Simulation.load(file.parent, *trio)
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="writing the simulation"):
        simulation.save(tmp_path / "a")
