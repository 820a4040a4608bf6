"""One network spread over devices, beside one device: python benchmarks/node_shards.py [--nodes 100000].

A random geometric network with its nodes numbered at random, both halves, log-quantized links; 2 devices on 2 cores
say what is gained, 8 simulated ones what a device has to hold and hears. Writes benchmarks/results/node_shards.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from engine.machine import machine

import jaxcoopt as jc
from jaxcoopt.network.blocks import cut
from jaxcoopt.platform import choices
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.node_shards import spread_nodes
from jaxcoopt.run.prepare import prepare

RUNS, PARAMS, SAMPLES, STEPS, DEGREE, REPEATS = 4, 8, 16, 20, 8, 4
RESULT = Path(__file__).parent / "results" / "node_shards.json"


def instance(nodes):
    rng = np.random.default_rng(0)
    graph = nx.random_geometric_graph(nodes, np.sqrt(DEGREE / np.pi / nodes), seed=1)
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    nodes = len(graph)
    graph = nx.relabel_nodes(graph, dict(zip(graph, rng.permutation(nodes).tolist(), strict=True)))
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.normal(size=nodes))
    allocation = jc.Allocation(cost, 0.4 * nodes, 0.0, 3.0)
    features, targets = rng.normal(size=(nodes, SAMPLES, PARAMS)), np.sign(rng.normal(size=(nodes, SAMPLES)))
    training = jc.Training(jc.losses.Logistic(l2=0.1), features, targets)
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.1), jc.methods.GradientTracking(0.02), jc.channels.LogQuantizer(0.3)
    )
    return jc.Problem(allocation, training), jc.Network.from_graphs(graph), method


def timed(parts, **options):
    """(seconds of an iteration, the last result): the median of what more iterations take than few."""
    times = []
    for _ in range(REPEATS):
        took = []
        for steps in (STEPS, 3 * STEPS):
            start = time.perf_counter()
            result = jc.solve(*parts, steps, runs=RUNS, record_every=STEPS, optimum=Optimum(), **options)
            jax.block_until_ready(result.state)
            took.append(time.perf_counter() - start)
        times.append((took[1] - took[0]) / (2 * STEPS))
    return statistics.median(times[1:]), result


def held(parts):
    """What a device holds and hears: bytes as the compiler lays them out, rows of other blocks."""
    start = time.perf_counter()
    split, _ = cut(parts[1], jax.local_device_count())
    seconds = time.perf_counter() - start
    setup, carry = prepare(*parts, RUNS, 0, None, None, Optimum())
    spread = spread_nodes(setup, carry)
    lengths, count = jnp.zeros(choices().records, jnp.int32), jnp.asarray(1, jnp.int32)
    layout = spread.program.lower(spread.setup, spread.carry, lengths, count).compile().memory_analysis()
    heard = sum(rows.shape[0] for rows in split.halo.sent) // jax.local_device_count()
    return {
        "nodes_a_device": -(-parts[1].nodes // jax.local_device_count()),
        "rows_heard_a_device": heard,
        "neighbouring_devices": len(split.halo.offsets),
        "bytes_a_device": layout.argument_size_in_bytes + layout.temp_size_in_bytes,
        "cutting_seconds": round(seconds, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--child", action="store_true", help="measure with the one number of devices, print JSON")
    options = parser.parse_args()
    if options.child:
        jax.config.update("jax_num_cpu_devices", options.devices[0])
        parts = instance(options.nodes)
        one, expected = timed(parts)
        many, result = timed(parts, shard="nodes")
        row = {"devices": options.devices[0], "ms_one_device": 1e3 * one, "ms_all": 1e3 * many, "speedup": one / many}
        apart = np.abs(result.allocation - expected.allocation).max()
        print(json.dumps(row | held(parts) | {"largest_difference_of_x": float(apart)}))
        return
    rows = []
    for devices in options.devices:  # they are made before JAX starts: a process for each
        command = [sys.executable, __file__, "--child", "--nodes", str(options.nodes), "--devices", str(devices)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    report = {"machine": machine(), "nodes": options.nodes, "runs": RUNS, "params": PARAMS, "rows": rows}
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
