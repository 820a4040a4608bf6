"""Axes are declared, not guessed: what grows with the nodes, or with the runs, is what is cut along them."""

import jax
import networkx as nx
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import jaxcoopt as jc
from jaxcoopt.layout import ALONG_NODES, ANY, WHOLE, Axes, axes_of, check_axes, specs
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.run.prepare import prepare

pytestmark = pytest.mark.fast


def prepared(entry, nodes, runs):
    """Setup and carry, as shapes."""
    each = np.full(runs, 0.5)
    cost = jc.costs.Quadratic(np.ones((nodes, runs)), np.full(nodes, 0.3), 0.0)
    training = jc.Training(jc.losses.Linear(each), np.ones((nodes, 5, 3)), np.ones((nodes, 5)), weights=np.ones(nodes))
    halves = {
        "allocation": {"allocation": jc.Allocation(cost, 6.0, 0.0, np.full(nodes, 3.0))},
        "training": {"training": training},
    }
    problem = jc.Problem(**halves[entry.half], work=np.ones(nodes))
    network = jc.Network.from_graphs([nx.cycle_graph(nodes), nx.star_graph(nodes - 1)], failure_rate=0.1 * each)
    method = jc.CoOptimizer(**{entry.half: entry.build()})
    return jax.eval_shape(lambda: prepare(problem, network, method, runs, 0, None, None, jc.Optimum()))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_grows_with_the_nodes_is_cut_along_them(unchecked, entry):
    few, many = prepared(entry, 6, 41), prepared(entry, 7, 41)
    cut = specs(few, ALONG_NODES, "nodes")
    leaves = zip(*(jax.tree_util.tree_leaves_with_path(tree) for tree in (few, many, cut)), strict=True)
    for (path, small), (_, large), (_, spec) in leaves:
        grown = [i for i, (a, b) in enumerate(zip(small.shape, large.shape, strict=True)) if a != b]
        name = jax.tree_util.keystr(path)
        if "network.shifts" in name or "network.matrix" in name:  # kernels that blocks of nodes do not use
            continue
        assert spec == (PartitionSpec(*[None] * grown[0], "nodes") if grown else WHOLE), name


def test_a_name_is_found_from_both_ends():
    state, rows = Axes(("nodes", ANY, "runs")), Axes(("nodes", "runs"))
    assert [state.where(("runs",), ndim) for ndim in (1, 2, 4)] == [0, 1, 3]
    assert [state.where(("nodes",), ndim) for ndim in (1, 2, 4)] == [None, 0, 0]
    assert [rows.where(("runs",), ndim) for ndim in (0, 1, 2)] == [None, None, 1]


def test_what_a_class_does_not_declare_is_as_what_holds_it():
    cost = jc.costs.Custom(lambda x, p: p["a"] * x**2, {"a": np.ones((3, 1)), "b": 1.0})
    axes = axes_of(jc.Allocation(cost, 1.0, upper=np.ones((3, 4))))
    assert axes.cost.parameters == {"a": ("nodes", "runs"), "b": ("nodes", "runs")}
    assert (axes.budget, axes.upper) == (("runs",), ("nodes", "runs"))


@pytest.mark.parametrize("shape", [(4,), (3, 3), (3, 1, 1)])
def test_a_wrong_shape_is_told_what_is_wanted(shape):
    with pytest.raises(ValueError, match=r"u: .*expected a scalar, \[nodes\] = \(3,\) or \[nodes, runs\] = \(3, 2\)"):
        check_axes("u", np.zeros(shape), ("nodes", "runs"), {"nodes": 3, "runs": 2})
