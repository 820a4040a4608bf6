"""A small problem that the tests of sweeps share, so that they share its programs."""

import networkx as nx
import numpy as np

import jaxcoopt as jc

NODES, STEPS, EVERY = 5, 40, 10


def problem(rng=None, budget=6.0):
    """Quadratic costs with a box, and least squares."""
    rng = rng or np.random.default_rng(0)
    return jc.Problem(
        allocation=jc.Allocation(
            jc.costs.Quadratic(rng.uniform(1, 3, NODES), rng.uniform(0, 2, NODES)), budget, lower=0.0, upper=3.0
        ),
        training=jc.Training(
            jc.losses.Linear(l2=0.1, intercept=False),
            features=rng.normal(size=(NODES, 4, 2)),
            targets=rng.normal(size=(NODES, 4)),
        ),
    )


def network(failure_rate=0.2):
    """A ring and a path, whose links fail."""
    return jc.Network.from_graphs([nx.cycle_graph(NODES), nx.path_graph(NODES)], failure_rate=failure_rate)


def method():
    """The paper's, on links that take the logarithm."""
    return jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.05), jc.methods.GradientTracking(0.05), jc.channels.LogQuantizer(0.5)
    )


def sweep(grid, **options):
    """`jaxcoopt.sweep` of all that."""
    options = {"seeds": 3, "steps": STEPS, "record_every": EVERY} | options
    makers = {"problem": problem, "network": network, "method": method}
    parts = {name: options.pop(name, None) or make() for name, make in makers.items()}
    return jc.sweep(**parts, grid=grid, **options)
