"""Compiled programs in a folder: the next process finds them."""

import json
import subprocess
import sys

import jax
import pytest

import jaxcoopt as jc

SOLVE = """
import json
import networkx as nx
import numpy as np
import jaxcoopt as jc

cache = jc.compilation_cache({folder!r})
cost = jc.costs.Quadratic(np.ones(4), np.arange(4.0))
problem = jc.Problem(jc.Allocation(cost, 4.0, 0.0, 3.0))
method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1))
jc.solve(problem, jc.Network.from_graphs(nx.cycle_graph(4)), method, steps=2)
print(json.dumps([cache.found, cache.compiled, repr(cache)]))
"""


def test_a_second_process_finds_all_programs(tmp_path):
    folder = str(tmp_path / "new" / "xla")
    first, second = (
        json.loads(subprocess.run([sys.executable, "-c", SOLVE.format(folder=folder)], check=True, stdout=-1).stdout)
        for _ in range(2)
    )
    assert first[0] == 0
    assert 0 < first[1] <= 6  # programs to a first answer
    assert second[:2] == [first[1], 0]
    assert second[2] == f"CompilationCache({folder!r}, found={first[1]}, compiled=0)"


def test_the_folder_in_use_stays():
    before = jax.config.values["jax_compilation_cache_dir"]
    assert str(jc.compilation_cache().folder) == before


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        jc.compilation_cache(tmp_path / "file" / "xla")
