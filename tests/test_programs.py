"""Compiled programs are let go where new shapes have taken much, and no sooner."""

import subprocess
import sys

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt import programs

LOOP = """
import networkx as nx, numpy as np, psutil, jaxcoopt as jc
from jaxcoopt import programs

programs.MOST = 100 * 2**20
method, resident = jc.CoOptimizer(jc.methods.LaplacianFlow(0.01)), []
for n in range(10, 15):
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.linspace(1, 2, n), 1.0), 3.0 * n, 0.0, 10.0))
    jc.solve(problem, jc.Network.from_graphs(nx.cycle_graph(n)), method, 10)
    resident.append(psutil.Process().memory_info().rss)
print(*resident)
"""


@pytest.mark.slow
def test_a_loop_over_numbers_of_nodes_does_not_grow():
    """By 68 MiB a number where nothing is let go. With the library's own limit: benchmarks/many_shapes.py."""
    done = subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, check=True)
    first, *others = (int(number) / 2**20 for number in done.stdout.split())
    print(f"{first:.0f} MiB after the first, then {others}")
    assert max(others) < first + 60


@pytest.fixture
def kept(monkeypatch):
    """A list of what was let go; nothing of the other tests' is."""
    gone = []
    monkeypatch.setattr(programs, "_seen", set())
    monkeypatch.setattr(programs, "_taken", 0)
    monkeypatch.setattr(programs, "MOST", 2**30)
    monkeypatch.setattr(jax, "clear_caches", lambda: gone.append(len(programs._seen)))
    return gone


def call(*arguments):
    with programs.bounded_programs(*arguments):
        pass


@pytest.mark.fast
def test_programs_go_where_new_shapes_have_taken_much(kept, monkeypatch):
    call(np.zeros(3))
    monkeypatch.setattr(programs, "_taken", programs.MOST + 1)
    call(np.ones(3))  # as before
    assert kept == []
    call(np.zeros(4))
    assert kept == [1]
    call(np.zeros(3))
    assert kept == [1]
    assert len(programs._seen) == 2


@pytest.mark.fast
def test_nothing_goes_within_a_call_or_inside_jit(kept, monkeypatch):
    monkeypatch.setattr(programs, "_taken", programs.MOST + 1)

    def inside(x):
        call(np.zeros(5))
        call(x)
        return x

    jax.jit(inside)(1.0)
    jax.grad(lambda x: [call(x), x][1])(1.0)
    assert kept == []
    with programs.bounded_programs(np.zeros(6)):
        assert kept == [0]
        monkeypatch.setattr(programs, "_taken", programs.MOST + 1)
        call(np.zeros(7))
    assert kept == [0]


def test_a_run_is_the_same_after_programs_are_gone():
    cost = jc.costs.Quadratic(1.0, np.linspace(0, 2, 6))
    problem, network = jc.Problem(jc.Allocation(cost, 6.0)), jc.Network.from_graphs(nx.cycle_graph(6))
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1), channel=jc.channels.LogQuantizer())
    first = jc.solve(problem, network, method, 3)
    programs.free_programs()
    again = jc.solve(problem, network, method, 3)
    np.testing.assert_array_equal(first.allocation, again.allocation)
