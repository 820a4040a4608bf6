"""The choices of the loop for a GPU, on a CPU: the same numbers as those of the loop for a CPU."""

import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt import platform
from jaxcoopt.arrays import stored
from jaxcoopt.compensated import compensated_sum
from jaxcoopt.compiler import options_for
from jaxcoopt.network.tables import fold

ROOT = Path(__file__).parents[1]
# Agreement with plain NumPy loops, and the exact budget.
THE_SAME_TESTS = ("method_agreement", "budget_growth")


@pytest.fixture
def gpu(monkeypatch):
    """Its loop is traced anew, and what was traced is forgotten."""
    jax.clear_caches()
    monkeypatch.setenv(platform.FORCED, "gpu")
    yield
    jax.clear_caches()


@pytest.mark.fast
def test_the_loop_is_chosen_by_the_platform_or_by_name(monkeypatch):
    monkeypatch.delenv(platform.FORCED, raising=False)
    assert platform.choices() is platform.CPU  # the tests have no other device
    monkeypatch.setenv(platform.FORCED, "gpu")
    assert platform.choices() is platform.GPU
    assert "WHILE" in options_for(64)["xla_gpu_enable_command_buffer"].split(",")
    monkeypatch.setenv(platform.FORCED, "tpu")
    with pytest.raises(ValueError, match="JAXCOOPT_LOOP: expected cpu or gpu, got 'tpu'"):
        platform.choices()


@pytest.mark.fast
@pytest.mark.parametrize("slots", [1, 7, 8, 9, 100])
def test_neighbours_are_reduced_as_they_are_folded(gpu, rng, slots):
    columns = tuple(map(jnp.asarray, rng.normal(size=(2, slots, 5))))
    turns = []

    def settle(total):
        turns.append(total)
        return total

    found = fold(lambda total, a, b: total + a * b, jnp.ones(5), columns, settle=settle)
    np.testing.assert_allclose(found, 1 + (columns[0] * columns[1]).sum(axis=0), rtol=1e-13)
    assert bool(turns) == (slots > 8)


@pytest.mark.fast
def test_a_reduction_of_pairs_is_as_exact_as_a_tree(gpu, rng):
    values = (rng.normal(size=(1001, 3)) * 10.0 ** rng.uniform(-6, 6, (1001, 3))).astype(np.float32)
    exact = [math.fsum(column) for column in values.T.astype(float)]
    found = jax.jit(compensated_sum)(jnp.asarray(values))
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-7 * np.abs(exact).max())


@pytest.mark.fast
def test_a_reduction_of_pairs_has_the_slopes_of_a_sum(gpu, rng):
    """In both modes and twice: reverse mode was refused by JAX, so that no gap could be tuned on a GPU."""
    values = jnp.asarray(rng.normal(size=(9, 3)))
    squares = lambda v: (compensated_sum(v) ** 2).sum()  # noqa: E731
    expected = 2 * np.broadcast_to(values.sum(axis=0), (9, 3))
    np.testing.assert_allclose(jax.jit(jax.grad(squares))(values), expected, rtol=1e-12)
    along = jax.jvp(jax.grad(squares), (values,), (values,))[1]
    np.testing.assert_allclose(along, expected, rtol=1e-12)


def test_gradients_are_the_same(monkeypatch):
    """Of the gaps of both halves after some iterations, on either loop."""
    rng, nodes, found = np.random.default_rng(4), 6, []
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(0, 3, nodes))
    training = jc.Training(jc.losses.Linear(0.1), rng.normal(size=(nodes, 4, 2)), rng.normal(size=(nodes, 4)))
    problem = jc.Problem(jc.Allocation(cost, 6.0, 0.0, 3.0), training)
    network, optimum = jc.Network.from_graphs(nx.star_graph(nodes - 1)), jc.reference(problem)

    def gaps(steps):
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(steps[0]), jc.methods.GradientTracking(steps[1]))
        trace = jc.solve(problem, network, method, 5, record_every=5, optimum=optimum).trace
        return trace["allocation_gap"][-1, 0] + trace["training_gap"][-1, 0]

    for loop in ("cpu", "gpu"):
        monkeypatch.setenv(platform.FORCED, loop)
        jax.clear_caches()
        found.append(jax.jit(jax.grad(gaps))(jnp.array([0.05, 0.02])))
    jax.clear_caches()
    assert np.abs(found[0]).min() > 1e-3
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


def test_the_program_has_no_branch_that_is_always_taken(gpu):
    made = jax.make_jaxpr(stored)(jnp.ones(3), jnp.asarray(True))
    assert [each.primitive.name for each in made.eqns] == ["optimization_barrier"]


def test_the_optimum_and_the_budget_are_the_same(gpu):
    """A hub, links that fail and quantized links: the optimum, with the exact budget."""
    rng, nodes = np.random.default_rng(3), 20
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(0, 3, nodes))
    problem = jc.Problem(jc.Allocation(cost, 20.0, 0.0, 3.0))
    network = jc.Network.from_graphs(nx.wheel_graph(nodes), failure_rate=0.2)
    result = jc.solve(
        problem, network, jc.CoOptimizer(jc.methods.DualFlow(), channel=jc.channels.LogQuantizer(0.3)), 600
    )
    assert np.abs(result.trace["allocation_gap"][-1]).max() < 1e-9
    assert result.trace["budget_residual"].max() < 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("name", THE_SAME_TESTS)
def test_the_same_tests_pass(name):
    """Every test of the file, in a process of its own."""
    given = os.environ | {platform.FORCED: "gpu", "JAX_COMPILATION_CACHE_DIR": "", "JAXCOOPT_TEST_OPTIMISED": ""}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/test_{name}.py"]
    found = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-3000:]
