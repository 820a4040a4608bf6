"""Settings that change as a run goes on: the run is that of the settings one after the other."""

from dataclasses import replace

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

NODES, RUNS = 5, 3
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
Schedule = jc.methods.Schedule


def problem_of(rng):
    allocation = jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(size=NODES)), 4.0)
    return jc.Problem(
        allocation, jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 8, 2)), rng.normal(size=(NODES, 8)))
    )


def method_of(step, rate):
    return jc.CoOptimizer(jc.methods.LaplacianFlow(step), jc.methods.GradientTracking(rate))


def test_a_flow_against_one_run_after_another(rng):
    """Without momentum or messages kept, a flow remembers nothing but where it is."""
    problem, values = replace(problem_of(rng), training=None), rng.uniform(0.05, 0.3, (3, RUNS))
    flow = jc.CoOptimizer(jc.methods.LaplacianFlow(Schedule(values, until=[4, 9])))
    x = rng.normal(size=(NODES, RUNS)) / 10
    x += (4 - x.sum(axis=0)) / NODES
    whole = jc.solve(problem, NETWORK, flow, 15, runs=RUNS, initial=jc.Initial(allocation=x), record_every=15)
    for value, steps in zip(values, (4, 5, 6), strict=True):
        x = jc.solve(
            problem,
            NETWORK,
            jc.CoOptimizer(jc.methods.LaplacianFlow(value)),
            steps,
            runs=RUNS,
            initial=jc.Initial(allocation=x),
        ).allocation
    np.testing.assert_allclose(whole.allocation, x, rtol=0, atol=1e-14)


def test_phases_of_one_value_are_that_value(rng):
    problem = problem_of(rng)
    plain = jc.solve(problem, NETWORK, method_of(0.1, 0.02), 20)
    phased = jc.solve(problem, NETWORK, method_of(Schedule([0.1, 0.1], [7]), Schedule([0.02], [])), 20)
    for a, b in zip(jax.tree.leaves(plain.trace), jax.tree.leaves(phased.trace), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_slopes_of_phases(rng):
    problem = problem_of(rng)
    optimum = jc.reference(problem)

    @jax.jit
    def value(step):
        result = jc.solve(problem, NETWORK, method_of(Schedule(step, [5, 12]), 0.02), 20, optimum=optimum)
        return result.trace["allocation_gap"][-1, 0]

    step, h = np.array([0.1, 0.2, 0.15]), 1e-5
    wanted = [(value(step + h * way) - value(step - h * way)) / (2 * h) for way in np.eye(3)]
    np.testing.assert_allclose(jax.grad(value)(step), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (Schedule([0.1, 0.2], []), ValueError, r"method.allocation.step.values: expected 1, one more .* got 2 of them"),
        (Schedule(0.1, []), ValueError, r"expected 1, one more than until has, got 0.1"),
        (
            Schedule([0.1, 0.2, 0.3], [5, 5]),
            ValueError,
            r"until: expected increasing whole numbers above 0 and below 2.31, got \[5, 5\]",
        ),
        (Schedule([0.1, 0.2], [2.5]), ValueError, r"until: expected increasing whole numbers"),
        (Schedule([0.1, -0.2], [5]), ValueError, r"method.allocation.step: must be above 0, got -0.2"),
        (Schedule([0.1, np.nan], [5]), ValueError, r"step.values: 1 of 2 entries are not finite"),
        (Schedule(np.ones((2, 4)), [5]), ValueError, r"method.allocation.step"),
    ],
)
def test_phases_that_mean_nothing_are_refused(rng, step, error, words):
    with pytest.raises(error, match=words):
        jc.solve(problem_of(rng), NETWORK, method_of(step, 0.1), 5, runs=RUNS)


def test_a_channel_has_no_phases(rng):
    method = replace(method_of(0.1, 0.1), channel=jc.channels.LogQuantizer(Schedule([0.1, 0.5], [5])))
    with pytest.raises(ValueError, match=r"method.channel.rho: settings of a channel are the same all the way"):
        jc.solve(problem_of(rng), NETWORK, method, 5)


def test_the_names_of_before_still_work():
    with pytest.warns(DeprecationWarning, match="methods.Phases is called Schedule now"):
        assert jc.methods.Phases is Schedule
    with pytest.warns(DeprecationWarning, match="failures.Schedule is called Outages now"):
        assert jc.failures.Schedule is jc.failures.Outages
    with pytest.raises(AttributeError, match="no attribute 'Phase'"):
        jc.methods.Phase  # noqa: B018
