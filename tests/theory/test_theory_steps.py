"""Step bounds by hand, `step="auto"` in runs, and the warning of steps that no run survives."""

import itertools
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.amounts import Table
from jaxcoopt.experiments.method_tables import Channel, Method
from jaxcoopt.methods.registry import BY_NAME, ENTRIES
from jaxcoopt.theory.auto import warn_of_steps, with_steps
from jaxcoopt.theory.curvature import hessians_at

M = jc.methods


def data(rng, kind="linear", nodes=5, **loss):
    features = rng.normal(size=(nodes, 6, 2))
    mask = rng.random((nodes, 6)) < 0.7
    mask[:, 0] = True
    if kind == "linear":
        return jc.Training(jc.losses.Linear(l2=0.2, **loss), features, rng.normal(size=(nodes, 6)), mask)
    if kind == "softmax":
        return jc.Training(jc.losses.Softmax(3, l2=0.2), features, rng.integers(0, 3, (nodes, 6)), mask)
    make = {"logistic": jc.losses.Logistic, "hinge": jc.losses.SmoothHinge}[kind]
    return jc.Training(make(l2=0.2, **loss), features, rng.choice([-1, 1], (nodes, 6)), mask)


def shares(rng, nodes=5, **bounds):
    cost = jc.costs.Quadratic(rng.uniform(0.5, 3, nodes), rng.uniform(0, 2, nodes))
    return jc.Problem(jc.Allocation(cost, float(nodes), **bounds))


def ring(nodes=5, **more):
    return jc.Network.from_graphs(nx.cycle_graph(nodes), **more)


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("kind", ["linear", "logistic", "hinge", "softmax"])
def test_smoothness_bounds_every_hessian(rng, kind):
    """No node's Hessian, by differentiation, has an eigenvalue above L, which least squares reaches."""
    training = data(rng, kind)
    training = replace(training, weights=rng.uniform(0.5, 2, 5))
    smooth = jc.theory.smoothness(training)
    largest = 0.0
    for _ in range(3):
        params = training.loss.init(jax.random.key(int(rng.integers(1000))), 2)
        params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
        blocks = hessians_at(training, params)
        np.testing.assert_allclose(blocks, np.swapaxes(blocks, 1, 2), atol=1e-12)
        largest = max(largest, np.linalg.eigvalsh(blocks).max())
    assert largest <= smooth * (1 + 1e-12)
    assert largest > (0.05 if kind != "hinge" else 0) * smooth  # a hinge bends in a narrow band only
    if kind == "linear":
        np.testing.assert_allclose(largest, smooth, rtol=0.2)  # l2 on the bias aside
    assert jc.theory.smoothness(training, samples=True) >= smooth


def test_bounds_by_hand(rng):
    """With every graph of a switching network by itself, kappa and the worst eigenvalue."""
    training, channel = data(rng, "logistic"), jc.channels.LogQuantizer(rho=0.2, placement="message")
    problem = jc.Problem(training=training)
    network = jc.Network.from_graphs([nx.path_graph(5), nx.cycle_graph(5)], weights=0.3)
    top = np.exp(0.1) * jc.theory.connectivity(network).lambda_max.max()
    smooth = jc.theory.smoothness(training)
    expected = {
        M.DGD(1.0): 2 - top,
        M.EXTRA(1.0): 2 - 0.75 * top,
        M.NIDS(1.0): 2.0,
        M.ExactDiffusion(1.0): 2.0,
        M.GradientTracking(1.0): (2 - top) ** 2 / 2,
        M.ATCTracking(1.0): min(2, ((2 - top) / (top - 1)) ** 2 / 2),
        M.HeavyBallTracking(1.0, 0.25): 0.75 * (2 - top) ** 2 / 2,
        M.CHOCO(1.0): 0.25,
    }
    for method, value in expected.items():
        bound = jc.theory.step_bound(method, problem, network, channel)
        np.testing.assert_allclose(bound.value * smooth, value, rtol=1e-9)
        assert not bound.sharp
        assert bound.source
        assert bound.why
    lead = jc.theory.step_bound(M.LEAD(1.0), problem, network, jc.channels.Natural())
    np.testing.assert_allclose(lead.value * smooth, 1.0)
    algebraic = jc.theory.connectivity(network).average_lambda_2
    paper = jc.theory.paper_bound(problem, network, channel)
    np.testing.assert_allclose(paper.value, algebraic / (smooth * np.exp(0.1)), rtol=1e-12)


def test_flow_bounds_by_hand(rng):
    problem = shares(rng, lower=0.5, upper=1.5)
    network, most = ring(), float(np.max(problem.allocation.cost.curvature))
    top = jc.theory.connectivity(network).average_lambda_max
    bounds, channel = (
        jc.bounds.Penalty(weight=2.0, sharpness=10.0),
        jc.channels.LogQuantizer(rho=0.2, placement="message"),
    )
    soft = jc.theory.step_bound(M.LaplacianFlow(1.0, 0.5, bounds), problem, network, channel)
    np.testing.assert_allclose(soft.value, 3 / (np.exp(0.1) * top * (most + 5)), rtol=1e-9)
    square = jc.theory.step_bound(M.LaplacianFlow(1.0, bounds=replace(bounds, form="square")), problem, network)
    np.testing.assert_allclose(square.value, 2 / (top * (most + 4)), rtol=1e-9)
    exact = jc.theory.step_bound(M.LaplacianFlow(1.0, bounds=jc.bounds.Multiplier(gain=0.5)), problem, network)
    np.testing.assert_allclose(exact.value, 2 / (1.25 * top * most), rtol=1e-9)


def test_latency_is_steepest_at_its_lower_bound():
    allocation = jc.Allocation(jc.costs.Latency(np.full(4, 2.0)), 4.0, lower=0.5, upper=3.0)
    method, network = M.LaplacianFlow(1.0, bounds=jc.bounds.Multiplier(gain=0.5)), ring(4)
    top = jc.theory.connectivity(network).average_lambda_max
    bound = jc.theory.step_bound(method, jc.Problem(allocation), network)
    np.testing.assert_allclose(bound.value, 2 / (1.25 * top * 4 / 0.5**3), rtol=1e-9)
    assert jc.theory.step_bound(method, jc.Problem(replace(allocation, lower=None)), network) is None


def test_bounds_per_run(rng):
    problem = jc.Problem(training=data(rng, "hinge", sharpness=np.array([2.0, 8.0])))
    both = jc.theory.step_bound(
        M.EXTRA(1.0), problem, ring(), jc.channels.LogQuantizer(np.array([0.1, 0.3]), placement="message")
    )
    for run, (sharpness, rho) in enumerate([(2.0, 0.1), (8.0, 0.3)]):
        loss = replace(problem.training.loss, sharpness=sharpness)
        one = jc.Problem(training=replace(problem.training, loss=loss))
        alone = jc.theory.step_bound(M.EXTRA(1.0), one, ring(), jc.channels.LogQuantizer(rho, placement="message"))
        np.testing.assert_allclose(both.value[run], alone.value, rtol=1e-12)


def test_innovations_count_as_ideal_links(rng):
    problem, method = jc.Problem(training=data(rng, "logistic")), M.GradientTracking(1.0)
    ideal = jc.theory.step_bound(method, problem, ring())
    sent = jc.theory.step_bound(method, problem, ring(), jc.channels.LogQuantizer(rho=1.0, placement="innovation"))
    np.testing.assert_allclose(sent.value, ideal.value, rtol=1e-12)


def test_no_bound(rng, untyped):
    training, network = jc.Problem(training=data(rng)), ring()
    mlp = jc.Problem(training=replace(training.training, loss=jc.losses.MLP((3,))))
    assert jc.theory.step_bound(M.GradientTracking(0.1), mlp, network) is None
    assert jc.theory.paper_bound(mlp, network) is None
    assert jc.theory.step_bound(M.GradientTracking(0.1), training, network, jc.channels.Sign()) is None
    assert jc.theory.step_bound(M.GradientTracking(0.1), training, ring(weights=2.0)) is None
    assert jc.theory.step_bound(M.DecentralizedADMM(0.1, 1.0), training, network) is None
    assert jc.theory.step_bound(M.FiniteTimeFlow(0.1), shares(rng), network) is None
    steep = M.LaplacianFlow(0.1, 0.7, jc.bounds.Multiplier(gain=0.5))
    assert jc.theory.step_bound(steep, shares(rng, lower=0.1), network) is None
    with pytest.raises(TypeError, match="method: expected one half's method"):
        jc.theory.step_bound(jc.CoOptimizer(), training, network)
    with pytest.raises(TypeError, match=r"problem: expected a jaxcoopt\.Problem"):
        jc.theory.step_bound(M.DGD(0.1), training.training, network)
    with pytest.raises(ValueError, match=r"problem\.training: missing"):
        jc.theory.step_bound(M.DGD(0.1), shares(rng), network)
    with pytest.raises(ValueError, match=r"problem\.training: missing"):
        jc.theory.paper_bound(shares(rng), network)


# ---------------------------------------------------------------- "auto"


def has_bound(entry):
    """Whether the method has one on a problem where nothing stands in the way."""
    rng = np.random.default_rng(0)
    problem = jc.Problem(shares(rng, lower=0.7).allocation, data(rng))
    return "step" in entry.settings and jc.theory.step_bound(entry.build(), problem, ring()) is not None


AUTO = [entry for entry in ENTRIES if has_bound(entry)]


SAME = ("exact_diffusion",)  # as nids, but for a first step
QUANTIZED = ("laplacian_flow", "gradient_tracking", "extra", "lead", "choco")


def pairs(*entries):
    """A row of each half together: one program for both. LEAD takes other quantizers, and so goes alone."""
    alone = [(None, entry) for entry in entries if entry.name == "lead"]
    halves = (
        [row for row in entries if row.half == half and row.name != "lead"] for half in ("allocation", "training")
    )
    return [*itertools.zip_longest(*halves), *alone]


CASES = [(pair, "ideal") for pair in pairs(*(entry for entry in AUTO if entry.name not in SAME))]
CASES += [(pair, "quantized") for pair in pairs(*(entry for entry in AUTO if entry.name in QUANTIZED))]


@pytest.mark.parametrize(
    ("pair", "links"),
    CASES,
    ids=lambda value: value if isinstance(value, str) else "+".join(e.name for e in value if e),
)
def test_auto_converges(rng, pair, links):
    """To where the method goes at all: within its own floor where it has one."""
    rows = {entry.half: entry for entry in pair if entry is not None}
    problem = jc.Problem(
        shares(rng, lower=0.7, upper=1.4).allocation if "allocation" in rows else None,
        data(rng, str(rng.choice(["linear", "logistic"]))) if "training" in rows else None,
    )
    channel = jc.channels.Ideal() if links == "ideal" else jc.channels.LogQuantizer(rho=0.3)
    if rows.get("training") == BY_NAME["lead"] and links == "quantized":
        channel = jc.channels.Natural()
    method = jc.CoOptimizer(**{half: entry.build(step="auto") for half, entry in rows.items()}, channel=channel)
    network = ring(failure_rate=0.1)
    result = jc.solve(problem, network, method, 4000, record_every=400)
    for half, entry in rows.items():
        step = getattr(result.method, half).step
        bound = jc.theory.step_bound(entry.build(), problem, network, channel)
        assert step >= bound.value / 2 * (1 - 1e-12)
        gap = np.asarray(result.trace[f"{half}_gap"])[:, 0]
        if entry.exact:
            assert gap[-1] < 1e-6 * max(gap[0], 1e-3), entry.name
        else:
            assert np.abs(gap[-1]) < 0.2 * gap[0] + 0.05, entry.name
            assert np.abs(gap[-1] - gap[-3]) < 0.05 * gap[0] + 0.05, entry.name


def test_auto_is_a_number_for_every_run(rng):
    problem, channel = (
        jc.Problem(training=data(rng)),
        jc.channels.LogQuantizer(rho=np.array([0.1, 0.5]), placement="difference"),
    )
    method = jc.CoOptimizer(training=M.GradientTracking("auto"), channel=channel)
    chosen = with_steps(method, problem, ring()).training.step
    alone = [replace(method, channel=replace(channel, rho=rho)) for rho in channel.rho]
    np.testing.assert_allclose(chosen, [with_steps(each, problem, ring()).training.step for each in alone], rtol=1e-12)


def test_auto_inside_jit(rng):
    problem, network = jc.Problem(training=data(rng)), ring()
    method = jc.CoOptimizer(training=M.GradientTracking("auto"))
    inside = jax.jit(lambda: jc.solve(problem, network, method, 50).trace["training_loss"])()
    np.testing.assert_allclose(inside, jc.solve(problem, network, method, 50).trace["training_loss"], rtol=1e-9)
    traced = jax.jit(lambda features: _loss(problem, network, method, features))
    with pytest.raises(ValueError, match=r"method\.training\.step: 'auto' found no step, as it follows from numbers"):
        traced(problem.training.features)


def test_auto_by_trial_inside_jit(rng):
    problem, network = shares(rng, lower=0.5, upper=1.5), ring()
    method = jc.CoOptimizer(M.LaplacianFlow("auto"))
    inside = jax.jit(lambda: jc.solve(problem, network, method, 50).trace["allocation_cost"])()
    outside = jc.solve(problem, network, method, 50).trace["allocation_cost"]
    np.testing.assert_allclose(inside, outside, rtol=1e-9)


def test_auto_from_given_starts(rng):
    """A step that all of them stand, in whatever layout they come."""
    problem, network = shares(rng, lower=0.5, upper=1.5), ring()
    method = jc.CoOptimizer(M.LaplacianFlow("auto"))
    x = np.stack([rng.permutation([0.5, 0.75, 1.0, 1.25, 1.5]) for _ in range(3)], axis=1)
    each = [with_steps(method, problem, network, jc.Initial(x[:, run])).allocation.step for run in range(3)]
    together = jc.solve(problem, network, method, 5, runs=3, initial=jc.Initial(x)).method.allocation.step
    np.testing.assert_allclose(together, min(each), rtol=1e-6)


def _loss(problem, network, method, features):
    changed = jc.Problem(training=replace(problem.training, features=features))
    return jc.solve(changed, network, method, 5).trace["training_loss"]


def test_no_auto(rng):
    problem, network = shares(rng), ring()
    with pytest.raises(ValueError, match=r"method\.allocation\.step: 'auto' found no step, .*PrimalDual; give a numb"):
        jc.solve(problem, network, jc.CoOptimizer(M.PrimalDual("auto")), 5)
    with pytest.raises(TypeError, match=r"step: expected a real number"):
        jc.solve(problem, network, jc.CoOptimizer(M.LaplacianFlow("fast")), 5)
    with pytest.raises(ValueError, match=r"problem\.training: missing"):
        jc.solve(problem, network, jc.CoOptimizer(M.LaplacianFlow("auto"), M.DGD("auto")), 5)


def test_auto_in_toml():
    method = Method.model_validate({"training": {"kind": "dgd", "step": "auto"}})
    assert method.training.step == "auto"
    assert Method.model_validate({"allocation": {"kind": "laplacian_flow", "step": 0.5}}).allocation.step == 0.5
    with pytest.raises(ValueError, match="step"):
        Method.model_validate({"training": {"kind": "dgd", "step": "fast"}})

    class Link(Table):
        channel: Channel

    with pytest.raises(ValueError, match="step"):  # a distance of levels, not a step
        Link.model_validate({"channel": {"kind": "uniform", "step": "auto"}})


# ---------------------------------------------------------------- warnings


def messages(problem, network, method):
    """What `solve` warns of before it runs; test_runs_obey_the_bound has it from `solve` itself."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_steps(method, problem, network)
    return [str(w.message) for w in caught if w.category is RuntimeWarning]


@pytest.mark.parametrize("failures", [0.0, 0.3])
def test_warnings_of_training(rng, failures):
    problem, network = jc.Problem(training=data(rng)), ring(failure_rate=failures)
    sharp = jc.theory.step_bound(M.EXTRA(1.0), problem, ring()).value
    assert messages(problem, network, jc.CoOptimizer(training=M.EXTRA(0.95 * sharp))) == []
    [words] = messages(problem, network, jc.CoOptimizer(training=M.EXTRA(1.5 * sharp)))
    assert words.startswith("method.training.step: ")
    assert f"{1.5 * sharp:.3g} is beyond" in words
    assert "step='auto'" in words
    [_] = messages(problem, network, jc.CoOptimizer(training=M.EXTRA(sharp * np.array([0.5, 1.5]))))


def test_warnings_of_flows(rng):
    problem, network = shares(rng), ring()
    sharp = jc.theory.step_bound(M.LaplacianFlow(1.0), problem, network).value
    assert messages(problem, network, jc.CoOptimizer(M.LaplacianFlow(0.95 * sharp))) == []
    [words] = messages(problem, network, jc.CoOptimizer(M.LaplacianFlow(1.05 * sharp)))
    assert words.startswith("method.allocation.step: ")


def test_no_noise_where_nothing_is_sure(rng):
    """Longer than the bound that is proved, and yet no warning: such runs may converge."""
    for training in (data(rng, "logistic"), replace(data(rng), loss=jc.losses.Linear(l2=np.array([0.1, 0.2])))):
        problem = jc.Problem(training=training)
        method = M.GradientTracking(1.2 * np.min(jc.theory.step_bound(M.GradientTracking(1.0), problem, ring()).value))
        assert messages(problem, ring(), jc.CoOptimizer(training=method)) == []
    two = jc.Network.from_graphs([nx.cycle_graph(5), nx.path_graph(5)])
    problem = jc.Problem(training=data(rng))
    step = 1.05 * jc.theory.step_bound(M.DGD(1.0), problem, two).value
    assert messages(problem, two, jc.CoOptimizer(training=M.DGD(step))) == []
    stiff = shares(rng, lower=0.0, upper=5.0)
    step = 2 * jc.theory.step_bound(M.LaplacianFlow(1.0), stiff, ring()).value
    assert messages(stiff, ring(), jc.CoOptimizer(M.LaplacianFlow(step))) == []
    assert messages(shares(rng), ring(), jc.CoOptimizer(M.FiniteTimeFlow(0.01))) == []
