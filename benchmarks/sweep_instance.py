"""The sweep that benchmarks time, on CPUs and on a GPU: 20 levels x 20 steps x seeds of one small problem."""

import networkx as nx
import numpy as np

import jaxcoopt as jc

NODES, PARAMS, SAMPLES, STEPS = 50, 10, 20, 500
LEVELS, RATES = np.geomspace(0.1, 1, 20), np.geomspace(0.001, 0.03, 20)


def instance() -> tuple[jc.Problem, jc.Network, jc.CoOptimizer]:
    """Quadratic costs with bounds, least squares, two regular graphs in turn, quantized links."""
    rng = np.random.default_rng(0)
    allocation = jc.Allocation(
        jc.costs.Quadratic(rng.uniform(1, 3, NODES), rng.uniform(0, 2, NODES)), 60.0, lower=0.0, upper=3.0
    )
    features, targets = rng.normal(size=(NODES, SAMPLES, PARAMS)), rng.normal(size=(NODES, SAMPLES))
    training = jc.Training(jc.losses.Linear(l2=1e-3, intercept=False), features, targets)
    network = jc.Network.from_graphs([nx.random_regular_graph(4, NODES, seed=seed) for seed in range(2)])
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.05), jc.methods.GradientTracking(0.02), jc.channels.LogQuantizer(0.5)
    )
    return jc.Problem(allocation, training), network, method
