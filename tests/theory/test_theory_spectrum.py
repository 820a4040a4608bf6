"""Spectra, the steps they allow, and the rates of runs against them."""

from dataclasses import replace
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

M = jc.methods
METHODS = {
    "tracking": M.GradientTracking(1.0),
    "atc": M.ATCTracking(1.0),
    "extra": M.EXTRA(1.0),
    "nids": M.NIDS(1.0),
    "exact": M.ExactDiffusion(1.0),
    "dgd": M.DGD(1.0),
}


def connected(rng, nodes):
    while True:
        graph = nx.gnp_random_graph(nodes, 0.5, seed=int(rng.integers(2**31)))
        if nx.is_connected(graph):
            return graph


def quadratic(rng, nodes, size, spread=1.0):
    """A least-squares problem with no bias: `size` parameters."""
    features = rng.normal(size=(nodes, 5, size)) * 2.0 ** rng.uniform(-spread, spread, (nodes, 1, 1))
    weights = rng.uniform(0.5, 1.5, nodes)
    loss = jc.losses.Linear(l2=0.2, intercept=False)
    return jc.Problem(training=jc.Training(loss, features, rng.normal(size=(nodes, 5)), weights=weights))


def shares(rng, nodes, **more):
    cost = jc.costs.Quadratic(rng.uniform(0.5, 3, nodes), rng.uniform(0, 2, nodes))
    return jc.Problem(jc.Allocation(cost, float(nodes), **more))


def apart(rng, method, make, still):
    """A random problem and network, and the method with 0.3 of its bound, such that the slowest mode is alone in the
    end: the next one falls at least 1.3 times as many decades.
    """
    while True:
        problem, network = make(rng), jc.Network.from_graphs(connected(rng, 5))
        chosen = replace(method, step=0.3 * jc.theory.step_bound(method, problem, network).value)
        values = jc.theory.eigenvalues(chosen, problem, network)
        size = np.sort(np.abs(values[np.argsort(np.abs(values - 1))][still:]))[::-1]
        others = size[size < size[0] * (1 - 1e-6)]
        if (
            size[0] < 0.99
            and len(size) - len(others) <= 2
            and (not len(others) or np.log(others[0]) < 1.3 * np.log(size[0]))
        ):
            return problem, network, chosen, jc.theory.spectral_rate(chosen, problem, network)


def test_eigenvalues_of_gradient_tracking(rng):
    """m of them at 1, all others inside the circle, for admissible steps: 100 random problems; also with a link gain
    within the sector.
    """
    for _ in range(100):
        nodes, size = int(rng.integers(4, 7)), int(rng.integers(1, 4))
        problem, graph, method = quadratic(rng, nodes, size), connected(rng, nodes), M.GradientTracking(1.0)
        plain, weak = jc.Network.from_graphs(graph), jc.Network.from_graphs(graph, weights=0.8 / nodes)
        gain = np.exp(rng.uniform(-0.15, 0.15))
        for network, channel, scale in (
            (plain, None, 1.0),
            (weak, jc.channels.LogQuantizer(rho=0.3, placement="message"), gain),
        ):
            bound = jc.theory.step_bound(method, problem, network, channel)
            assert bound.sharp == (channel is None)
            chosen = replace(method, step=bound.value * rng.uniform(0.2, 0.95))
            values = jc.theory.eigenvalues(chosen, problem, network, gain=scale)
            assert len(values) == 2 * nodes * size
            still = np.abs(values - 1) < 1e-9
            assert still.sum() == size
            assert np.abs(values[~still]).max() < 1


@pytest.mark.parametrize("name", METHODS)
def test_bounds_are_sharp(rng, name):
    """The spectrum leaves the unit circle at the bound: 1 % below, and 1 % above."""
    for _ in range(20):
        nodes, size = int(rng.integers(4, 7)), int(rng.integers(1, 4))
        problem, network = quadratic(rng, nodes, size), jc.Network.from_graphs(connected(rng, nodes))
        bound = jc.theory.step_bound(METHODS[name], problem, network)
        assert bound.sharp
        below, above = (
            jc.theory.spectral_rate(replace(METHODS[name], step=bound.value * part), problem, network)
            for part in (0.99, 1.01)
        )
        assert below < 1 < above


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_bound_of_flows_is_sharp(rng, momentum):
    for _ in range(20):
        problem, network = shares(rng, 6), jc.Network.from_graphs(connected(rng, 6))
        method = M.LaplacianFlow(1.0, momentum)
        bound = jc.theory.step_bound(method, problem, network)
        assert bound.sharp
        below, above = (
            jc.theory.spectral_rate(replace(method, step=bound.value * part), problem, network) for part in (0.99, 1.01)
        )
        assert below < 1 < above


@pytest.mark.parametrize("momentum", [0.3, 0.6, 0.9, 0.95])
def test_the_bound_of_heavy_ball_tracking_holds(rng, momentum):
    for _ in range(20):
        problem, network = quadratic(rng, 5, 2, spread=3), jc.Network.from_graphs(connected(rng, 5))
        method = M.HeavyBallTracking(1.0, momentum)
        bound = jc.theory.step_bound(method, problem, network)
        assert not bound.sharp
        assert jc.theory.spectral_rate(replace(method, step=0.99 * bound.value), problem, network) < 1


@pytest.mark.parametrize("name", ["tracking", "extra", "dgd"])
def test_runs_obey_the_bound(rng, name):
    """Just below it a run converges, just above it diverges, and says so beforehand."""
    problem, network = quadratic(rng, 5, 2), jc.Network.from_graphs(connected(rng, 5))
    bound = jc.theory.step_bound(METHODS[name], problem, network).value
    below = jc.CoOptimizer(training=replace(METHODS[name], step=0.97 * bound))
    result = jc.solve(problem, network, below, 4000)
    assert result.status[0] != jc.Status.DIVERGED
    assert name == "dgd" or result.trace["training_gap"][-1, 0] < 1e-9
    beyond = jc.CoOptimizer(training=replace(METHODS[name], step=1.1 * bound))
    with pytest.warns(RuntimeWarning) as warned:
        result = jc.solve(problem, network, beyond, 20000)
    assert result.status[0] == jc.Status.DIVERGED
    assert [str(w.message).split()[0] for w in warned] == ["method.training.step:", "all"]


# ---------------------------------------------------------------- rates of runs
# On problems drawn once: a start may hold so little of the slowest mode that rounding hides it.


@pytest.fixture
def drawn():
    return np.random.default_rng(7)


def within(fitted, rate):
    """5 % of the rate, as what a decade costs: of its logarithm."""
    np.testing.assert_allclose(np.log(fitted), np.log(rate), rtol=0.05)


@pytest.mark.parametrize("name", ["tracking", "extra", "nids", "exact"])
def test_rates_of_training(drawn, name):
    problem, network, method, rate = apart(drawn, METHODS[name], lambda drawn: quadratic(drawn, 5, 2), 2)
    steps = int(np.ceil(25 / -np.log(rate)))
    result = jc.solve(problem, network, jc.CoOptimizer(training=method), steps, record_every=max(1, steps // 300))
    within(jc.theory.rate_of_run(result, "consensus_error").rate, rate)
    gap = jc.theory.rate_of_run(result)
    assert np.log(gap.rate) < 0.95 * np.log(rate**2)  # the slowest mode need not be one of the mean's
    assert gap.decades > 3


def test_rate_of_dgd_to_its_own_fixed_point(drawn):
    problem, network, method, rate = apart(drawn, METHODS["dgd"], lambda drawn: quadratic(drawn, 5, 2), 0)
    steps = int(np.ceil(60 / -np.log(rate)))
    result = jc.solve(problem, network, jc.CoOptimizer(training=method), steps, record_every=max(1, steps // 400))
    error = np.asarray(result.trace["consensus_error"][:, 0])
    within(jc.theory.fit_rate(result.iterations, np.abs(error - error[-1])).rate, rate)


@pytest.mark.parametrize("momentum", [0.0, 0.2])
def test_rate_of_flows(drawn, momentum):
    problem, network, method, rate = apart(drawn, M.LaplacianFlow(1.0, momentum), lambda drawn: shares(drawn, 5), 1)
    steps = int(np.ceil(16 / -np.log(rate)))
    result = jc.solve(problem, network, jc.CoOptimizer(method), steps, record_every=max(1, steps // 300))
    within(jc.theory.rate_of_run(result, "allocation_gap").rate, rate**2)


def test_rate_over_a_cycle_of_graphs(drawn):
    """One period's product, although no graph of it is connected."""
    graphs = [nx.Graph([(0, 1), (2, 3)]), nx.Graph([(1, 2), (0, 3)])]
    problem, network = quadratic(drawn, 4, 2), jc.Network.from_graphs(graphs)
    method = M.GradientTracking(0.3 * jc.theory.step_bound(M.GradientTracking(1.0), problem, network).value)
    rate = jc.theory.spectral_rate(method, problem, network)
    steps = 2 * int(np.ceil(12 / -np.log(rate)))
    every = max(2, 2 * (steps // 600))
    result = jc.solve(problem, network, jc.CoOptimizer(training=method), steps, record_every=every)
    within(jc.theory.rate_of_run(result, "consensus_error").rate, rate)


def test_rate_at_the_optimum_of_a_curved_loss(drawn):
    labels = drawn.choice([-1, 1], (4, 8))
    training = jc.Training(jc.losses.Logistic(l2=0.1), drawn.normal(size=(4, 8, 2)), labels)
    problem, network = jc.Problem(training=training), jc.Network.from_graphs(nx.cycle_graph(4))
    method = M.GradientTracking(0.5 * jc.theory.step_bound(M.GradientTracking(1.0), problem, network).value)
    rate = jc.theory.spectral_rate(method, problem, network)
    result = jc.solve(problem, network, jc.CoOptimizer(training=method), int(20 / -np.log(rate)), record_every=1)
    within(jc.theory.rate_of_run(result, "consensus_error").rate, rate)


# ---------------------------------------------------------------- fits, and what has none


def test_fits_find_the_line():
    k = np.arange(400)
    values = 5 * 0.9**k * (1 + 0.3 * np.sin(k)) + 100 * 0.6**k + 1e-14
    values[::37] *= 30  # outliers
    fit = jc.theory.fit_rate(k, values)
    np.testing.assert_allclose(fit.rate, 0.9, rtol=2e-3)
    assert fit.first > 10
    assert fit.last < 350
    np.testing.assert_allclose(jc.theory.fit_rate(k[:60], 1.1 ** k[:60]).rate, 1.1, rtol=1e-9)


def test_no_fit():
    with pytest.raises(ValueError, match=r"only .* records lie between the transient and the floor"):
        jc.theory.fit_rate([0, 1, 2], [1.0, 0.1, 0.01])
    with pytest.raises(ValueError, match="values: expected"):
        jc.theory.fit_rate([0, 1, 2], [1.0, 0.1])
    result = SimpleNamespace(trace={"allocation_gap": np.ones((9, 1))}, iterations=np.arange(9))
    with pytest.raises(KeyError, match="'training_gap' is not in the trace"):
        jc.theory.rate_of_run(result)
    with pytest.raises(ValueError, match="run: expected below 1, got 4"):
        jc.theory.rate_of_run(result, "allocation_gap", run=4)


def test_no_spectrum(rng, untyped):
    problem, network = quadratic(rng, 4, 2), jc.Network.from_graphs(nx.cycle_graph(4))
    with pytest.raises(TypeError, match="iteration of CHOCO has no matrix"):
        jc.theory.spectral_rate(M.CHOCO(0.1), problem, network)
    with pytest.raises(TypeError, match="plain step over all samples"):
        jc.theory.spectral_rate(M.GradientTracking(0.1, batch_size=2), problem, network)
    with pytest.raises(ValueError, match=r"method\.step: expected a scalar"):
        jc.theory.spectral_rate(M.DGD(np.array([0.1, 0.2])), problem, network)
    with pytest.raises(ValueError, match=r"problem\.allocation: missing"):
        jc.theory.spectral_rate(M.LaplacianFlow(0.1), problem, network)
    with pytest.raises(TypeError, match="method: expected one half's method"):
        jc.theory.spectral_rate(jc.CoOptimizer(training=M.DGD(0.1)), problem, network)
    with pytest.raises(TypeError, match="SignedPowers has no linear iteration"):
        jc.theory.spectral_rate(M.FiniteTimeFlow(0.1), shares(rng, 4), network)


# ---------------------------------------------------------------- Lyapunov functions


@pytest.mark.parametrize(("form", "placement"), [("softplus", "difference"), ("square", "ideal")])
def test_costs_fall_along_the_flow(rng, form, placement):
    nodes = 6
    problem = shares(rng, nodes, lower=0.6, upper=1.3)
    network = jc.Network.from_graphs([connected(rng, nodes), nx.cycle_graph(nodes)], failure_rate=0.2)
    channel = None if placement == "ideal" else jc.channels.LogQuantizer(rho=0.5, placement="difference")
    method = M.LaplacianFlow(1.0, bounds=jc.bounds.Penalty(weight=3.0, sharpness=20.0, form=form))
    bound = jc.theory.step_bound(method, problem, network, channel).value
    method = replace(method, step=0.9 * bound)
    trace = jc.theory.lyapunov(method, problem, network, 1500, channel=channel)
    assert trace.shape == (1501,)
    assert np.all(np.diff(trace) <= 1e-13)
    assert trace.min() > -1e-12
    assert trace[-1] < 1e-6 * trace[0]


def test_distance_and_tracker_fall(drawn):
    problem, network, method, rate = apart(drawn, METHODS["tracking"], lambda drawn: quadratic(drawn, 5, 2), 2)
    steps = int(20 / -np.log(rate))
    trace = jc.theory.lyapunov(method, problem, network, steps)
    within(jc.theory.fit_rate(np.arange(steps + 1), trace).rate, rate**2)
    with pytest.raises(TypeError, match="not for EXTRA"):
        jc.theory.lyapunov(M.EXTRA(0.1), problem, network, 5)
    with pytest.raises(ValueError, match="steps: expected 1 or more"):
        jc.theory.lyapunov(method, problem, network, 0)


@pytest.mark.parametrize("wrong", [1.0, {}, {"weights": np.ones(2)}, [1.0, [2.0]], np.ones((4, 1))])
def test_a_start_that_is_no_parameter_is_refused(wrong):
    data = jc.Training(jc.losses.Linear(0.1), np.ones((4, 3, 2)) * np.arange(1, 4)[:, None], np.ones((4, 3)))
    network = jc.Network.from_graphs(nx.cycle_graph(4))
    with pytest.raises(TypeError, match="start: "):
        jc.theory.lyapunov(M.GradientTracking(0.01), jc.Problem(training=data), network, 2, start=wrong)
