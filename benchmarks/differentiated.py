"""What it takes to differentiate a run: python benchmarks/differentiated.py [--steps 10000].

100 nodes, 10 parameters, 64 runs, both halves over log-quantized links. Reverse mode (the gradient of the last gaps
with respect to four settings) and forward mode (one of them) beside the plain run: seconds, and bytes of working memory
as the compiler lays them out. All compiled before they are timed, with vectors of 256 bits, which is XLA's default on a
CPU, and of 512, which `jaxcoopt.solve` and `jaxcoopt.tune` ask for themselves. solve: the same run outside of jit.
Writes benchmarks/results/differentiated.json.
"""

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import jax
import networkx as nx
import numpy as np
from engine.machine import machine

import jaxcoopt as jc

NODES, PARAMS, SAMPLES, RUNS, REPEATS = 100, 10, 20, 64, 5
RESULT = Path(__file__).parent / "results" / "differentiated.json"


def instance():
    rng = np.random.default_rng(0)
    allocation = jc.Allocation(
        jc.costs.Quadratic(rng.uniform(1, 3, NODES), rng.uniform(0, 2, NODES)), 1.2 * NODES, lower=0.0, upper=3.0
    )
    features, targets = rng.normal(size=(NODES, SAMPLES, PARAMS)), rng.normal(size=(NODES, SAMPLES))
    training = jc.Training(jc.losses.Linear(l2=1e-3, intercept=False), features, targets)
    return jc.Problem(allocation, training), jc.Network.from_graphs(nx.random_regular_graph(4, NODES, seed=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--record-every", type=int, nargs="+", default=[100, 10_000])
    options = parser.parse_args()
    problem, network = instance()
    optimum = jc.reference(problem)
    settings = {"step": 0.05, "momentum": 0.3, "rate": 0.02, "rho": 0.5}
    rows = []
    for every, vectors in itertools.product(options.record_every, (256, 512)):

        def gaps(settings, every=every):
            method = jc.CoOptimizer(
                jc.methods.LaplacianFlow(settings["step"], settings["momentum"]),
                jc.methods.GradientTracking(settings["rate"]),
                jc.channels.LogQuantizer(settings["rho"]),
            )
            result = jc.solve(problem, network, method, options.steps, runs=RUNS, record_every=every, optimum=optimum)
            return sum(result.trace[name][-1].mean() for name in ("allocation_gap", "training_gap"))

        def forward(settings, gaps=gaps):
            return jax.jvp(lambda rate: gaps(settings | {"rate": rate}), (settings["rate"],), (1.0,))[1]

        row, programs = {"record_every": every, "vector_bits": vectors}, {"solve": gaps}
        for name, function in (("plain", gaps), ("reverse", jax.grad(gaps)), ("forward", forward)):
            start = time.perf_counter()
            programs[name] = jax.jit(function).lower(settings).compile({"xla_cpu_prefer_vector_width": vectors})
            row[name] = {
                "compile_seconds": round(time.perf_counter() - start, 1),
                "working_bytes": programs[name].memory_analysis().temp_size_in_bytes,
            }
        jax.block_until_ready(gaps(settings))
        times = {name: [] for name in programs}
        for _ in range(REPEATS):  # in turn, so that what else the machine does meets all of them
            for name, program in programs.items():
                start = time.perf_counter()
                jax.block_until_ready(program(settings))
                times[name].append(time.perf_counter() - start)
        for name, each in times.items():
            row[name] = row.get(name, {}) | {"seconds": round(statistics.median(each), 3)}
        for over in ("plain", "solve"):
            for name in ("reverse", "forward"):
                ratios = [a / b for a, b in zip(times[name], times[over], strict=True)]
                row[f"{name}_over_{over}"] = round(statistics.median(ratios), 2)
        print(row, flush=True)
        rows.append(row)
    report = {
        "machine": machine(),
        "steps": options.steps,
        "nodes": NODES,
        "params": PARAMS,
        "runs": RUNS,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
