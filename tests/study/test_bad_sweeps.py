"""What a sweep refuses, before anything of it runs, and in which words."""

import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import small

import jaxcoopt as jc
from jaxcoopt.study import run_chunks
from jaxcoopt.study.processes import joined

LEAF = replace(small.method(), channel=jc.channels.LogQuantizer(np.array([0.1, 0.2])))
OTHER_NODES = {"small": small.network(), "large": jc.Network.from_graphs(nx.cycle_graph(9))}
CASES = {
    "an unknown name": ({"channel.rho_": [1.0]}, {}, ValueError, "did you mean 'channel.rho'"),
    "an unknown name in a root": ({"problem.allocation.budgett": [1.0]}, {}, ValueError, "or 'allocation.budget'"),
    "two places": ({"training": [1.0]}, {}, ValueError, "may be method.training or problem.training; say which"),
    "no name": ({}, {}, ValueError, "grid: it is empty"),
    "an empty axis": ({"channel.rho": []}, {}, ValueError, r"grid\['channel.rho'\]: it is empty"),
    "a value twice": ({"channel.rho": [0.5, 0.5]}, {}, ValueError, "a value is there twice"),
    "a number": ({"channel.rho": 0.5}, {}, TypeError, "expected a list of values"),
    "a text": ("channel.rho", {}, TypeError, "expected a dict name -> values, or a list of dicts"),
    "no points": ([], {}, ValueError, "the list of points is empty"),
    "points that differ": ([{"channel.rho": 1.0}, {"training.step": 1.0}], {}, ValueError, "give every point the same"),
    "objects without labels": ({"network": [small.network()]}, {}, TypeError, "a dict label -> value"),
    "one setting by two names": (
        {"channel.rho": [0.1], "method.channel.rho": [0.2]},
        {},
        ValueError,
        "method.channel.rho is set by two names",
    ),
    "a name every sweep has": ({"seed": [1]}, {}, ValueError, "a dimension that every sweep has"),
    "a setting that means nothing": ({"channel.rho": [0.5, -1.0]}, {}, ValueError, "^at channel.rho=-1.0: .*rho"),
    "settings that contradict": (
        {"channel": {"log": jc.channels.LogQuantizer(), "ideal": jc.channels.Ideal()}, "channel.rho": [0.5]},
        {},
        ValueError,
        "method.channel.rho is not there in Ideal, which another axis sets",
    ),
    "a network of other nodes": ({"network": OTHER_NODES}, {}, ValueError, "at network=large.*5 nodes.* 9"),
    "a rate of failures": ({"failure_rate": [0.1, 1.5]}, {}, ValueError, "failure_rate.*chance"),
    "a base with runs": ({"training.step": [0.1]}, {"method": LEAF}, ValueError, "channel.rho: expected a scalar"),
    "no seeds": ({"channel.rho": [0.5]}, {"seeds": 0}, ValueError, "seeds: expected 1 or more"),
    "seeds twice": ({"channel.rho": [0.5]}, {"seeds": [1, 1]}, ValueError, "seeds: one is there twice"),
    "no steps": ({"channel.rho": [0.5]}, {"steps": 0}, ValueError, "steps: expected 1 or more"),
    "no memory": ({"channel.rho": [0.5]}, {"memory": 10_000_000}, MemoryError, "give at least about .* MiB"),
    "memory below 0": ({"channel.rho": [0.5]}, {"memory": -5}, ValueError, "memory: must be above 0, got -5"),
    "a memory of 0": ({"channel.rho": [0.5]}, {"memory": "0 GiB"}, ValueError, "memory: must be above 0, got 0"),
    "much memory": ({"channel.rho": [0.5]}, {"memory": "much"}, ValueError, "memory: expected a size such as 4GiB"),
    "a tol below 0": ({"channel.rho": [0.5]}, {"tol": -1.0}, ValueError, "^tol: must be above 0"),
    "a tol that is none": ({"channel.rho": [0.5]}, {"tol": np.nan}, ValueError, "^tol: must be a finite number"),
    "tols": ({"channel.rho": [0.5]}, {"tol": np.ones(3)}, ValueError, "tol: expected a number, the same for all runs"),
    "a setting that the first object has not": (
        {"channel": {"i": jc.channels.Ideal(), "l": jc.channels.LogQuantizer()}, "channel.rho": [0.1, 0.2]},
        {},
        ValueError,
        "'channel.rho' is not there with channel=i, which another axis sets",
    ),
    "a number beyond floats": ({"channel.rho": [10**400]}, {}, ValueError, "a number is too large for a float"),
    "a budget among good ones": (
        {"problem.allocation.budget": [6.0, 1000.0, -5.0]},
        {},
        ValueError,
        r"^at problem.allocation.budget=1000.0: allocation.budget: 1000 lies",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case, monkeypatch, untyped):
    grid, options, kind, words = CASES[case]
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(kind, match=words):
        small.sweep(grid, **options)


LINE = np.linspace(0.01, 0.05, 10**5)


@pytest.mark.parametrize(
    ("grid", "seeds", "into", "kind", "words"),
    [
        ({"training.step": LINE}, 10**5, None, MemoryError, "10,000,000,000 runs take .* are free; .* or give store="),
        (
            {"training.step": LINE, "failure_rate": LINE},
            1000,
            "huge",
            OSError,
            "10,000,000,000,000 runs .* the disk has",
        ),
        ({"channel.rho": [0.5]}, 10**15, None, MemoryError, "record less often"),
    ],
)
def test_more_numbers_than_there_is_room_for(grid, seeds, into, kind, words, monkeypatch, tmp_path):
    monkeypatch.setattr("jaxcoopt.study.sweep.axes_of", lambda *_: pytest.fail("points were made"))
    with pytest.raises(kind, match=words):
        small.sweep(grid, seeds=seeds, store=into and tmp_path / "not" / "there" / into)
    assert not any(tmp_path.iterdir())


def test_the_memory_that_is_said_to_do_does(untyped):
    with pytest.raises(MemoryError) as error:
        small.sweep({"channel.rho": [0.5]}, memory=10_000_000)
    enough = re.search(r"at least about ([0-9,]+ MiB)", str(error.value))
    small.sweep({"channel.rho": [0.5]}, memory=enough[1].replace(",", ""))


@pytest.mark.parametrize("distribution", [0.5, "text", []])
def test_sample_refuses(distribution):
    with pytest.raises(TypeError, match=r"distributions\['channel.rho'\]: expected a frozen scipy.stats distribution"):
        jc.sample({"channel.rho": distribution}, count=2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("localhost:1", None, None), "--processes: missing"),
        ((None, 2, 0), "--coordinator: missing"),
        (("localhost:1", 2, 2), "--process-id: expected 0 to 1, got 2"),
    ],
)
def test_joined_refuses(given, words):
    with pytest.raises(ValueError, match=words), joined(*given):
        pytest.fail("it joined")
