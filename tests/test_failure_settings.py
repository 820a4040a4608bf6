"""Link failures in files, and what is refused."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from test_failures import GRAPH, METHOD, MODELS, PROBLEM, RATES, RUNS, F, network

import jaxcoopt as jc
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.method_tables import FAILURES
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.sweep_axes import axes_of_keys
from jaxcoopt.experiments.sweep_tables import Sweep
from jaxcoopt.run.names import Trio
from jaxcoopt.study.plan import plan


def table(**of_network: Any) -> dict[str, Any]:
    """Of a TOML file."""
    return {
        "steps": 2,
        "network": {"graphs": [{"kind": "topology", "name": "ring", "nodes": 4}], **of_network},
        "allocation": {"budget": 4.0, "cost": [{"kind": "quadratic", "curvature": 1.0, "center": 1.0}]},
        "method": {"allocation": {"kind": "laplacian_flow", "step": 0.1}},
    }


BURSTS = {"kind": "bursts", "rate": 0.1, "length": 5}


def test_every_model_is_a_kind_of_a_file():
    files = {
        "independent": {"rate": 0.2},
        "bursts": {"rate": 0.1, "length": 5},
        "node_failures": {"rate": 0.1},
        "outages": {"up": [[1, 0, 1, 1], [1, 1, 1, 0]]},
    }
    assert files.keys() == FAILURES.keys()
    assert {type(each) for each in MODELS.values()} == set(FAILURES.values())
    for kind, settings in files.items():
        built = build(Experiment.model_validate(table(failures={"kind": kind, **settings}))).network
        assert type(built.failures) is FAILURES[kind]
        for name, value in settings.items():
            np.testing.assert_array_equal(getattr(built.failures, name), value)


def test_failures_of_a_file_are_swept():
    base = table(failures=BURSTS)
    built = build(Experiment.model_validate(base))
    grid = {
        "network.failures.length": [2.0, 8.0],
        "network.failures": {"all": BURSTS, "nodes": {"kind": "node_failures", "rate": 0.1}},
    }
    lengths, kinds = axes_of_keys(base, Sweep.model_validate({"grid": grid}), built)
    assert [str(place) for place in lengths.places] == ["network.failures.length"]
    assert [str(place) for place in kinds.places] == ["network.failures"]
    assert plan(Trio(built.problem, built.network, built.method), (lengths,)).rides == (True,)


@pytest.mark.parametrize(
    ("of_network", "words"),
    [
        ({"failures": {**BURSTS, "length": 0.5}}, r"network.failures.length: must be at least 1, got 0.5"),
        ({"failures": {**BURSTS, "rate": 0.9}}, "network.failures: links that are down 0.9 of the time"),
        ({"failures": BURSTS, "failure_rate": 0.1}, "network.failures: got Bursts, and failure_rate"),
        ({"failures": {"kind": "outages", "up": [[1, 0]]}}, "network.failures.up: it has 2 edges"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(of_network, words):
    with pytest.raises(ValueError, match=words):
        build(Experiment.model_validate(table(**of_network)))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("failures", "error", "words"),
    [
        (F.Bursts(0.9, 2), ValueError, r"up for 0.222 iterations.*length = 9 or more, or rate = 0.666 or less"),
        (F.Bursts(RATES, np.full(RUNS, 0.5)), ValueError, "failures.length: must be at least 1, got 0.5"),
        (F.Bursts(1.0, 2.0), ValueError, "failures.rate: must be below 1, got 1"),
        (F.Bursts("often", 2.0), TypeError, "failures.rate: expected a real number.*'often'"),
        (F.Bursts([0.1, 0.2], 2.0), TypeError, "failures.rate: got a list"),
        (F.Bursts(np.nan, 2.0), ValueError, "failures.rate: .*finite"),
        (F.NodeFailures(0.8, 2), ValueError, "nodes that are down 0.8 of the time, 2 iterations at a time"),
        (F.Outages(np.ones((3, 4))), ValueError, "failures.up: it has 4 edges, the network has 10"),
        (F.Outages(np.full((3, 10), 0.5)), ValueError, r"expected 1 \(up\) or 0 \(down\), got 0.5"),
        (F.Outages(np.ones(10)), ValueError, r"failures.up: expected \[length, edges\]"),
        (0.1, TypeError, r"failures: expected one of jaxcoopt.failures, such as Bursts\(0.1, 5\), got 0.1"),
        (F.Bursts, TypeError, "failures: expected one of jaxcoopt.failures"),
    ],
)
def test_wrong_failures_are_refused(untyped, failures, error, words):
    with pytest.raises(error, match=words):
        network(failures)


@pytest.mark.fast
def test_failures_that_do_not_fit_the_rest_are_refused():
    bursts = F.Bursts(0.1, 2.0)
    with pytest.raises(ValueError, match=r"failures: got Bursts, and failure_rate .* give one of the two"):
        network(bursts, failure_rate=0.1)
    with pytest.raises(ValueError, match=r"network.failures: got Bursts, and failure_rate"):
        jc.solve(PROBLEM, replace(network(bursts), failure_rate=0.1), METHOD, 2)
    with pytest.raises(ValueError, match="failures: where a directed link is down"):
        network(bursts, nx.DiGraph([(0, 1), (1, 2), (2, 0)]), weights=0.3)
    with pytest.raises(ValueError, match=r"network.failures.rate: expected a scalar or \[runs\] = \(2,\)"):
        jc.solve(PROBLEM, network(MODELS["bursts"]), METHOD, 2, runs=2)
    with pytest.raises(ValueError, match="kernel: 'dense' cannot leave out the links that fail"):
        network(bursts, kernel="dense")
    with pytest.raises(ValueError, match=r"up: \('b', 'd'\) is no node and no link"):
        F.Outages.by_name({("b", "d"): [1, 0]}, GRAPH)
    with pytest.raises(ValueError, match=r"lists of one length"):
        F.Outages.by_name({"b": [1, 0], "c": [1]}, GRAPH)
    with pytest.raises(ValueError, match=r"'failures.lenght' is not known; did you mean 'failures.length'"):
        jc.sweep(PROBLEM, network(bursts), METHOD, {"failures.lenght": [1.0]}, steps=2)


@jc.pytree
@dataclass(frozen=True)
class Broken(F.Failures):
    """Gives what it is told to."""

    state: Any
    links: Any

    def init(self, draw):
        return self.state

    def step(self, state, draw):
        return self.links, None if state is None else state.astype(int)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("state", "links", "words"),
    [
        (None, np.ones((10, 1)), r"Broken.step gives float64\[10, 1\] for the links, expected bool\[10, 1\]"),
        (np.zeros((10, 1), bool), np.ones((10, 1), bool), "Broken.step remembers int.*Broken.init began with bool"),
        (
            np.zeros((4, 1), int),
            np.ones((10, 1), bool),
            r"Broken.init gives int64\[4, 1\], expected \[edges, ..., runs\]",
        ),
    ],
)
def test_models_of_ones_own_are_told_what_they_do_wrong(state, links, words):
    net = replace(jc.Network.from_graphs(GRAPH), failures=Broken(state, links))
    with pytest.raises(TypeError, match=f"network.failures: {words}"):
        net.memory(jax.random.key(0), jnp.arange(1))
