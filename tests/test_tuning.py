"""Settings tuned by gradient descent: better on held-out instances, within what is admitted, broken ones told."""

import io
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.problem.align import aligned
from jaxcoopt.run.names import Trio
from jaxcoopt.run.record import observe
from jaxcoopt.theory.auto import with_steps
from jaxcoopt.tuning.admissible import MOST_MIXED, Interval, free_weights, weights_of
from jaxcoopt.tuning.parameters import parameters_of
from jaxcoopt.tuning.trust import AT, Compared
from jaxcoopt.tuning.tune import _untuned

NODES, STEPS = 6, 20
NETWORK = jc.Network.from_graphs([nx.cycle_graph(NODES), nx.star_graph(NODES - 1)])
METHOD = jc.CoOptimizer(
    jc.methods.LaplacianFlow(0.05, 0.1), jc.methods.GradientTracking(0.02), jc.channels.LogQuantizer(0.8)
)
FLOW = replace(METHOD, training=None)

# Runs are few, short and coarsely rounded here: what is told of slopes and parts depends on the problem that is drawn.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*has no useful derivative:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*got worse:RuntimeWarning"),
]


def shares(rng, instances=NODES):  # as many as nodes: no axis can be told from another by its size
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, (NODES, instances)), rng.normal(size=(NODES, instances)))
    return jc.Allocation(cost, np.full(instances, float(NODES)))


def training(rng):
    return jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 8, 3)), rng.normal(size=(NODES, 8)))


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


def test_the_slope_of_the_free_numbers_is_that_of_finite_differences(rng):
    """Of all parameters, link weights among them, through solve itself."""
    problem, ideal = jc.Problem(shares(rng), training(rng)), replace(METHOD, channel=jc.channels.Ideal())
    optimum = jc.reference(problem)
    names = ["weights", "allocation.step", "allocation.momentum", "training.step"]
    found = parameters_of(names, ideal, [(problem, NETWORK)])
    free = found.start(1, 0)

    @jax.jit
    def value(free):
        values = {name: each[0] for name, each in found.values(free).items()}
        trio = found.applied(Trio(problem, NETWORK, ideal), values)
        trace = jc.solve(*trio, STEPS, runs=NODES, optimum=optimum).trace
        return jnp.sum(trace["allocation_gap"][-1] + trace["training_gap"][-1])

    slope = jax.jit(jax.grad(value))(free)
    for name, of_name in slope.items():
        toward = rng.normal(size=np.shape(of_name))

        def along(h, name=name, toward=toward):
            return float(value(free | {name: free[name] + h * toward}))

        h = 1e-4
        wanted = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        forward = jax.jvp(
            value, (free,), ({k: toward * (k == name) if k == name else 0 * v for k, v in free.items()},)
        )[1]
        assert float(np.sum(of_name * toward)) == pytest.approx(wanted, rel=1e-6), name
        assert float(forward) == pytest.approx(float(np.sum(of_name * toward)), rel=1e-9), name


def test_link_weights_stay_symmetric_positive_and_stable(rng):
    for scale in (0.1, 3.0, 30.0):
        weights = np.asarray(weights_of(NETWORK, jnp.asarray(scale * rng.normal(size=NETWORK.edges.weights.shape))))
        network = NETWORK.with_weights(jnp.asarray(weights))
        there = np.asarray(NETWORK.edges.weights) > 0
        assert (weights[there] > 0).all()
        assert (weights[~there] == 0).all()
        for laplacian in jc.theory.laplacians(network):
            dense = laplacian.toarray()
            np.testing.assert_array_equal(dense, dense.T)
            assert np.linalg.eigvalsh(dense).max() <= 2 * MOST_MIXED + 1e-9
    kept = np.asarray(weights_of(NETWORK, jnp.asarray(free_weights(NETWORK))))
    np.testing.assert_allclose(kept, NETWORK.edges.weights, rtol=1e-12)


@pytest.mark.parametrize("inside", [Interval(0.0, np.inf), Interval(0.0, 1.0), Interval(0.5, 1.0), Interval(0.0, 0.3)])
def test_no_free_number_leaves_the_interval(inside):
    values = np.asarray(inside.value(jnp.asarray([-700.0, -20.0, 0.0, 20.0, 700.0])))
    assert (values > inside.low).all()
    assert (values < inside.high).all()
    middle = inside.low + 0.4 * (min(inside.high, 2) - inside.low)
    assert float(inside.value(jnp.asarray(inside.free(middle)))) == pytest.approx(middle)


def test_steps_stay_below_the_bound_of_theory(rng):
    problem = jc.Problem(training=training(rng))
    bound = jc.theory.step_bound(METHOD.training, problem, NETWORK, METHOD.channel).value
    (parameter,) = parameters_of(["training.step"], METHOD, [(problem, NETWORK)]).each
    assert parameter.inside == Interval(0.0, pytest.approx(bound))


def test_objectives_are_what_they_say(rng):
    problem = jc.Problem(shares(rng))
    result = jc.solve(problem, NETWORK, FLOW, STEPS, runs=NODES, record_every=5)
    gap = np.log10(np.abs(result.trace["allocation_gap"]) + np.finfo(float).eps)
    assert jc.objectives.final(result) == pytest.approx(gap[-1].mean())
    assert jc.objectives.worst(result) == pytest.approx(gap[-1].max())
    assert jc.objectives.area(result) == pytest.approx(gap.mean())
    bits = np.asarray(result.trace["bits"])[:, 0]
    wanted = (gap[2] + gap[3]).mean() / 2
    assert jc.objectives.at_bits((bits[2] + bits[3]) / 2)(result) == pytest.approx(wanted)


def anywhere(problem, x, params=None):
    """A result whose nodes stand at x, or have these parameters."""
    start = jc.solve(
        problem, NETWORK, FLOW if params is None else replace(METHOD, allocation=None), 1, runs=x.shape[-1]
    )
    estimate = Estimate(x, None) if params is None else Estimate(None, params)
    record = observe(aligned(problem, NODES), estimate, start.optimum)
    trace = {name: jnp.asarray(value)[None] for name, value in record.items()}
    return replace(
        start, trace=trace, iterations=jnp.zeros(1, int), allocation=estimate.allocation, params=estimate.params
    )


@pytest.mark.parametrize("center", [0.0, 1.5])
def test_the_error_is_0_at_the_optimum_only(rng, center):
    """Above the Bregman distance to the optimum, gap, budget residual and box violation; the gap where both hold."""
    runs = 500
    curvature, center = 10 ** rng.uniform(-1, 1, (NODES, 1)), center + rng.normal(size=(NODES, 1))
    sides = np.sort(rng.uniform(0, 2, (2, NODES)), axis=0)
    budget = sides[0].sum() + rng.uniform(0.1, 0.9) * (sides[1] - sides[0]).sum()
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(curvature, center), budget, *sides))
    best = jc.reference(problem)
    x = best.allocation[:, None] + 10 ** rng.uniform(-6, 0, runs) * rng.normal(size=(NODES, runs))
    x[:, : runs // 2] -= (x[:, : runs // 2].sum(axis=0) - budget) / NODES  # on the budget
    result = anywhere(problem, jnp.asarray(x))
    found, size = np.asarray(jc.objectives.error(result))[0], abs(best.allocation_cost)
    trace = {name: np.asarray(values)[0] for name, values in result.trace.items()}
    bregman = (curvature / 2 * (x - best.allocation[:, None]) ** 2).sum(axis=0) / size
    share = np.abs(best.allocation).mean()
    for part in (bregman, np.abs(trace["allocation_gap"]), trace["budget_residual"], trace["box_violation"] / share):
        assert (found >= part * (1 - 1e-9) - 1e-12).all()
    inside = np.clip(x, *sides[..., None])
    inside = inside[:, np.abs(inside.sum(axis=0) - budget) < 1e-13]
    inside = np.concatenate([inside, best.allocation[:, None]], axis=1)
    result = anywhere(problem, jnp.asarray(inside))
    gap = np.abs(np.asarray(result.trace["allocation_gap"]))
    np.testing.assert_allclose(jc.objectives.error(result), gap, rtol=1e-9, atol=1e-12)


def test_a_cost_of_the_optimum_outside_the_box_is_far_from_it():
    """Node 0 is cheap and full: past its bound the cost falls, and passes that of the optimum on its way."""
    cost = jc.costs.Quadratic(1.0, np.array([4.0, *np.zeros(NODES - 1)]))
    problem = jc.Problem(jc.Allocation(cost, float(NODES), 0.0, 2.0))
    best = jc.reference(problem)
    over = np.linspace(0, 1, 1001)
    x = best.allocation[:, None] + np.outer([1.0, *-np.ones(NODES - 1) / (NODES - 1)], over)
    uneven = np.array([0.0, 1.0, -1.0, *np.zeros(NODES - 3)])[:, None]  # costs more
    result = anywhere(problem, jnp.asarray(x + 0.5 * uneven))
    gap, found = np.asarray(result.trace["allocation_gap"])[0], np.asarray(jc.objectives.error(result))[0]
    assert np.abs(gap).min() < 1e-3 < 0.02 < gap[0]
    assert found.argmin() == 0
    assert found[0] == pytest.approx(gap[0])


def test_nodes_that_disagree_are_not_at_the_optimum(rng):
    problem = jc.Problem(training=training(rng))
    best = jc.reference(problem).params
    apart = rng.normal(size=(NODES, 3, 2))
    apart -= apart.mean(axis=0)
    params = {
        "weights": best["weights"][None, :, None] + apart * np.array([0.0, 1.0]),
        "bias": jnp.broadcast_to(jnp.asarray(best["bias"]), (NODES, 2)),
    }
    found = np.asarray(jc.objectives.error(anywhere(problem, np.zeros((1, 2)), jax.tree.map(jnp.asarray, params))))
    size = np.sum(best["weights"] ** 2) + np.sum(best["bias"] ** 2)
    assert found[0, 0] < 1e-12
    assert found[0, 1] == pytest.approx(np.sum(apart[..., 1] ** 2) / NODES / size)


def test_a_part_that_got_worse_is_told_with_figures(rng):
    """An objective of the mean model's loss alone lets DGD's step, and with it the nodes' distance, grow."""
    problem = jc.Problem(training=training(rng))
    method = jc.CoOptimizer(training=jc.methods.DGD(1e-3), channel=jc.channels.Ideal())
    options = {"steps": 30, "iterations": 15, "optimizer": optax.adam(0.3), "held_out": problem}
    options["objective"] = lambda result: result.trace["training_loss"][-1].mean()
    with pytest.warns(RuntimeWarning, match=r"better, but .* the consensus error from \S+ to \S+ got worse"):
        tuned = jc.tune(problem, NETWORK, method, ["training.step"], **options)
    before, after = tuned.parts["consensus error"]
    assert after > 2 * before


def test_settings_without_a_useful_derivative_are_told(rng):
    """The level of a rounding, and a number of levels whose derivative is 0 though it matters; not a smooth step."""
    problem = jc.Problem(replace(shares(rng), cost=jc.costs.Quadratic(1.0, rng.normal(size=(NODES, NODES)))))
    rounded = jc.CoOptimizer(jc.methods.UniformFlow(0.1, level=0.05), channel=jc.channels.Ideal())
    with pytest.warns(RuntimeWarning, match="level has no useful derivative at the start: within a fifth"):
        jc.tune(problem, NETWORK, rounded, ["allocation.response.level"], steps=STEPS, iterations=1)
    random = replace(FLOW, channel=jc.channels.QSGD(4))
    with pytest.warns(RuntimeWarning, match="levels has no derivative, though it matters"):
        jc.tune(problem, NETWORK, random, ["channel.levels"], steps=STEPS, iterations=1)
    smooth = replace(FLOW, channel=jc.channels.Ideal())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        jc.tune(problem, NETWORK, smooth, ["allocation.step", "weights"], steps=5, iterations=1)
    assert not [each for each in told if "derivative" in str(each.message)]


@pytest.mark.parametrize(
    ("foreseen", "useful"),
    [
        (AT, True),
        (1.2 * AT, True),
        (1.35 * AT, False),
        (0.65 * AT, False),
        (-AT, False),
        (0 * AT, False),
        (9 * AT, False),
    ],
)
def test_a_derivative_is_useful_where_it_is_the_slope(rng, foreseen, useful):
    assert Compared(AT, foreseen).useful == useful
    bent = AT + 3 * AT**2
    assert Compared(bent, bent).useful
    rough = 0.3 * rng.permutation([-1, -1, -1, 0, 1, 1, 1])
    assert Compared(AT + rough - np.polyval(np.polyfit(AT, rough, 1), AT), AT).useful
    assert not Compared(rough, 1e-3 * AT).useful


def test_progress_is_shown_unless_it_is_declined(rng, monkeypatch):
    problem, said = jc.Problem(shares(rng)), io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("jaxcoopt.run.progress.EVERY", 0.0)
    options = {"steps": 5, "iterations": 2, "optimizer": optax.sgd(0.0)}
    jc.tune(problem, NETWORK, replace(FLOW, channel=jc.channels.Ideal()), ["allocation.step"], **options)
    assert said.getvalue().splitlines()[-1].startswith("3 of 3 iterations, held-out objective ")
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
    method = replace(FLOW, allocation=jc.methods.LaplacianFlow(jc.methods.Phases([0.1, 0.1, 0.1], until=[5, 12])))
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
            jc.methods.Phases(np.array([[0.05, 0.06, 0.07], [0.02, 0.03, 0.04]]), until=[9]), np.array([0.1, 0.2, 0.3])
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


def test_steps_are_admitted_that_all_problems_and_networks_stand(rng):
    small = jc.Problem(training=training(rng))
    large = replace(small, training=replace(small.training, features=3 * small.training.features))
    ring = jc.Network.from_graphs(nx.cycle_graph(NODES))
    cases = [(small, NETWORK), (small, ring), (large, NETWORK), (large, ring)]
    bounds = [jc.theory.step_bound(METHOD.training, *case, METHOD.channel).value for case in cases]
    short = replace(METHOD, training=jc.methods.GradientTracking(1e-4))
    (parameter,) = parameters_of(["training.step"], short, cases).each
    assert parameter.inside == Interval(0.0, pytest.approx(min(bounds)))
    auto = replace(METHOD, allocation=None, training=jc.methods.GradientTracking("auto"))
    tuned = jc.tune([small, large], [NETWORK, ring], auto, ["channel.rho"], steps=3, iterations=1, runs=2)
    alone = [float(with_steps(auto, *case).training.step) for case in cases]
    assert tuned.method.training.step == pytest.approx(min(alone))


def test_what_has_no_effect_is_told(rng):
    """A phase that is never reached, and link weights of a method that does not use them."""
    problem = jc.Problem(shares(rng))
    late = replace(FLOW, allocation=jc.methods.LaplacianFlow(jc.methods.Phases([0.05, 0.1], until=[50])))
    with pytest.warns(RuntimeWarning, match=r"allocation.step\[1\] has no effect on the objective"):
        jc.tune(problem, NETWORK, late, ["allocation.step"], steps=5, iterations=1)
    with pytest.warns(RuntimeWarning, match="weights has no effect on the objective"):
        jc.tune(problem, NETWORK, jc.CoOptimizer(jc.methods.DualFlow()), ["weights"], steps=5, iterations=1)


def test_what_is_compiled_in_is_refused(rng):
    problem = jc.Problem(training=training(rng))
    method = jc.CoOptimizer(
        training=jc.methods.GradientTracking(0.02, batch_size=3), channel=jc.channels.LogQuantizer(bits=8)
    )
    for name in ("training.batch_size", "channel.bits"):
        with pytest.raises(TypeError, match=f"{name}' is compiled into the program .* jaxcoopt.sweep"):
            jc.tune(problem, NETWORK, method, [name], steps=2, iterations=1)


def test_a_start_beyond_what_is_proved_is_told_and_kept(rng):
    """Steps up to a sharp bound only; others are tuned from where they are."""
    shared, data = jc.Problem(shares(rng)), jc.Problem(training=training(rng))
    bounds = jc.Problem(replace(shared.allocation, lower=0.0, upper=4.0))
    flow = replace(FLOW, allocation=jc.methods.LaplacianFlow(0.1, 0.1))
    with pytest.warns(RuntimeWarning, match="beyond the .* so it is tuned without that bound"):
        tuned = jc.tune(bounds, NETWORK, flow, ["allocation.step"], steps=STEPS, iterations=2)
    end = jc.solve(bounds, NETWORK, flow, STEPS, runs=NODES)
    assert tuned.history["objective"][0, 0] == pytest.approx(float(jc.objectives.final(end)), abs=1e-9)
    ring = jc.Network.from_graphs(nx.cycle_graph(NODES))
    for step, method in ((1e3, jc.methods.GradientTracking), (1e3, jc.methods.EXTRA)):
        ideal = jc.CoOptimizer(training=method(step))
        with pytest.raises(ValueError, match=r"training.step starts at 1e.03, and from .* grows without limit"):
            jc.tune(data, ring, ideal, ["training.step"], steps=2, iterations=1)


def test_steps_stay_below_a_bound_that_moves_with_the_other_settings(rng):
    """Weights and momentum move the bound: whatever the descent does, the step is below that of where they stand."""
    problem = jc.Problem(replace(shares(rng), lower=0.0, upper=4.0))
    ring = jc.Network.from_graphs(nx.cycle_graph(NODES))
    start = replace(FLOW, allocation=jc.methods.LaplacianFlow(0.006, 0.3))
    names = ["weights", "allocation.step", "allocation.momentum", "channel.rho"]
    options = {"optimizer": optax.sgd(30.0), "steps": 10, "iterations": 8, "starts": 2}
    tuned = jc.tune(problem, ring, start, names, **options)
    reached = []
    for iteration in range(9):
        for number in range(2):
            values = {name: tuned.history[name][iteration, number] for name in names}
            flow = jc.methods.LaplacianFlow(*(float(values[f"allocation.{name}"]) for name in ("step", "momentum")))
            channel = replace(FLOW.channel, rho=float(values["channel.rho"]))
            bound = jc.theory.step_bound(flow, problem, ring.with_weights(values["weights"]), channel)
            reached.append(flow.step / float(np.min(bound.value)))
    assert max(reached) <= 1 + 1e-9
    assert max(reached) > 0.99


@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        (["training.stap"], {}, ValueError, "parameters: 'training.stap'.*'training.step'"),
        (["channel"], {}, TypeError, "parameters: 'channel' is no number but an object"),
        (["channel.placement"], {}, TypeError, "parameters: 'channel.placement' is no number but 'innovation'"),
        (["allocation.budget"], {}, ValueError, "a setting of the problem.*jax.grad of jaxcoopt.reference"),
        (["channel.width"], {}, ValueError, "smooths derivatives and changes no run"),
        ([], {}, ValueError, "parameters: expected a list of names"),
        ("training.step", {}, ValueError, "parameters: expected a list of names"),
        (["weights"], {"held_out_network": NETWORK}, ValueError, "link weights are those of one network"),
        (["channel.rho"], {"held_out": []}, ValueError, "held_out: .* got an empty list"),
        ({"channel.rho": (1.0, 0.5)}, {}, ValueError, r"expected \(low, high\)"),
        ({"channel.rho": (0.1, 0.5)}, {}, ValueError, r"channel.rho: starts at 0.8, outside of \(0.1, 0.5\)"),
        (["channel.rho"], {"objective": "fast"}, ValueError, "objective: 'fast' is not known; .*at_bits"),
        (["channel.rho"], {"objective": lambda result: 3}, TypeError, "objective: expected a real number"),
        (["channel.rho"], {"objective": lambda result: None}, TypeError, "objective: expected a real number"),
        (
            ["channel.rho"],
            {"objective": lambda result: float(result.trace["bits"].sum())},
            TypeError,
            "objective: it is differentiated, so write it with jax.numpy",
        ),
        (["channel.rho"], {"objective": abs}, TypeError, "objective: .* but raised TypeError: bad operand"),
        (["channel.rho"], {"objective": lambda: 0.0}, TypeError, "objective: .* but raised TypeError"),
        (["channel.rho"], {"objective": lambda result: result.cost}, TypeError, "objective: .* AttributeError: .*cost"),
        (["channel.rho"], {"objective": lambda of: of.trace["loss"]}, TypeError, "objective: .* KeyError: 'loss'"),
        (["channel.rho"], {"patience": 0}, ValueError, "patience: expected 1 or more"),
        ({"channel.rho": 5}, {}, ValueError, r"parameters: channel.rho: expected \(low, high\), two numbers"),
        ({"channel.rho": (-1.0, 2.0)}, {}, ValueError, "channel.rho: must be above 0"),
        ({"allocation.momentum": (0.0, 3.0)}, {}, ValueError, "momentum: must be below 1"),
        ({"weights": (0.1, 0.2)}, {}, ValueError, "'weights' take no interval"),
        (["weights", "network.weights"], {}, ValueError, "are the same; name it once"),
        (["training.step", "method.training.step"], {}, ValueError, "are the same; name it once"),
        (["channel.rho"], {"objective": lambda result: result.trace["bits"]}, ValueError, "expected one number"),
        (["channel.rho"], {"iterations": 0}, ValueError, "iterations"),
    ],
)
def test_bad_input_is_refused(rng, names, options, error, words):
    problem = jc.Problem(shares(rng, 1), training(rng))
    with pytest.raises(error, match=words):
        jc.tune(problem, NETWORK, METHOD, names, steps=2, **options)
