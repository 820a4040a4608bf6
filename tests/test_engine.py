"""The fast paths against plain ones: exponent-bit quantizer, second moments, sums in pieces, records, memory."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.channel.log_levels import level_value, nearest_level
from jaxcoopt.platform import CPU
from jaxcoopt.problem import batch as batches
from jaxcoopt.problem.align import aligned
from jaxcoopt.run import loop, memory

NODES, SAMPLES, FEATURES, RUNS = 5, 12, 3, 4

# ---------------------------------------------------------------- the quantizer by exponent bits


@pytest.mark.fast
@pytest.mark.parametrize(
    ("dtype", "reach", "to_edge", "off"), [(np.float32, 80, 1e-6, 5e-7), (np.float64, 600, 1e-12, 5e-15)]
)
@pytest.mark.parametrize("rho", [1e-3, 0.02, 0.3, 0.5, 1.0, 3.7])
def test_bins_are_those_of_the_definition(rng, rho, dtype, reach, to_edge, off):
    """round(ln|u| / rho) in extended precision, over all of the type's range."""
    rho = dtype(rho)
    size = np.exp(rng.uniform(-reach, reach, 200_000)).astype(dtype)
    index = np.log(size.astype(np.longdouble)) / np.longdouble(rho)
    found = np.asarray(jax.jit(nearest_level)(size, rho)).astype(np.longdouble)
    distance = np.abs(np.abs(index - np.round(index)) - 0.5) * rho  # of ln|u| to the next edge
    assert distance[found != np.round(index)].max(initial=0) < to_edge
    assert np.abs(found - index).max() < 0.5 + to_edge / rho
    value = np.asarray(jax.jit(level_value)(found.astype(dtype), rho)).astype(np.longdouble)
    assert np.abs(value / np.exp(np.longdouble(rho) * found) - 1).max() < off


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_float_holds_is_quantized_to_what_it_holds(dtype):
    range_of = np.finfo(dtype)
    u = np.array([0.0, -0.0, range_of.tiny / 4, range_of.tiny * 8, 1.0, -1.0, range_of.max, -range_of.max], dtype)
    q = np.asarray(jc.channels.LogQuantizer(np.array(0.5, dtype)).quantize(jnp.asarray(u)[None, :]))[0]
    assert np.isfinite(q).all()
    assert q[:3].tolist() == [0, 0, 0]
    assert q[4] == -q[5] == 1
    off = np.abs(np.log(np.abs(q[3:] / u[3:])))
    assert np.all(off[:3] < 0.2501)
    assert np.all(off[3:] < 0.35)  # the largest number's own level may not fit: half a power of two below it
    lost = np.asarray(jc.channels.LogQuantizer(np.array(0.5, dtype)).quantize(jnp.array([[np.nan, np.inf]], dtype)))
    assert np.isnan(lost).all()


# ---------------------------------------------------------------- gradients


def training_half(rng, loss, masked):
    features, targets = rng.normal(size=(NODES, SAMPLES, FEATURES)), rng.normal(size=(NODES, SAMPLES))
    mask = np.arange(SAMPLES) < rng.integers(1, SAMPLES + 1, (NODES, 1)) if masked else None
    if loss.targets == "integer":
        targets = rng.integers(0, 3, (NODES, SAMPLES))
    half = jc.Training(loss, features, targets, mask, rng.uniform(0.5, 2, NODES) if masked else None)
    return aligned(jc.Problem(training=half), NODES).training


def random_params(rng, training):
    start = training.loss.init(jax.random.key(0), FEATURES)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=(NODES, *leaf.shape, RUNS))), start)


@pytest.mark.fast
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_moments_give_the_gradient_of_the_samples(rng, masked, intercept):
    training = training_half(rng, jc.losses.Linear(l2=np.linspace(0.1, 1, RUNS), intercept=intercept), masked)
    params = random_params(rng, training)
    assert training.with_moments().moments is not None
    ours = jax.tree.leaves(jax.jit(lambda at: training.with_moments().gradient(at))(params))
    plain = jax.tree.leaves(jax.jit(jax.grad(lambda at: training.losses(at, training.batch()).sum()))(params))
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.fast
def test_moments_only_where_they_are_less_work(rng):
    wide = dataclasses.replace(
        training_half(rng, jc.losses.Linear(), False), features=jnp.zeros((NODES, SAMPLES, 2 * SAMPLES + 1))
    )
    assert wide.with_moments().moments is None
    assert training_half(rng, jc.losses.Logistic(), False).with_moments().moments is None


@pytest.mark.fast
@pytest.mark.parametrize("loss", [jc.losses.Logistic(0.1), jc.losses.Softmax(3, 0.1), jc.losses.MLP((4,), 3)])
def test_pieces_of_the_samples_add_up(rng, monkeypatch, loss):
    """Sizes that do not divide the samples: the last piece must not count any twice."""
    training = training_half(rng, loss, True)
    params = random_params(rng, training)
    same, pooled = jax.tree.map(lambda leaf: leaf[:1], params), training.pooled_loss

    def evaluate():
        """Traced anew at each call: the size of the pieces is compiled in."""
        return jax.jit(lambda at, same: (training.gradient(at), training.losses(at, training.batch()), pooled(same)))(
            params, same
        )

    whole = jax.tree.leaves(evaluate())
    per_sample = NODES * RUNS * loss.outputs * 8
    for samples in (1, 5, 7):
        monkeypatch.setattr(batches, "MOST_BYTES", samples * per_sample)
        for a, b in zip(jax.tree.leaves(evaluate()), whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- records and memory


def small(training=True):
    rng = np.random.default_rng(0)
    allocation = jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(size=NODES)), 6.0, 0.0, 3.0)
    half = jc.Training(
        jc.losses.Logistic(0.1), rng.normal(size=(NODES, SAMPLES, FEATURES)), rng.choice([-1.0, 1.0], (NODES, SAMPLES))
    )
    problem = jc.Problem(allocation, half if training else None)
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.1),
        jc.methods.GradientTracking(0.1) if training else None,
        jc.channels.LogQuantizer(0.3),
    )
    return problem, jc.Network.from_graphs(nx.cycle_graph(NODES)), method


def test_records_do_not_depend_on_how_many_are_made_in_a_call(monkeypatch):
    from jaxcoopt.run import calls as module

    problem, network, method = small()
    optimum = jc.reference(problem)
    plain = jax.jit(lambda: jc.solve(problem, network, method, 41, runs=2, record_every=2, optimum=optimum))()
    monkeypatch.setattr(module, "CALL_SECONDS", 1e9)
    for most in (1, 3, 16):
        monkeypatch.setattr(module, "choices", lambda most=most: dataclasses.replace(CPU, records=most))
        ours = jc.solve(problem, network, method, 41, runs=2, record_every=2, optimum=optimum)
        assert ours.iterations.tolist() == [*range(0, 41, 2), 41]
        for name, values in plain.trace.items():
            np.testing.assert_allclose(ours.trace[name], values, rtol=1e-9, atol=1e-12, err_msg=f"{most} in a call")


def test_a_call_stops_where_every_run_has_left(monkeypatch):
    from jaxcoopt.run import calls as module

    monkeypatch.setattr(module, "CALL_SECONDS", 1e9)
    problem, network, method = small()
    result = jc.solve(problem, network, method, 5000, runs=2, record_every=50, tol=0.3)
    assert result.status.tolist() == [jc.Status.CONVERGED] * 2
    assert result.iterations[-1] == result.left.max() < 5000


@pytest.fixture
def unchecked():
    """Shapes stand for arrays here, which the run-time checks of array types do not know."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("training", [True, False])
def test_memory_is_what_the_compiled_program_takes(unchecked, training):
    problem, network, method = small(training)
    need = jc.memory(problem, network, method, 500)
    per_node = 5 + (training and 6 * (FEATURES + 1))  # x in three parts, price, message; y, z, c, r and two messages
    assert need.state == pytest.approx(500 * 8 * (NODES * per_node + 5), rel=0.02)
    assert need.working > 0
    assert need.compiling == memory.COMPILING + training * memory.SECOND_HALF
    assert need.total == need.setup + need.state + need.working + need.compiling
    assert need.most_runs > 500
    bigger = jc.memory(problem, network, method, 5000)
    assert bigger.total - need.compiling == pytest.approx(10 * (need.total - need.compiling), rel=0.2)
    assert bigger.most_runs == pytest.approx(need.most_runs, rel=0.2)
    assert "5000 runs need" in str(bigger)


PEAK = """
import sys
from pathlib import Path
import networkx as nx, numpy as np, jaxcoopt as jc

nodes, runs, both = (int(word) for word in sys.argv[1:])
rng = np.random.default_rng(0)
cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(1, 5, nodes))
data = jc.Training(jc.losses.Logistic(0.1), rng.normal(size=(nodes, 200, 20)), rng.choice([-1.0, 1.0], (nodes, 200)))
problem = jc.Problem(jc.Allocation(cost, 3.0 * nodes, 0.0, 10.0), data if both else None)
tracking = jc.methods.GradientTracking(0.01) if both else None
method = jc.CoOptimizer(jc.methods.DualFlow(), tracking, jc.channels.LogQuantizer())
network = jc.Network.from_graphs(nx.cycle_graph(nodes))
kib = lambda what: int(Path("/proc/self/status").read_text().split(f"{what}:")[1].split()[0])
need, before = jc.memory(problem, network, method, runs), kib("VmRSS")
jc.solve(problem, network, method, 20, runs=runs)
print(1024 * (kib("VmHWM") - before), need.total)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
@pytest.mark.parametrize(("nodes", "runs", "both"), [(10, 1, 0), (10, 1, 1), (100, 1000, 1), (1000, 256, 0)])
def test_the_peak_of_a_run_is_what_memory_says(nodes, runs, both):
    """No more than that, and at most 128 MiB less, with a process of its own that compiles as a user's does."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    command = [sys.executable, "-c", PEAK, *map(str, (nodes, runs, both))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    peak, said = map(int, done.stdout.split())
    print(f"{peak / 2**20:.0f} MiB, {said / 2**20:.0f} were said")
    assert said - 128 * 2**20 <= peak <= said


def test_a_run_that_cannot_fit_says_so_and_how_many_would(unchecked, monkeypatch):
    problem, network, method = small()
    jc.solve(problem, network, method, 1, runs=500)
    need = jc.memory(problem, network, method, 500)
    room = need.total - (need.state + need.working) // 2
    monkeypatch.setattr(memory, "available", lambda: room)
    with pytest.raises(MemoryError, match=r"runs: 500 runs need .* enough for (\d+) runs; ask for fewer") as error:
        jc.solve(problem, network, method, 1, runs=500)
    fits = int(str(error.value).split("enough for ")[1].split()[0])
    assert 100 < fits < 300
    less = jc.memory(problem, network, method, fits)
    assert less.state + less.working == pytest.approx((need.state + need.working) / 2, rel=0.01)


def test_records_that_nothing_has_room_for(monkeypatch):
    """Their list alone, their statistics in all runs, and trajectories of all nodes."""
    problem, network, method = small()
    monkeypatch.setattr("jaxcoopt.run.calls.free_memory", lambda: 2**24)
    for options in (
        {"steps": 2**31 - 1, "record_every": 1},
        {"steps": 10**5, "runs": 50, "record_every": 1},
        {"steps": 10**4, "runs": 20, "record": jc.Record(every=1, trajectories=["params"])},
    ):
        with pytest.raises(MemoryError, match=r"record_every: records: [0-9,]+ need at least .* give [0-9,]+ at most"):
            jc.solve(problem, network, method, **options)


def test_batches_that_nothing_has_room_for(monkeypatch, unchecked):
    problem, network, method = small()
    monkeypatch.setattr(memory, "available", lambda: 2**31)
    memory.check_memory(problem, network, method, 1, None)
    batches = dataclasses.replace(method, training=dataclasses.replace(method.training, batch_size=10**8))
    with pytest.raises(MemoryError, match="runs: 1 runs need"):
        memory.check_memory(problem, network, batches, 1, None)


def test_nothing_is_compiled_to_find_that_there_is_room():
    problem, network, method = small()
    before = loop.compiled_for(10)._cache_size()
    memory.check_memory(problem, network, method, 10, None)
    assert loop.compiled_for(10)._cache_size() == before
