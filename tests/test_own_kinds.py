"""One file, one class: what docs/own.md defines, through solve, sweep, tune and TOML."""

import importlib
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import EXPERIMENTS

PAGE = (Path(__file__).parents[1] / "docs" / "own.md").read_text()
NODES = 6
FILE = """
steps = 20
metrics = ["my_parts:largest_share"]
[network]
[[network.graphs]]
kind = "topology"
name = "ring"
nodes = 6
[network.failures]
kind = "my_parts:Repairs"
rate = 0.2
[allocation]
budget = 6.0
[[allocation.cost]]
kind = "my_parts:Quartic"
weight = { low = 0.5, high = 2.0 }
center = 0.2
[channel]
kind = "my_parts:Rounded"
step = 0.01
[method.allocation]
kind = "my_parts:PriceFlow"
step = 0.05
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The page's module, in the folder that one works in, with the broadcasting that JAX has by default."""
    (tmp_path / "my_parts.py").write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_parts", None)
    with jax.numpy_rank_promotion("allow"):
        yield importlib.import_module("my_parts")
    sys.modules.pop("my_parts", None)


@pytest.fixture
def halves(parts, rng):
    cost = parts.Quartic(rng.uniform(0.5, 2, NODES), rng.uniform(0, 0.5, NODES))
    data = rng.normal(size=(NODES, 5, 2)), rng.normal(size=(NODES, 5))
    problem = jc.Problem(jc.Allocation(cost, 6.0), jc.Training(parts.LogCosh(), *data))
    method = jc.CoOptimizer(parts.PriceFlow(0.05), parts.Descent(0.02), channel=parts.Rounded(0.001))
    return problem, jc.Network.from_graphs(nx.cycle_graph(NODES), failures=parts.Repairs(0.02)), method


def test_solved(halves):
    problem, network, method = halves
    result = jc.solve(problem, network, method, 400)
    last = {name: float(values[-1, 0]) for name, values in result.trace.items()}
    assert abs(last["allocation_gap"]) < 1e-4
    assert abs(last["training_gap"]) < 1e-2
    assert abs(last["budget_residual"]) < 1e-12
    assert last["bits"] == 400 * 2 * 16 * (1 + 2)  # two links of a node: a price, and two parameters


@pytest.mark.filterwarnings("ignore:the objective is better:RuntimeWarning")  # one part of it may get worse
def test_swept_and_tuned(halves, parts):
    problem, network, method = halves
    grid = {"allocation.step": [0.02, 0.05], "channel.step": [0.001, 0.1], "failures.rate": [0.01, 0.1]}
    swept = jc.sweep(problem, network, method, grid, steps=50, record=jc.Record(metrics=[parts.largest_share]))
    assert swept["largest_share"].attrs["units"] == "CPU units"
    assert np.all(swept["largest_share"].values >= 1)  # the mean share is 1
    gaps = np.abs(swept["allocation_gap"].values[..., -1])
    assert np.all(gaps[1, 0] < gaps[0, 0])
    assert np.all(gaps[..., 0, :] != gaps[..., 1, :])
    tuned = jc.tune(problem, network, method, ["training.step"], steps=30, iterations=4, progress=False)
    assert tuned.held_out <= tuned.untuned


def test_in_a_file(parts, tmp_path):
    (tmp_path / "own.toml").write_text(FILE)
    settings = EXPERIMENTS.read("own.toml")
    built = build(settings)
    kinds = built.problem.allocation.cost, built.method.channel, built.method.allocation, built.network.failures
    assert [type(each).__name__ for each in kinds] == ["Quartic", "Rounded", "PriceFlow", "Repairs"]
    assert np.shape(kinds[0].weight) == (NODES,)
    result = jc.solve(built.problem, built.network, built.method, settings.steps, record=built.record)
    np.testing.assert_array_equal(result.trace["largest_share"][-1], np.max(result.allocation, axis=0))
    assert np.abs(float(result.trace["budget_residual"][-1, 0])) < 1e-12
    assert settings.model_dump()["network"]["failures"] == {"kind": "my_parts:Repairs", "rate": 0.2, "length": 3.0}
    assert settings.model_dump()["channel"] == {"kind": "my_parts:Rounded", "step": 0.01}


def test_bounds_in_a_file(parts, tmp_path):
    flow = 'kind = "laplacian_flow"\nstep = 0.02\nbounds = { kind = "my_parts:Spring", pull = 30.0 }'
    text = FILE.replace('kind = "my_parts:PriceFlow"\nstep = 0.05', flow).replace("steps = 20", "steps = 200")
    (tmp_path / "own.toml").write_text(text.replace("budget = 6.0", "budget = 6.0\nupper = 1.05"))
    settings = EXPERIMENTS.read("own.toml")
    built = build(settings)
    assert isinstance(built.method.allocation.bounds, parts.Spring)
    assert built.method.allocation.bounds.pull == 30
    result = jc.solve(built.problem, built.network, built.method, settings.steps)
    assert 0 < result.trace["box_violation"][-1, 0] < 0.1  # by d price / pull
    assert settings.model_dump()["method"]["allocation"]["bounds"] == {"kind": "my_parts:Spring", "pull": 30.0}


def test_links_that_break_are_down_until_they_are_mended(halves, parts, tmp_path):
    problem, network, method = halves
    key, runs, net = jax.random.key(0), jnp.arange(2), network.in_precision(jnp.float64)
    memory, up = net.memory(key, runs), []
    for k in range(60):
        links, memory = net.next_links(memory, key, jnp.asarray(k), runs)
        up.append(np.asarray(links.up))
    changes = np.diff(np.array([np.ones_like(up[0]), *up]).astype(int), axis=0)
    assert (changes < 0).any()
    for k, edge, run in np.argwhere(changes[:-3] < 0):
        np.testing.assert_array_equal([up[k + i][edge, run] for i in range(4)], [False, False, False, True])
    simulation = jc.Simulation(problem, network, method, record=jc.Record(10))
    simulation.run(10)
    simulation.save(tmp_path / "half")
    goes_on = jc.Simulation.load(tmp_path / "half", problem, network, method, record=jc.Record(10)).run(10)
    whole = jc.Simulation(problem, network, method, record=jc.Record(10)).run(20)
    np.testing.assert_array_equal(goes_on.allocation, whole.allocation)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("my_parts:Repairs", "my_parts:Rounded", "network.failures: .*is no class derived from jaxcoopt's Failures"),
        ("rate = 0.2", "rate = 1.5\nlenght = 2", "network.failures: lenght: unknown key; did you mean 'length'"),
        ("my_parts:Rounded", "my_parts:Nothing", r"channel: kind: 'my_parts:Nothing' cannot be imported \(Attribute"),
        ("my_parts:Rounded", "no_such_module:A", r"cannot be imported \(ModuleNotFoundError: No module named"),
        ("my_parts:Rounded", "my_parts:Quartic", "is no class derived from jaxcoopt's Channel"),
        ("my_parts:Rounded", "my_parts:", 'kind: expected "module:NAME", got .my_parts:.'),
        ("step = 0.01", "stp = 0.01", "channel: stp: unknown key; did you mean 'step'"),
        ("step = 0.01", 'step = "much"', "channel: step: got 'much'.*expected a number"),
    ],
)
def test_what_is_wrong_is_named(parts, tmp_path, old, new, words):
    (tmp_path / "own.toml").write_text(FILE.replace(old, new))
    with pytest.raises(ValueError, match=words):
        EXPERIMENTS.read("own.toml")
