"""Settings tuned by gradient descent: better on held-out instances, broken starts told."""

import io
from dataclasses import replace

import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pytest
from tuning_cases import FLOW, MAY_BE_TOLD, METHOD, NETWORK, NODES, STEPS, shares, training

import jaxcoopt as jc
from jaxcoopt.tuning.tune import _untuned

pytestmark = MAY_BE_TOLD


def test_both_halves_get_better_on_other_instances(rng):
    problem, other = (jc.Problem(shares(rng), training(rng)) for _ in range(2))
    names = ["allocation.step", "allocation.momentum", "training.step", "channel.rho"]
    tuned = jc.tune(problem, NETWORK, METHOD, names, steps=STEPS, iterations=15, starts=2, held_out=other)
    assert tuned.held_out < tuned.untuned - 0.1
    assert set(tuned.values) == set(names)
    assert tuned.history["objective"].shape == (16, 2)
    assert tuned.history["held_out"][tuned.iteration, tuned.start] == tuned.held_out == tuned.history["held_out"].min()
    assert tuned.history["training.step"][tuned.iteration, tuned.start] == tuned.values["training.step"]
    # What it says is what a run gives.
    result = jc.solve(other, tuned.network, tuned.method, STEPS, runs=NODES)
    gap = np.abs(result.trace["allocation_gap"][-1]) + np.abs(result.trace["training_gap"][-1])
    best = jc.reference(other).params
    size = np.sum(best["weights"] ** 2) + np.sum(best["bias"] ** 2)
    apart = result.trace["consensus_error"][-1] ** 2 / size
    assert np.log10(gap + apart).mean() == pytest.approx(tuned.held_out, abs=1e-6)
    assert set(tuned.parts) == {
        *("allocation gap", "budget residual", "box violation", "training gap", "consensus error")
    }
    assert tuned.parts["consensus error"][1] == pytest.approx(np.sqrt(apart).mean())
    lines = repr(tuned).splitlines()
    assert len(lines) <= 5
    assert f"{tuned.untuned:.4g} -> {tuned.held_out:.4g}" in lines[1]


def test_progress_is_shown_unless_it_is_declined(rng, monkeypatch):
    problem, said = jc.Problem(shares(rng)), io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("jaxcoopt.run.progress.EVERY", 0.0)
    options = {"steps": 5, "iterations": 2, "optimizer": optax.sgd(0.0)}
    jc.tune(problem, NETWORK, replace(FLOW, channel=jc.channels.Ideal()), ["allocation.step"], **options)
    assert said.getvalue().splitlines()[-1].startswith("3 of 3 iterations, held-out objective ")
    assert said.getvalue().splitlines()[0] == "compiling, then 3 iterations"
    said.truncate(0)
    jc.tune(
        problem, NETWORK, replace(FLOW, channel=jc.channels.Ideal()), ["allocation.step"], progress=False, **options
    )
    assert said.getvalue() == ""


def test_the_pair_that_untuned_was_still_answers(rng):
    number = _untuned(-1.0, -2.0)
    assert number == -2.0
    with pytest.warns(DeprecationWarning, match="number now"):
        assert number[0] == -1.0
    with pytest.warns(DeprecationWarning, match="number now"):
        assert number[1] == -2.0


def test_patience_stops_and_an_optimizer_of_ones_own_is_used(rng):
    problem = jc.Problem(shares(rng))
    still = optax.sgd(0.0)
    tuned = jc.tune(problem, NETWORK, FLOW, ["allocation.step"], steps=5, iterations=50, optimizer=still, patience=2)
    assert len(tuned.history["objective"]) == 3
    assert tuned.values["allocation.step"] == pytest.approx(0.05)


def test_a_broken_start_is_told_and_left_out(rng):
    problem = jc.Problem(shares(rng))

    def breaks(result):  # in the runs of the second start
        step = result.trace["allocation_gap"][-1].mean()
        return jnp.where(step > first * 0.999, jnp.where(step < first * 1.001, step, jnp.nan), jnp.nan)

    solved = jc.solve(problem, NETWORK, FLOW, 5, runs=NODES)
    first = float(solved.trace["allocation_gap"][-1].mean())
    options = {"steps": 5, "iterations": 2, "objective": breaks, "optimizer": optax.sgd(0.0)}
    with pytest.warns(RuntimeWarning, match="1 of 2 starts are broken: start 1: the objective is not finite at iter"):
        tuned = jc.tune(problem, NETWORK, FLOW, ["allocation.step"], starts=2, held_out=problem, **options)
    assert tuned.start == 0
    with pytest.raises(RuntimeError, match=r"every start is broken .start 0: the objective.*iteration 0 \(all that is"):
        jc.tune(problem, NETWORK, FLOW, ["allocation.step"], **options | {"objective": lambda result: jnp.nan})


def test_what_went_bad_first_is_named_with_its_step(rng):
    """A step that grows out of the numbers, and costs that have no value left of 0."""
    problem = jc.Problem(shares(rng))
    method = replace(FLOW, allocation=jc.methods.LaplacianFlow(1e60))
    options = {"steps": 20, "iterations": 1, "objective": lambda result: result.trace["allocation_gap"][-1].mean()}
    with pytest.raises(RuntimeError, match=r"\(allocation_cost is (nan|inf|-inf) from step [1-9]\d* on\)"):
        jc.tune(problem, NETWORK, method, {"allocation.step": (0, np.inf)}, **options)


def test_phases_and_several_networks(rng):
    """Each phase gets a step of its own; every problem is run over every network."""
    method = replace(FLOW, allocation=jc.methods.LaplacianFlow(jc.methods.Schedule([0.1, 0.1, 0.1], until=[5, 12])))
    problem, ring = jc.Problem(shares(rng)), jc.Network.from_graphs(nx.cycle_graph(NODES))
    tuned = jc.tune(problem, [NETWORK, ring], method, ["allocation.step"], steps=STEPS, iterations=5, starts=2)
    assert tuned.held_out < tuned.untuned
    phases = tuned.method.allocation.step
    assert tuned.history["allocation.step"].shape == (6, 2, 3)
    np.testing.assert_array_equal(phases.values, tuned.values["allocation.step"])
    assert len(set(phases.values.tolist())) == 3
    ends = [
        np.log10(np.abs(jc.solve(problem, net, tuned.method, STEPS, runs=NODES).trace["allocation_gap"][-1]))
        for net in (NETWORK, ring)
    ]
    assert np.mean(ends) == pytest.approx(tuned.objective, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*beyond.*:RuntimeWarning")
def test_what_differs_between_runs_stays_with_its_start(rng):
    """Of the loss, the links, settings that are not tuned and the start: with two starts as with one."""
    count = 3
    allocation = jc.Allocation(shares(rng, count).cost, np.full(count, 6.0))
    given = rng.normal(size=(NODES, count))
    given += (6 - given.sum(axis=0)) / NODES
    problem = jc.Problem(allocation, replace(training(rng), loss=jc.losses.Linear(np.array([0.1, 0.2, 0.4]))))
    network = jc.Network.from_graphs(nx.cycle_graph(NODES), failure_rate=np.array([0.0, 0.1, 0.3]))
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(
            jc.methods.Schedule(np.array([[0.05, 0.06, 0.07], [0.02, 0.03, 0.04]]), until=[9]),
            np.array([0.1, 0.2, 0.3]),
        ),
        jc.methods.GradientTracking(0.02),
        jc.channels.LogQuantizer(np.array([0.2, 0.4, 0.8])),
    )
    start = jc.Initial(given, {"weights": rng.normal(size=(NODES, 3, count)), "bias": rng.normal(size=NODES)})
    options = {"steps": 15, "iterations": 1, "initial": start, "held_out": problem}
    alone, both = (jc.tune(problem, network, method, ["training.step"], starts=n, **options) for n in (1, 2))
    np.testing.assert_allclose(both.history["objective"][:, 0], alone.history["objective"][:, 0], rtol=1e-12)
    assert both.history["objective"][0, 1] != both.history["objective"][0, 0]
    result = jc.solve(problem, network, method, 15, runs=count, initial=start)
    assert jc.objectives.final(result) == pytest.approx(alone.objective_untuned, rel=1e-9)


def test_link_weights_from_several_starts(rng):
    problem = jc.Problem(shares(rng))
    options = {"steps": STEPS, "iterations": 2, "held_out": problem}
    alone, both = (jc.tune(problem, NETWORK, FLOW, ["weights", "channel.rho"], starts=n, **options) for n in (1, 2))
    np.testing.assert_allclose(both.history["objective"][:, 0], alone.history["objective"][:, 0], rtol=1e-9)
    assert both.history["weights"].shape == (3, 2, *NETWORK.edges.weights.shape)
    assert not np.allclose(both.history["weights"][0, 0], both.history["weights"][0, 1])
    end = jc.solve(problem, both.network, both.method, STEPS, runs=NODES)
    assert jc.objectives.final(end) == pytest.approx(both.held_out, abs=1e-9)


def test_untuned_is_of_the_settings_that_were_given(rng):
    """Also where these are at an end of what may be tuned, from just inside of which the descent starts."""
    problem, plain = jc.Problem(shares(rng)), replace(FLOW, allocation=jc.methods.LaplacianFlow(0.05, 0.0))
    options = {"steps": STEPS, "iterations": 1, "held_out": problem}
    tuned = jc.tune(problem, NETWORK, plain, ["allocation.momentum"], **options)
    end = jc.solve(problem, NETWORK, plain, STEPS, runs=NODES)
    assert tuned.objective_untuned == tuned.untuned == pytest.approx(float(jc.objectives.final(end)), abs=1e-9)
    assert tuned.history["objective"][0, 0] != pytest.approx(tuned.objective_untuned, abs=1e-6)
