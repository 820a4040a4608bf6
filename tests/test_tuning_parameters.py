"""What is tuned: which values are admitted, what the slopes are worth, and what is refused."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pytest
from tuning_cases import FLOW, MAY_BE_TOLD, METHOD, NETWORK, NODES, STEPS, shares, training

import jaxcoopt as jc
from jaxcoopt.run.names import Trio
from jaxcoopt.theory.auto import with_steps
from jaxcoopt.tuning.admissible import MOST_MIXED, Interval, free_weights, weights_of
from jaxcoopt.tuning.parameters import parameters_of
from jaxcoopt.tuning.trust import AT, Compared

pytestmark = MAY_BE_TOLD


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
        trace = jc.solve(*trio[:3], STEPS, runs=NODES, optimum=optimum).trace
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


def test_settings_without_a_useful_derivative_are_told(rng):
    """The level of a rounding, and a number of levels whose derivative is 0 though it matters; not a smooth step."""
    problem = jc.Problem(replace(shares(rng), cost=jc.costs.Quadratic(1.0, rng.normal(size=(NODES, NODES)))))
    rounded = jc.CoOptimizer(jc.methods.UniformFlow(0.1, level=0.05), channel=jc.channels.Ideal())
    with pytest.warns(RuntimeWarning, match="level has no useful derivative at the start: within a fifth"):
        jc.tune(problem, NETWORK, rounded, ["allocation.nonlinearity.level"], steps=STEPS, iterations=1)
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


def test_what_has_no_effect_is_told(rng):
    """A phase that is never reached, and link weights of a method that does not use them."""
    problem = jc.Problem(shares(rng))
    late = replace(FLOW, allocation=jc.methods.LaplacianFlow(jc.methods.Schedule([0.05, 0.1], until=[50])))
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
