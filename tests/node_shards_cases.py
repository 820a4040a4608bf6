"""Runs with the nodes spread over devices beside the same on one: `python node_shards_cases.py SEED DEVICES [CASE...]`.

A case is the name of one of `METHODS`, `CHANNELS`, `NETWORKS` or `PROBLEMS`; without one, all are run. In a process of
its own, as devices are made before JAX starts.
"""

import sys
import warnings
from dataclasses import replace
from itertools import zip_longest

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from by_run import ByRun

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES

NODES, RUNS, STEPS = 10, 9, 30  # 4, 4 and 2 on three devices; 3, 3, 3 and 1 on four
C, M = jc.channels, jc.methods

# Rows of both halves in one program. What has settings that compile to other programs stands beside the registry's.
HALVES = [[entry.name for entry in ENTRIES if entry.half == half] for half in ("allocation", "training")]
METHODS = {
    "+".join(filter(None, pair)): dict(zip(("allocation", "training"), pair, strict=True))
    for pair in zip_longest(*HALVES)
}
EXACT = (C.LogQuantizer(0.3), C.LogQuantizer(0.3, bits=6), C.UniformQuantizer(0.1), C.Sign(), C.Clip(0.5), C.TopK(2))
RANDOM = (C.Natural(), C.QSGD(4), C.RandK(2))  # which send no differences


def by_run(placement, channels):
    """Each in a run of its own, so that one program covers them."""
    return ByRun(tuple(replace(channel, placement=placement) for channel in channels), placement)


CHANNELS = {
    "by message": by_run("message", EXACT + RANDOM),
    "by innovation": by_run("innovation", EXACT + RANDOM),
    "by difference": by_run("difference", EXACT),
    "bits of qsgd": C.QSGD(4),
    "bits of rand-k": C.RandK(2, placement="message"),
}


def wheel():
    graph = nx.cycle_graph(NODES)
    graph.add_edges_from((0, i) for i in range(2, NODES - 1))
    return graph


def shuffled(graph, rng):
    return nx.relabel_nodes(graph, dict(enumerate(rng.permutation(NODES).tolist())))


NETWORKS = {
    "ring": lambda rng: jc.Network.from_graphs(nx.cycle_graph(NODES)),
    "star": lambda rng: jc.Network.from_graphs(nx.star_graph(NODES - 1), failure_rate=0.2),
    "buckets": lambda rng: jc.Network.from_graphs(shuffled(wheel(), rng), kernel="buckets"),
    "complete": lambda rng: jc.Network.from_graphs(nx.complete_graph(NODES), weights=0.08),
    "cycle": lambda rng: jc.Network.from_graphs(
        [wheel(), nx.path_graph(NODES)], failure_rate=np.linspace(0, 0.4, RUNS)
    ),
    "random": lambda rng: jc.Network.from_graphs([shuffled(wheel(), rng), nx.cycle_graph(NODES)], switching="random"),
    "sequence": lambda rng: jc.Network.from_graphs([wheel(), nx.path_graph(NODES)], switching=[0, 1, 1]),
}


def training(rng, loss, kind="real"):
    features = rng.normal(size=(NODES, 5, 3))
    labels = {"real": rng.normal(size=(NODES, 5)), "binary": rng.choice([-1, 1], (NODES, 5))}
    labels["integer"] = rng.integers(0, 3, (NODES, 5))
    mask = rng.random((NODES, 5)) < 0.8
    mask[:, 0] = True
    return jc.Training(loss, features, labels[kind], mask, weights=rng.uniform(1, 2, NODES))


def allocation(rng, cost=None):
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.uniform(0, 2, (NODES, RUNS))) if cost is None else cost
    return jc.Allocation(cost, NODES * np.linspace(0.6, 0.7, RUNS), np.full(NODES, 0.1), 2.0)


def problem(rng):
    work = rng.uniform(1, 2, (NODES, RUNS))
    return jc.Problem(allocation(rng), training(rng, jc.losses.Linear(0.1)), work)


def own_cost(x, constants):
    return jnp.exp(constants["rate"] * x) + constants["slope"] * x


PROBLEMS = {
    "latency and power, logistic": lambda rng: jc.Problem(
        allocation(rng, jc.costs.Latency(rng.uniform(1, 2, NODES)) + jc.costs.Power(0.5, 2.5)),
        training(rng, jc.losses.Logistic(0.1), "binary"),
    ),
    "queueing, softmax": lambda rng: jc.Problem(
        allocation(rng, jc.costs.Queueing(rng.uniform(3, 4, NODES))),
        training(rng, jc.losses.Softmax(3, l2=0.1), "integer"),
    ),
    "custom, mlp": lambda rng: jc.Problem(
        allocation(rng, jc.costs.Custom(own_cost, {"rate": rng.uniform(0.5, 1, NODES), "slope": 1.0})),
        training(rng, jc.losses.MLP((3,))),
    ),
}


def case(name, rng):
    """(problem, network, method, whether the budget holds at every iteration)."""
    given = problem(rng), NETWORKS["cycle"](rng)
    usual = jc.CoOptimizer(M.DualFlow(), M.GradientTracking(0.02, batch_size=2), C.LogQuantizer(0.3))
    if name in METHODS:
        rows = {half: entry for half, entry in METHODS[name].items() if entry is not None}
        built = {half: next(row for row in ENTRIES if row.name == entry).build() for half, entry in rows.items()}
        whole = {half: getattr(given[0], half) for half in built}
        sums = "allocation" in built and built["allocation"].keeps_sum
        halves = replace(given[0], **{"allocation": None, "training": None} | whole)
        return halves, given[1], jc.CoOptimizer(**built), sums
    if name in CHANNELS:
        method = jc.CoOptimizer(M.LaplacianFlow(0.02, 0.3), M.ATCTracking(0.02), CHANNELS[name])
        return *given, method, True
    if name in NETWORKS:
        return given[0], NETWORKS[name](rng), usual, True
    return PROBLEMS[name](rng), NETWORKS["ring"](rng), replace(usual, allocation=M.LaplacianFlow(0.02)), True


def compare(name, seed, devices):
    problem, network, method, keeps_sum = case(name, np.random.default_rng(seed))
    convex = problem.training is None or problem.training.loss.convex
    options = {"runs": RUNS, "seed": seed, "record_every": 10, "tol": 1e-3 if convex else None}
    options["optimum"] = jc.reference(problem, NODES)
    one = jc.solve(problem, network, method, STEPS, **options)
    for count in devices:
        jax.local_device_count = lambda count=count: count
        many = jc.solve(problem, network, method, STEPS, shard="nodes", **options)
        results = [(r.allocation, r.params, r.trace, r.status, r.left, r.state) for r in (one, many)]
        for a, b in zip(*map(jax.tree.leaves, results), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=f"{name} on {count} devices")
        assert not keeps_sum or np.max(many.trace["budget_residual"]) <= 1e-13, f"{name} on {count} devices"


if __name__ == "__main__":
    seed, most = int(sys.argv[1]), [int(count) for count in sys.argv[2].split(",")]
    jax.config.update("jax_num_cpu_devices", max(most))
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    for name in sys.argv[3:] or [*METHODS, *CHANNELS, *NETWORKS, *PROBLEMS]:
        compare(name, seed, most)
        print(name, flush=True)
