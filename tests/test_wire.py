"""Wires: what the ends of a link know, what it costs, and a channel for each half."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.channel.wire import Wire, difference, opened, wires_of
from jaxcoopt.draws import Draw
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.run.prepare import prepare

NODES, RUNS = 6, 3
LOG, QSGD = jc.channels.LogQuantizer(rho=0.4, bits=6), jc.channels.QSGD(4)
NETWORK = jc.Network.from_graphs([nx.cycle_graph(NODES), nx.star_graph(NODES - 1)], failure_rate=0.2)


def problem(rng, halves=("allocation", "training")):
    parts = {
        "allocation": jc.Allocation(jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), 0.3), 6.0, 0.0, 3.0),
        "training": jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 5, 3)), rng.normal(size=(NODES, 5))),
    }
    return jc.Problem(**{half: parts[half] for half in halves})


def alone(whole, half):
    return jc.Problem(**{half: getattr(whole, half)})


# ---------------------------------------------------------------- a wire


@pytest.mark.fast
@pytest.mark.parametrize("placement", ["message", "difference", "innovation"])
def test_what_both_ends_know(rng, placement):
    channel = replace(LOG, placement=placement)
    draw, values = Draw(jax.random.key(0), jnp.arange(RUNS)), rng.normal(size=(4, NODES, 2, RUNS))
    quantize = lambda u: np.asarray(channel.quantize(jnp.asarray(u)))  # noqa: E731
    wire, estimate = opened(channel, jnp.asarray(values[0]), draw), quantize(values[0])
    for u in values[1:]:
        wire, estimate = wire.sent(channel, jnp.asarray(u), draw), estimate + quantize(u - estimate)
        known = {"message": quantize(u), "difference": u, "innovation": estimate}[placement]
        np.testing.assert_array_equal(wire.heard(channel, jnp.asarray(u)), known)
        pair = jnp.asarray(known[0]), jnp.asarray(known[1])
        apart = known[1] - known[0]
        np.testing.assert_array_equal(
            difference(channel, *pair), quantize(apart) if placement == "difference" else apart
        )
    assert (wire.known is None) == (placement == "difference")


@pytest.mark.fast
def test_bits_are_those_of_what_is_sent():
    u = {"bias": jnp.zeros((NODES, RUNS)), "weights": jnp.zeros((NODES, 4, 5, RUNS))}
    draw = Draw(jax.random.key(0), jnp.arange(RUNS))
    assert opened(LOG, u, draw).bits(LOG) == 21 * 6
    assert opened(LOG, u, draw, codes=3).bits(LOG) == 21 * 6 + 24
    assert opened(jc.channels.Ideal(), u, draw).bits(jc.channels.Ideal()) == 21 * 64
    of_each_run = replace(QSGD, levels=4)
    wire = opened(of_each_run, u, draw, name="y")
    assert wire.bits(of_each_run) == 2 * 64 + 21 * (1 + 3)
    state = {"x": 1.0, "wires": (wire, [opened(LOG, u["bias"], draw)])}
    assert [type(each) for each in wires_of(state)] == [Wire, Wire]


@pytest.mark.fast
def test_every_method_keeps_what_it_sends_in_wires(rng, unchecked):
    """All but a flow whose nonlinearity needs fewer bits than a price has."""
    for entry in ENTRIES:
        method = jc.CoOptimizer(**{entry.half: entry.build()})
        start = partial(prepare, problem(rng, (entry.half,)), NETWORK, method, RUNS, 0, None, None, jc.Optimum())
        state = jax.eval_shape(start)[1].state
        sent = sum(wire.bits(method.channel) for wire in wires_of(getattr(state, entry.half)))
        counted = np.max(method.bits(state))
        assert counted == sent or (entry.name in ("single_bit_flow", "uniform_flow") and counted < sent), entry.name


# ---------------------------------------------------------------- a channel for each half


def test_each_half_as_if_it_were_alone(rng):
    """Halves meet in the clock alone, so each moves as with its channel and without the other."""
    channels = of_allocation, of_training = LOG, QSGD
    whole, halves = problem(rng), {"allocation": jc.methods.LaplacianFlow(0.1), "training": jc.methods.DIGing(0.05)}
    method = jc.CoOptimizer(**halves, channel=of_training, allocation_channel=of_allocation)
    both = jc.solve(whole, NETWORK, method, 40, runs=RUNS)
    first, second = (
        jc.solve(alone(whole, half), NETWORK, jc.CoOptimizer(**{half: part}, channel=channel), 40, runs=RUNS)
        for (half, part), channel in zip(halves.items(), channels, strict=True)
    )
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    close(both.allocation, first.allocation)
    jax.tree.map(close, both.params, second.params)
    np.testing.assert_allclose(both.trace["bits"], first.trace["bits"] + second.trace["bits"], rtol=1e-15)
    shared = jc.solve(whole, NETWORK, jc.CoOptimizer(**halves, channel=of_training), 40, runs=RUNS)
    assert np.max(np.abs(np.asarray(shared.allocation) - np.asarray(both.allocation))) > 1e-6


def test_auto_looks_at_the_half_s_own_channel():
    whole = problem(np.random.default_rng(0))  # one on which the coarse channel asks for another step, as not all do
    halves = {"allocation": jc.methods.LaplacianFlow("auto"), "training": jc.methods.DGD("auto")}
    coarse = jc.channels.LogQuantizer(rho=1.5, bits=8)
    steps = {}
    for name, channels in {"own": {"allocation_channel": coarse}, "all": {"channel": coarse}, "none": {}}.items():
        method = jc.CoOptimizer(**halves, **channels)
        chosen = jc.solve(whole, NETWORK, method, 2, optimum=jc.Optimum()).method
        steps[name] = float(chosen.allocation.step), float(chosen.training.step)
    assert steps["own"] == (steps["all"][0], steps["none"][1])
    assert steps["all"][0] != steps["none"][0]


def test_swept(rng):
    whole = problem(rng, ("allocation", "training"))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1), jc.methods.DIGing(0.05), allocation_channel=LOG)
    rho = [0.1, 0.4]
    swept = jc.sweep(whole, NETWORK, method, {"allocation_channel.rho": rho}, steps=30, seeds=2)
    for i, value in enumerate(rho):
        single = replace(method, allocation_channel=replace(LOG, rho=value))
        gap = jc.solve(whole, NETWORK, single, 30, runs=2).trace["allocation_gap"][-1]
        np.testing.assert_allclose(swept["allocation_gap"].values[i, ..., -1].ravel(), gap, rtol=1e-6)


TABLE = {
    "steps": 10,
    "network": {"graphs": [{"kind": "topology", "name": "ring", "nodes": NODES}]},
    "allocation": {"budget": 6.0, "upper": 3.0, "cost": [{"kind": "quadratic", "curvature": 1.0, "center": 0.2}]},
    "method": {"allocation": {"kind": "dual_flow"}},
    "channel": {"kind": "ideal"},
}


@pytest.mark.fast
def test_in_a_file():
    own = build(Experiment.model_validate(TABLE | {"allocation_channel": {"kind": "log", "rho": 0.3}})).method
    assert (type(own.channel), type(own.allocation_channel)) == (jc.channels.Ideal, jc.channels.LogQuantizer)
    assert own.allocation_channel.rho == 0.3
    assert build(Experiment.model_validate(TABLE)).method.allocation_channel is None


@pytest.mark.fast
def test_a_channel_without_its_half(rng, unchecked):
    method = jc.CoOptimizer(training=jc.methods.DGD(0.1), allocation_channel=LOG)
    with pytest.raises(ValueError, match=r"allocation_channel: there is no method\.allocation"):
        jc.solve(problem(rng, ("training",)), NETWORK, method, 2)
    method = jc.CoOptimizer(jc.methods.DualFlow(), allocation_channel="log")
    with pytest.raises(TypeError, match=r"allocation_channel: expected one of jaxcoopt\.channels.*'log'"):
        jc.solve(problem(rng, ("allocation",)), NETWORK, method, 2)
    sums_lost = replace(QSGD, placement="difference")
    method = jc.CoOptimizer(jc.methods.DualFlow(), allocation_channel=sums_lost)
    with pytest.raises(ValueError, match="QSGD is random"):
        jc.solve(problem(rng, ("allocation",)), NETWORK, method, 2)


@pytest.mark.fast
@pytest.mark.parametrize("switching", ["cycle", [0, 2, 2, 1, 2]])
def test_how_often_a_graph_was_seen(switching):
    graphs = [nx.cycle_graph(4), nx.path_graph(4), nx.star_graph(3)]
    network, key = jc.Network.from_graphs(graphs, switching=switching), jax.random.key(0)
    counted = np.zeros(3, int)
    for iteration in range(13):
        np.testing.assert_array_equal(network.seen(jnp.asarray(iteration)), counted)
        counted[int(network.graph_at(key, jnp.asarray(iteration)))] += 1
    assert jc.Network.from_graphs(graphs, switching="random").seen(jnp.asarray(3)) is None
