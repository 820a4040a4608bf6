"""How much is done at once on a GPU, with a stand-in for its memory: runs of a device and of a chunk, what is free."""

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from benchmarks.engine.case import Case
from benchmarks.engine.instance import make_instance
from benchmarks.engine.vmap_rival import VmapRival, _advance
from jaxcoopt import platform, versions
from jaxcoopt.run import initial, memory, node_shards, shards
from jaxcoopt.run.names import Trio
from jaxcoopt.study import chunk_width

NODES, GIB = 6, 2**30
pytestmark = pytest.mark.fast


class Device:
    """One with memory of its own, as JAX shows it."""

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


@pytest.fixture
def gpu(monkeypatch):
    """JAX tells of a GPU, three quarters of whose 16 GiB it may take."""
    stats = {"bytes_limit": 12 * GIB, "bytes_in_use": 2 * GIB}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: [Device(stats)])
    monkeypatch.setattr(memory, "free_memory", lambda: 3 * GIB)
    return stats


def trio():
    cost, rng = jc.costs.Quadratic(1.0, np.arange(NODES)), np.random.default_rng(0)
    training = jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 3, 9)), rng.normal(size=(NODES, 3)))
    network = jc.Network.from_graphs(nx.cycle_graph(NODES))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1), jc.methods.GradientTracking(0.01))
    return Trio(jc.Problem(jc.Allocation(cost, 9.0), training), network, method)


def test_free_is_what_jax_may_still_take_of_the_device(gpu):
    assert memory.available() == 10 * GIB
    gpu.clear()  # an allocator that tells nothing
    assert memory.available() == 3 * GIB


def test_a_run_too_large_is_told_how_a_gpu_gives_more(gpu, monkeypatch):
    need = memory.Memory(10**9, GIB, 20 * GIB, GIB, 0, 10 * GIB)
    monkeypatch.setattr(memory, "layout_of", lambda *given: need)
    with pytest.raises(MemoryError, match=r"runs need 22 GiB .* XLA_PYTHON_CLIENT_MEM_FRACTION=0.95"):
        memory.check_memory(*trio()[:3], 10**9, None)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(MemoryError, match=r"samples .* or parameters$"):
        memory.check_memory(*trio()[:3], 10**9, None)


def test_the_limit_of_a_sweep_is_of_the_device(gpu):
    """Not of the host, of which this process has taken more than the limit leaves."""
    given = trio()
    need = memory.at_most(*given[:3], 1000)
    assert chunk_width.fitting(given, 1000, 2 * GIB + need + 1) == 1000
    assert chunk_width.widest_for(given.problem, NODES) == 2**25 // (8 * NODES * 10) // 256 * 256 > 256
    assert "compiler take about 2,048 MiB" in chunk_width._too_small(1.0 * GIB, 2 * GIB, 0)


def test_a_chunk_is_as_wide_as_pays(monkeypatch):
    given = trio()
    monkeypatch.setenv(platform.FORCED, "cpu")
    assert chunk_width.widest_for(given.problem, NODES) == 256
    monkeypatch.setenv(platform.FORCED, "gpu")
    with jax.enable_x64(False):
        wide = chunk_width.widest_for(given.problem, 50)
        assert wide % 256 == 0
        assert wide == pytest.approx(2**25 / (4 * 50 * 10), rel=0.02)
    assert chunk_width.widest_for(given.problem, 10**6) == 256
    no_training = jc.Problem(given.problem.allocation)
    assert chunk_width.widest_for(no_training, 50) == pytest.approx(2**25 / (8 * 50), rel=0.01)


@pytest.mark.parametrize(("loop", "each"), [("cpu", 16), ("gpu", 1024)])
def test_another_device_needs_runs_enough(monkeypatch, loop, each):
    monkeypatch.setenv(platform.FORCED, loop)
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert [shards.devices_for(runs) for runs in (1, each, 2 * each - 1, 2 * each, 9 * each)] == [1, 1, 1, 2, 4]


def test_without_a_place_beside_the_cpu_nodes_are_cut_on_the_device(monkeypatch):
    def none(backend=None):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", none)
    with node_shards.in_host_memory():
        assert jax.config.jax_default_device is None


def test_versions_of_a_package_that_is_not_installed(monkeypatch):
    """It runs from a path, as a copy on another machine does."""
    monkeypatch.setattr(versions, "PACKAGES", ("not-installed-anywhere", "jax"))
    assert set(versions.versions()) == {"python", "jax"}


@pytest.mark.parametrize("budget", [9.0, np.linspace(8, 9, 40)])
def test_extended_precision_has_one_column_where_runs_start_alike(monkeypatch, budget):
    shapes, real = [], initial._on_budget

    def seen(x, *rest):
        shapes.append(x.shape)
        return real(x, *rest)

    monkeypatch.setattr(initial, "_on_budget", seen)
    allocation = jc.Allocation(jc.costs.Quadratic(1.0, 0.0), budget, 0.0, np.linspace(2, 4, NODES))
    found = initial.initial_allocation(None, allocation, NODES, 40)
    assert shapes == [(NODES, np.size(budget))]
    assert found.high.shape == found.low.shape == (NODES, 40)
    np.testing.assert_allclose(np.sum(found.high, axis=0), np.broadcast_to(budget, 40), rtol=1e-14)


@pytest.mark.parametrize("dense", [True, False])
def test_every_product_of_the_plain_step_is_exact(dense):
    """By default a GPU multiplies ten bits of each number."""
    instance = make_instance(Case(nodes=10, degree=4, runs=2, params=3))
    start = type("Start", (), {"x": np.ones((10, 2)), "y": np.ones((10, 3, 2))})
    rival = VmapRival(instance, start, dense)
    text = str(jax.make_jaxpr(lambda runs: _advance(rival.data, runs, 0, 1, True))(rival.runs))
    assert text.count("dot_general[") == text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") > 1
