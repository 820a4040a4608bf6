"""What an iteration takes: the package's clock and one's own, against plain NumPy, wherever runs and nodes are."""

import importlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.run_experiment import play
from jaxcoopt.experiments.settings import EXPERIMENTS

NODES, RUNS, STEPS = 6, 3, 12
DATA = np.random.default_rng(5)
WORK = DATA.uniform(1, 3, NODES)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)), float(NODES), 0.1, 5.0),
    work=WORK,
)
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))
METHOD = jc.CoOptimizer(jc.methods.LaplacianFlow(0.05), channel=jc.channels.UniformQuantizer(0.01, bits=6))
RECORD = jc.Record(1, trajectories=["allocation"])
SHARES = DATA.uniform(0.8, 1.2, (NODES, RUNS))
START = jc.Initial(allocation=SHARES / SHARES.mean(axis=0))


@jc.pytree
@dataclass(frozen=True)
class Transfers(jc.clocks.Clock):
    """The page's, with a delay of each node before it begins."""

    bandwidth: float = jc.setting(1e6, above=0, doc="Bits a second.")
    delay: float = jc.setting(0.0, least=0, axes=("nodes", "runs"), doc="Seconds.")

    def seconds(self, now):
        return now.slowest(now.times + self.delay) + now.bits / self.bandwidth


@jc.pytree
@dataclass(frozen=True)
class Noisy(jc.clocks.Clock):
    """The mean of times that vary."""

    spread: float = jc.setting(0.0, least=0, doc="Part of a node's time.")

    def seconds(self, now):
        return now.mean(now.times * (1 + self.spread * now.uniform()))


def solved(clock=None, **more):
    options = {"runs": RUNS, "record": RECORD, "initial": START, "optimum": jc.Optimum(), "clock": clock}
    return jc.solve(PROBLEM, NETWORK, METHOD, STEPS, **(options | more))


def added(result, of_iteration):
    """Seconds at every record: of_iteration(shares [nodes, runs]) -> [runs] of all iterations before."""
    shares = np.asarray(result.trajectories["allocation"], np.float64)
    total, sums = np.zeros(shares.shape[2]), []
    for x in shares:
        sums.append(total)
        total = total + of_iteration(x)
    return np.array(sums)


@pytest.fixture
def allowed():
    with jax.numpy_rank_promotion("allow"):
        yield


def test_all_wait_for_the_slowest():
    default, named = solved(), solved(jc.clocks.Synchronous())
    expected = added(
        default, lambda x: np.array([max(w / x_i for w, x_i in zip(WORK, run, strict=True)) for run in x.T])
    )
    np.testing.assert_allclose(default.trace["seconds"], expected, rtol=1e-12)
    np.testing.assert_array_equal(default.trace["seconds"], named.trace["seconds"])


@pytest.mark.parametrize("many", [False, True])
def test_one_of_ones_own(allowed, many):
    """Numbers of all runs and of each, of all nodes and of each."""
    bandwidth = np.array([100.0, 10.0, 1e9]) if many else 50.0
    delay = DATA.uniform(0, 3, (NODES, RUNS) if many else NODES)
    result = solved(Transfers(bandwidth, delay))
    wait = np.broadcast_to(delay if many else delay[:, None], (NODES, RUNS))
    sent = np.asarray(result.trace["bits"])[1] / 2  # in an iteration over each of a node's two links
    assert sent[0] >= 6

    def of_iteration(x):
        slowest = [max(WORK[i] / x[i, r] + wait[i, r] for i in range(NODES)) for r in range(RUNS)]
        return np.array(slowest) + sent / bandwidth

    np.testing.assert_allclose(result.trace["seconds"], added(result, of_iteration), rtol=1e-12)
    other = solved()
    for name in ("allocation_cost", "bits", "budget_residual"):  # nothing else is another
        np.testing.assert_array_equal(result.trace[name], other.trace[name])


def test_random_times_differ_in_runs_and_iterations_and_not_between_batches(allowed):
    exact, noisy = solved(Noisy(0.0)), solved(Noisy(0.5))
    np.testing.assert_allclose(exact.trace["seconds"], added(exact, lambda x: (WORK[:, None] / x).mean(0)), rtol=1e-12)
    ratio = np.diff(noisy.trace["seconds"], axis=0) / np.diff(exact.trace["seconds"], axis=0)
    assert np.all((ratio > 1) & (ratio < 1.5))
    assert len(np.unique(ratio)) == ratio.size
    alone = solved(Noisy(0.5), runs=1, initial=jc.Initial(START.allocation[:, :1]))
    np.testing.assert_allclose(alone.trace["seconds"][:, 0], noisy.trace["seconds"][:, 0], rtol=1e-12)


def test_saved_loaded_and_refused(allowed, tmp_path):
    options = {"record": jc.Record(4), "initial": START}
    clock = Transfers(10.0)
    simulation = jc.Simulation(PROBLEM, NETWORK, METHOD, runs=RUNS, clock=clock, **options)
    simulation.run(4)
    simulation.save(tmp_path)
    loaded = jc.Simulation.load(tmp_path, PROBLEM, NETWORK, METHOD, clock=Transfers(10.0), **options)
    np.testing.assert_array_equal(loaded.run(8).trace["seconds"], simulation.run(8).trace["seconds"])
    with pytest.raises(ValueError, match=r"clock\.bandwidth: 10\.0 there, 20\.0 here"):
        jc.Simulation.load(tmp_path, PROBLEM, NETWORK, METHOD, clock=Transfers(20.0), **options)
    with pytest.raises(ValueError, match="clock: Transfers there, Synchronous here"):
        jc.Simulation.load(tmp_path, PROBLEM, NETWORK, METHOD, **options)


def test_swept_in_one_program(allowed):
    grid = {"clock.bandwidth": [10.0, 1000.0], "allocation.step": [0.02, 0.05]}
    table = jc.sweep(PROBLEM, NETWORK, METHOD, grid, steps=STEPS, clock=Transfers(delay=1.0), initial=None)
    alone = jc.solve(PROBLEM, NETWORK, METHOD, STEPS, record_every=1, clock=Transfers(10.0, 1.0))
    np.testing.assert_allclose(
        table["seconds"].sel({"clock.bandwidth": 10.0, "allocation.step": 0.05})[0], alone.trace["seconds"][:, 0]
    )
    kinds = {"clock": {"all wait": jc.clocks.Synchronous(), "links, too": Transfers(10.0, 1.0)}}
    both = jc.sweep(PROBLEM, NETWORK, METHOD, kinds, steps=STEPS)
    np.testing.assert_allclose(both["seconds"].sel(clock="links, too")[0], alone.trace["seconds"][:, 0])
    assert np.all(both["seconds"][0, 0, 1:] < both["seconds"][1, 0, 1:])


def test_the_slope_of_seconds(allowed):
    """By the clock's own number, through jit: sent bits over all iterations / -bandwidth^2."""

    def seconds(bandwidth):
        result = solved(Transfers(bandwidth), record=jc.Record(STEPS))
        return result.trace["seconds"][-1, 0], result.trace["bits"][-1, 0] / 2

    slope, sent = jax.jit(jax.grad(seconds, has_aux=True))(20.0)
    assert slope == pytest.approx(-float(sent) / 20.0**2, rel=1e-9)


class Unregistered(jc.clocks.Clock):
    def seconds(self, now):
        return 1.0


def giving(value):
    @jc.pytree
    @dataclass(frozen=True)
    class Odd(jc.clocks.Clock):
        def seconds(self, now):
            return value(now)

    return Odd()


@pytest.mark.parametrize(
    ("clock", "error", "words"),
    [
        (3.0, TypeError, "clock: expected one of jaxcoopt.clocks, such as Synchronous"),
        (Unregistered(), TypeError, "clock: Unregistered is not registered with JAX"),
        (Transfers(-1.0), ValueError, r"clock\.bandwidth: must be above 0, got -1"),
        (Transfers(np.ones(5)), ValueError, r"clock\.bandwidth: expected a scalar or \[runs\]"),
        (Transfers(1.0, np.ones(5)), ValueError, r"clock\.delay: it has 5 nodes, the network has 6"),
        (giving(lambda now: now.times), ValueError, r"Odd\.seconds gives shape \(6, 3\).*take `now\.slowest`"),
        (giving(lambda now: "soon"), TypeError, "Odd.seconds gives 'soon', expected an array"),
        (giving(lambda now: now.times.max(axis=0) > 1), TypeError, "Odd.seconds gives bool, expected real numbers"),
    ],
)
def test_what_is_none_is_refused(untyped, clock, error, words):
    with pytest.raises(error, match=words):
        solved(clock)


def test_seconds_without_end(untyped):
    """Numbers that are not finite count as such, from there on."""
    late = giving(lambda now: jnp.where(now.number < 5, 1.0, jnp.nan) + jnp.zeros(RUNS))
    seconds = np.asarray(solved(late).trace["seconds"])
    np.testing.assert_array_equal(seconds[:6, 0], np.arange(6))
    assert np.all(np.isinf(seconds[6:]))


FILE = """
steps = 10
[network]
[[network.graphs]]
kind = "topology"
name = "ring"
nodes = 6
[allocation]
budget = 6.0
[[allocation.cost]]
kind = "quadratic"
curvature = 1.0
center = { low = 0.5, high = 2.0 }
[method.allocation]
kind = "laplacian_flow"
step = 0.05
[clock]
kind = "my_clock:Transfers"
bandwidth = 64
"""


def test_in_a_file(tmp_path, monkeypatch, allowed):
    page = (Path(__file__).parents[1] / "docs" / "own.md").read_text()
    (tmp_path / "my_clock.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(FILE)
    settings = EXPERIMENTS.read("own.toml")
    clock = importlib.import_module("my_clock").Transfers
    try:
        assert build(settings).clock == clock(64.0)
        assert settings.model_dump()["clock"] == {"kind": "my_clock:Transfers", "bandwidth": 64.0, "latency": 0.0}
        (tmp_path / "usual.toml").write_text(FILE.replace('my_clock:Transfers"\nbandwidth = 64', 'synchronous"'))
        own, usual = (play(each).result.trace for each in (settings, EXPERIMENTS.read("usual.toml")))
        sent = np.asarray(own["bits"][-1]) / 2 / 64
        np.testing.assert_allclose(own["seconds"][-1] - usual["seconds"][-1], sent, rtol=1e-5)
        (tmp_path / "odd.toml").write_text(FILE.replace("bandwidth = 64", "bandwith = 64"))
        with pytest.raises(ValueError, match="clock: bandwith: unknown key; did you mean 'bandwidth'"):
            EXPERIMENTS.read("odd.toml")
    finally:
        sys.modules.pop("my_clock", None)


APART = """
import sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)
import test_clock as t
import jaxcoopt as jc
start = jc.Initial(np.repeat(t.START.allocation[:, :1], {runs}, axis=1))
for clock in (None, t.Transfers(10.0, np.linspace(0, 2, t.NODES)), t.Noisy(0.5)):
    options = dict(runs={runs}, initial=start, clock=clock, record=jc.Record(4))
    several = t.solved(**(options | dict(shard={shard!r}))).trace["seconds"]
    with jax.default_device(jax.local_devices()[0]):
        one = t.solved(**options).trace["seconds"]
    np.testing.assert_allclose(several, one, rtol=1e-12)
    assert one[-1, 0] > 0
"""


@pytest.mark.parametrize(("shard", "runs"), [("runs", 64), ("nodes", 2)])
def test_on_several_devices(shard, runs):
    """Six nodes over four devices: two places are padding."""
    text = APART.format(tests=str(Path(__file__).parent), shard=shard, runs=runs)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # other errors may get worse
def test_compared_and_tuned(allowed):
    """Seconds in a comparison, and an objective that reads them, are the clock's."""
    methods, clock = {"flow": METHOD}, Transfers(10.0)
    usual, own = (jc.compare(PROBLEM, NETWORK, methods, steps=STEPS, clock=each) for each in (None, clock))
    alone = jc.solve(PROBLEM, NETWORK, METHOD, STEPS, clock=clock)
    np.testing.assert_allclose(own["seconds"], float(alone.trace["seconds"][-1, 0]), rtol=1e-9)
    assert np.all(own["seconds"] > usual["seconds"])
    options = {"steps": STEPS, "iterations": 1, "progress": False}
    options["objective"] = lambda result: result.trace["seconds"][-1].mean()
    found = jc.tune(PROBLEM, NETWORK, METHOD, {"allocation.step": (0.01, 0.1)}, clock=clock, **options)
    assert found.untuned == pytest.approx(float(alone.trace["seconds"][-1, 0]), rel=1e-9)
