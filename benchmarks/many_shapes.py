"""How much memory a notebook's loop over numbers of nodes takes, as each needs programs of its own.

    python benchmarks/many_shapes.py             # 10 to 39 nodes; writes benchmarks/results/many_shapes.json
    python benchmarks/many_shapes.py --shapes 5  # a look, printed only

Dual flow and gradient tracking of logistic regression over log-quantized links, compiled as for a user and anew for
each number of nodes. It is to stay below 2 GiB: programs are let go where new shapes have taken much.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import jax
import networkx as nx
import numpy as np
import psutil

import jaxcoopt as jc

SHAPES = 30
MOST_MIB = 2048


def problem(rng: np.random.Generator, nodes: int) -> jc.Problem:
    features = rng.normal(size=(nodes, 30, 5))
    labels = np.sign(features @ rng.normal(size=5) + rng.normal(size=(nodes, 30)))
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(1, 5, nodes))
    return jc.Problem(
        jc.Allocation(cost, 3.0 * nodes, np.zeros(nodes), np.full(nodes, 10.0)),
        jc.Training(jc.losses.Logistic(l2=1e-2), features, labels),
    )


def resident(shapes: int) -> dict[int, int]:
    """MiB of the process after each number of nodes."""
    rng, process = np.random.default_rng(0), psutil.Process()
    method = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.GradientTracking(0.05), jc.channels.LogQuantizer())
    found = {}
    for nodes in range(10, 10 + shapes):
        jc.solve(problem(rng, nodes), jc.Network.from_graphs(nx.cycle_graph(nodes)), method, 100, progress=False)
        found[nodes] = process.memory_info().rss >> 20
        print(f"{nodes} nodes: {found[nodes]} MiB", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=SHAPES)
    shapes = parser.parse_args().shapes
    jax.config.update("jax_enable_compilation_cache", False)
    begin = time.perf_counter()
    found = resident(shapes)
    table = {
        "machine": f"{platform.machine()}, {psutil.cpu_count(logical=False)} cores",
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "resident_mib_after_nodes": found,
        "most_mib": max(found.values()),
        "wall_seconds": round(time.perf_counter() - begin, 1),
    }
    print(json.dumps({name: table[name] for name in ("most_mib", "wall_seconds")}))
    if shapes == SHAPES:
        out = Path(__file__).parent / "results" / "many_shapes.json"
        out.write_text(json.dumps(table, indent=1) + "\n")
    if table["most_mib"] > MOST_MIB:
        raise SystemExit(f"above {MOST_MIB} MiB")


if __name__ == "__main__":
    main()
