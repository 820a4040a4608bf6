"""What the tests of tuning share, and with it their programs."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

NODES, STEPS = 6, 20
NETWORK = jc.Network.from_graphs([nx.cycle_graph(NODES), nx.star_graph(NODES - 1)])
METHOD = jc.CoOptimizer(
    jc.methods.LaplacianFlow(0.05, 0.1), jc.methods.GradientTracking(0.02), jc.channels.LogQuantizer(0.8)
)
FLOW = replace(METHOD, training=None)

# Runs are few, short and coarsely rounded here: what is told of slopes and parts depends on the problem that is drawn.
MAY_BE_TOLD = [
    pytest.mark.filterwarnings("ignore:.*has no useful derivative:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*got worse:RuntimeWarning"),
]


def shares(rng, instances=NODES):  # as many as nodes: no axis can be told from another by its size
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, (NODES, instances)), rng.normal(size=(NODES, instances)))
    return jc.Allocation(cost, np.full(instances, float(NODES)))


def training(rng):
    return jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 8, 3)), rng.normal(size=(NODES, 8)))
