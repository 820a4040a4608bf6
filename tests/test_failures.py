"""Link failures: every model beside a plain loop, its statistics, and the same links wherever a run is run."""

import zlib
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import scipy.stats
from test_node_shards import in_a_process

import jaxcoopt as jc
from jaxcoopt.draws import random_bits
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.prepare import key_of, prepare

F = jc.failures
NODES, RUNS, SEED, STEP, STEPS = 6, 3, 5, 0.1, 12
GRAPH = nx.relabel_nodes(nx.wheel_graph(NODES), dict(enumerate("abcdef")))  # a is the hub
RATES, LENGTHS = np.array([0.1, 0.3, 0.5]), np.array([1.5, 4.0, 2.0])
MODELS = {
    "independent": F.Independent(RATES),
    "bursts": F.Bursts(RATES, LENGTHS),
    "node failures": F.NodeFailures(0.2),
    "node failures that last": F.NodeFailures(RATES, LENGTHS),
    "outages": F.Outages.by_name({("b", "a"): [1, 0, 0, 1, 1], "d": [0, 1, 1, 1, 0]}, GRAPH),
}
CURVATURE, CENTER = np.linspace(0.5, 2, NODES), np.linspace(0, 3, NODES)
PROBLEM = jc.Problem(jc.Allocation(jc.costs.Quadratic(CURVATURE, CENTER), float(NODES)))
METHOD = jc.CoOptimizer(jc.methods.LaplacianFlow(STEP), channel=jc.channels.Ideal())


def network(failures: Any, graph: Any = GRAPH, **options: Any) -> jc.Network:
    return jc.Network.from_graphs(graph, failures=failures, **options)


def ends(net: jc.Network) -> list[tuple[int, int]]:
    return list(zip(np.asarray(net.edges.tail).tolist(), np.asarray(net.edges.head).tolist(), strict=True))


def links_up(net: jc.Network, runs: Any, iterations: int, key: Any) -> np.ndarray:
    """[iterations, edges, runs], by the network itself."""
    net = net.in_precision(jnp.float64)

    @jax.jit
    def all_of(runs: Any) -> Any:
        def one(memory: Any, k: Any) -> Any:
            links, memory = net.next_links(memory, key, k, runs)
            return memory, links.up

        return jax.lax.scan(one, net.memory(key, runs), jnp.arange(iterations))[1]

    return np.asarray(all_of(jnp.asarray(runs)))


# ---------------------------------------------------------------- beside a plain loop


def drawn(iteration: int, count: int, *names: str) -> np.ndarray:
    """Uniform in [0, 1), [count, RUNS]: what an iteration draws, by the formulas of the page on seeds alone."""
    key = jax.random.fold_in(jax.random.fold_in(key_of(SEED, "network"), iteration), 1)
    for name in names:
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    return np.asarray(random_bits(key, jnp.arange(count, dtype=jnp.uint32), jnp.arange(RUNS))) / 2.0**32


def chain(count: int, *names: str) -> np.ndarray:
    """Which of so many things are up, [STEPS, count, RUNS]: a two-state Markov chain for each and every run."""
    up, first = np.zeros((STEPS, count, RUNS), bool), drawn(0, count, *names, "start")
    u = [drawn(k, count, *names) for k in range(STEPS)]
    for thing in range(count):
        for run, (rate, length) in enumerate(zip(RATES, LENGTHS, strict=True)):
            now = first[thing, run] >= rate
            for k in range(STEPS):
                up[k, thing, run] = now
                between = length * (1 - rate) / rate
                now = u[k][thing, run] >= (1 / between if now else 1 - 1 / length)
    return up


def expected(name: str, net: jc.Network) -> np.ndarray:
    """Which links are up, [STEPS, edges, RUNS]."""
    if name == "independent":
        return np.stack([drawn(k, net.edges.count) >= RATES for k in range(STEPS)])
    if name == "bursts":
        return chain(net.edges.count)
    if name == "outages":
        listed = {(0, 1): [1, 0, 0, 1, 1], **{end: [0, 1, 1, 1, 0] for end in ends(net) if 3 in end}}
        rows = [[listed.get(end, [1] * 5)[k % 5] for end in ends(net)] for k in range(STEPS)]
        return np.repeat(np.array(rows, bool)[..., None], RUNS, axis=-1)
    if name == "node failures":
        of_nodes = np.stack([drawn(k, NODES, "nodes") >= 0.2 for k in range(STEPS)])
    else:
        of_nodes = chain(NODES, "nodes")
    return np.stack([of_nodes[:, tail] & of_nodes[:, head] for tail, head in ends(net)], axis=1)


def flow(net: jc.Network, up: np.ndarray, run: int) -> np.ndarray:
    """x_i += step sum_j w_ij (p_j - p_i), p_i = f_i'(x_i), link by link."""
    x, weights = np.ones(NODES), np.asarray(net.edges.weights)[0]
    for k in range(STEPS):
        price, moved = CURVATURE * (x - CENTER), np.zeros(NODES)
        for edge, (tail, head) in enumerate(ends(net)):
            if up[k, edge, run]:
                moved[tail] += weights[edge] * (price[head] - price[tail])
                moved[head] += weights[edge] * (price[tail] - price[head])
        x = x + STEP * moved
    return x


@pytest.mark.parametrize("name", MODELS)
def test_the_compiled_loop_has_the_links_of_a_plain_one(name):
    net = network(MODELS[name])
    up = expected(name, net)
    assert 0 < up.mean() < 1
    result = jc.solve(PROBLEM, net, METHOD, STEPS, runs=RUNS, seed=SEED)
    for run in range(RUNS):
        np.testing.assert_allclose(result.allocation[:, run], flow(net, up, run), rtol=1e-12)
    assert result.trace["budget_residual"].max() <= 1e-15


# ---------------------------------------------------------------- statistics

MANY = nx.complete_graph(40)  # 780 links
SIGMAS = 5


def near(count: float, of: float, chance: float) -> bool:
    return abs(count - of * chance) <= SIGMAS * np.sqrt(of * chance * (1 - chance))


@pytest.mark.parametrize(("rate", "length"), [(0.1, 5.0), (0.5, 1.0), (0.3, 1 / 0.7)])
def test_bursts_have_the_rate_and_the_length_that_were_given(rng, rate, length):
    """1.2 million links; from one iteration to the next each changes by itself, so these counts are binomial."""
    up = links_up(network(F.Bursts(rate, length), MANY), np.arange(8), 200, jax.random.key(int(rng.integers(2**31))))
    for k in (0, -1):
        assert near((~up[k]).sum(), up[k].size, rate)
    before, after = up[:-1], up[1:]
    assert near((~before & after).sum(), (~before).sum(), 1 / length)
    assert near((before & ~after).sum(), before.sum(), rate / (1 - rate) / length)
    correlated = 2 * length * (1 - rate)  # independent draws would have 1: sum of all autocorrelations
    assert abs((~up).mean() - rate) <= SIGMAS * np.sqrt(max(correlated, 1) * rate * (1 - rate) / up.size)


def test_the_lengths_of_bursts_are_geometric(rng):
    length, most = 3.0, 12
    key = jax.random.key(int(rng.integers(2**31)))
    up = links_up(network(F.Bursts(0.2, length), MANY), np.arange(8), 120, key)
    begun = np.argwhere(up[:-1][: 120 - most - 2] & ~up[1:][: 120 - most - 2])
    lasts = [int(np.argmax(up[k + 1 : k + 2 + most, edge, run])) or most for k, edge, run in begun[:40_000]]
    found = np.bincount(lasts, minlength=most + 1)[1:]
    chances = (1 - 1 / length) ** np.arange(most) / length
    chances[-1] = (1 - 1 / length) ** (most - 1)
    assert scipy.stats.chisquare(found, len(lasts) * chances).pvalue > 1e-6


@pytest.mark.parametrize("length", [None, 4.0])
def test_a_node_takes_all_of_its_links_down(rng, length):
    net = network(F.NodeFailures(0.15, length), MANY)
    up = links_up(net, np.arange(4), 100, jax.random.key(int(rng.integers(2**31))))
    alone = np.zeros((100, 40, 4), bool)  # nodes without a link: those that are down, as the graph is complete
    for node in range(40):
        alone[:, node] = ~up[:, [node in end for end in ends(net)]].any(axis=1)
    both_up = np.stack([~alone[:, tail] & ~alone[:, head] for tail, head in ends(net)], axis=1)
    np.testing.assert_array_equal(up, both_up)
    times = 1 if length is None else 2 * length * 0.85
    assert abs(alone.mean() - 0.15) <= SIGMAS * np.sqrt(times * 0.15 * 0.85 / alone.size)
    again = alone[:-1] & alone[1:]
    assert near(again.sum(), alone[:-1].sum(), 0.15 if length is None else 1 - 1 / length)


# ---------------------------------------------------------------- the same links wherever a run is run


@pytest.mark.parametrize("name", MODELS)
def test_a_run_has_the_same_links_alone_and_among_others(name):
    one = MODELS[name]
    alone = jax.tree.map(lambda leaf: leaf[2] if np.shape(leaf) == (RUNS,) else leaf, one)
    key = jax.random.key(SEED)
    among = links_up(network(one), np.arange(RUNS), 30, key)[..., 2]
    np.testing.assert_array_equal(links_up(network(alone), [2], 30, key)[..., 0], among)


DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 3)
jax.config.update("jax_enable_x64", True)
from dataclasses import dataclass, replace
import networkx as nx, numpy as np
import jaxcoopt as jc
from jaxcoopt import platform


@jc.pytree
@dataclass(frozen=True)
class AtHead(jc.failures.Failures):
    of_node: object = jc.setting(axes=("nodes",))
    of_link: object = jc.setting(axes=("edges", "runs"))

    def step(self, state, draw):
        return draw.uniform() >= self.of_node[draw.edges.head][:, None] * self.of_link, None


platform.CPU, NODES, RUNS, F = replace(platform.CPU, runs_a_device=2), 10, 7, jc.failures
rates, lengths = np.linspace(0.05, 0.4, RUNS), np.linspace(2, 5, RUNS)
graph = nx.wheel_graph(NODES)
problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.linspace(0.5, 2, NODES), np.linspace(0, 3, NODES)), 9.0))
method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1))
outages = np.random.default_rng(0).integers(0, 2, (7, graph.number_of_edges()))
for failures, spread in (
    (F.Bursts(rates, lengths), ("nodes",)),
    (F.NodeFailures(rates, lengths), ("runs", "nodes")),
    (F.Outages(outages), ("nodes",)),
    (AtHead(np.linspace(0, 0.9, NODES), np.linspace(1, 0.5, graph.number_of_edges())[:, None]), ("nodes",)),
):
    given = problem, jc.Network.from_graphs(graph, failures=failures), method
    with jax.default_device(jax.devices()[0]):
        one = jc.solve(*given, 20, runs=RUNS, record_every=10)
    for shard in spread:
        simulation = jc.Simulation(*given, runs=RUNS, record=jc.Record(10), shard=shard)
        simulation.run(10)
        simulation.save("half")
        many = jc.Simulation.load("half", *given, record=jc.Record(10), shard=shard).run(10)
        np.testing.assert_allclose(many.allocation, one.allocation, rtol=1e-12, err_msg=f"{failures} by {shard}")
"""


def test_several_devices_have_the_links_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_a_process("-c", DEVICES)


@pytest.mark.parametrize("name", ["bursts", "node failures that last"])
def test_a_simulation_goes_on_bit_for_bit(tmp_path, name):
    net, record = network(MODELS[name]), jc.Record(5)
    whole = jc.Simulation(PROBLEM, net, METHOD, runs=RUNS, seed=SEED, record=record).run(20)
    first = jc.Simulation(PROBLEM, net, METHOD, runs=RUNS, seed=SEED, record=record)
    first.run(10)
    first.save(tmp_path / "half")
    last = jc.Simulation.load(tmp_path / "half", PROBLEM, net, METHOD, record=record).run(10)
    np.testing.assert_array_equal(last.allocation, whole.allocation)
    np.testing.assert_array_equal(last.trace["allocation_gap"], whole.trace["allocation_gap"])
    with pytest.raises(ValueError, match=r"network.failures.rate: .* there, 0.25 here"):
        jc.Simulation.load(tmp_path / "half", PROBLEM, network(replace(MODELS[name], rate=0.25)), METHOD, record=record)


def test_failure_rate_is_the_shorthand_of_independent():
    """To the bit, and what remembers nothing has nothing to carry."""
    links = [jc.Network.from_graphs(GRAPH, failure_rate=RATES), network(F.Independent(RATES))]
    results = [jc.solve(PROBLEM, net, METHOD, STEPS, runs=RUNS, seed=SEED).allocation for net in links]
    np.testing.assert_array_equal(*results)
    for net in (jc.Network.from_graphs(GRAPH), *links, network(F.NodeFailures(0.1)), network(MODELS["outages"])):
        _, carry = prepare(PROBLEM, net, METHOD, RUNS, 0, None, None, Optimum())
        assert jax.tree.leaves(carry.failures) == []


# ---------------------------------------------------------------- swept, differentiated, in theory


def test_settings_of_failures_are_swept():
    net = network(F.Bursts(0.3, 2.0))
    grid = {"network.failures.length": [1.5, 6.0], "failures.rate": [0.1, 0.4]}
    swept = jc.sweep(PROBLEM, net, METHOD, grid, steps=20, seeds=2)
    assert swept.sizes["network.failures.length"] == 2
    alone = jc.solve(PROBLEM, network(F.Bursts(0.4, 6.0)), METHOD, 20, runs=2, record_every=1)
    np.testing.assert_allclose(
        swept["allocation_gap"].values[1, 1, :, -1], np.asarray(alone.trace["allocation_gap"])[-1], rtol=1e-9
    )
    with pytest.raises(ValueError, match=r"failures.length=1.0, failures.rate=0.6: network.failures: links that are"):
        jc.sweep(PROBLEM, net, METHOD, {"failures.length": [1.0, 9.0], "failures.rate": [0.1, 0.6]}, steps=20)
    with pytest.raises(ValueError, match=r"network.failures.rate: expected a scalar"):
        jc.sweep(PROBLEM, network(F.Bursts(RATES, 6.0)), METHOD, {"allocation.step": [0.1]}, steps=20)


def test_derivatives_go_through_runs_with_bursts():
    """Ideal links: the same in reverse and forward mode, and finite differences."""
    net = network(F.Bursts(0.3, 3.0))

    def end(step: Any) -> Any:
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(step), channel=jc.channels.Ideal())
        return jc.solve(PROBLEM, net, method, 24, runs=RUNS, optimum=Optimum()).trace["allocation_cost"][-1].sum()

    slope = jax.grad(end)(STEP)
    np.testing.assert_allclose(jax.jvp(end, (STEP,), (1.0,))[1], slope, rtol=1e-9)
    np.testing.assert_allclose((end(STEP + 1e-5) - end(STEP - 1e-5)) / 2e-5, slope, rtol=1e-5)


def test_the_budget_and_the_box_are_kept_through_bursts():
    problem = jc.Problem(replace(PROBLEM.allocation, lower=0.2, upper=1.4))
    method = jc.CoOptimizer(jc.methods.DualFlow(), channel=jc.channels.LogQuantizer(0.5))
    result = jc.solve(problem, network(F.Bursts(0.4, 10.0)), method, 300, runs=2)
    assert result.trace["budget_residual"].max() <= 1e-15
    assert result.trace["box_violation"].max() == 0
    assert np.abs(result.trace["allocation_gap"][-1]).max() < 1e-2


def test_theory_takes_the_mean_where_that_is_right():
    bursts, rate = network(F.Bursts(0.2, 5.0)), jc.Network.from_graphs(GRAPH, failure_rate=0.2)
    found, same = jc.theory.connectivity(bursts), jc.theory.connectivity(rate)
    assert found.expected_lambda_2 == same.expected_lambda_2 == pytest.approx(0.8 * same.average_lambda_2)
    method = METHOD.allocation
    nodes = jc.theory.eigenvalues(method, PROBLEM, network(F.NodeFailures(0.2)))
    by_hand = jc.theory.eigenvalues(method, PROBLEM, jc.Network.from_graphs(GRAPH, failure_rate=1 - 0.8**2))
    np.testing.assert_allclose(nodes, by_hand)
    with pytest.raises(ValueError, match=r"network.failures: with Bursts an iteration's failures depend on those"):
        jc.theory.spectral_rate(method, PROBLEM, bursts)
    with pytest.raises(ValueError, match=r"network.failures: Outages has no mean_rate"):
        jc.theory.connectivity(network(MODELS["outages"]))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_auto_steps_are_found_over_bursts():
    """By a trial over links that fail like the run's."""
    method = jc.CoOptimizer(jc.methods.LaplacianFlow("auto"), channel=jc.channels.LogQuantizer(0.5))
    result = jc.solve(PROBLEM, network(F.Bursts(RATES, 5.0)), method, 100, runs=RUNS)
    assert np.abs(result.trace["allocation_gap"][-1]).max() < 0.02
    assert np.all(result.statuses != "DIVERGED")
