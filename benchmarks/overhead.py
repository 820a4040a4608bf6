"""What a solve costs beside its iterations, and how long the first answer takes; every case in a process of its own.

python benchmarks/overhead.py            writes results/overhead.json
python benchmarks/overhead.py CASE       one case, as JSON
"""

import json
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "overhead.json"
CASES = {  # nodes, links of each, allocation's method
    "dual 10": (10, 2, "DualFlow"),
    "laplacian 10": (10, 2, "LaplacianFlow"),
    "dual 20": (20, 4, "DualFlow"),
    "dual 1000": (1000, 8, "DualFlow"),
    "laplacian 1000": (1000, 8, "LaplacianFlow"),
}
STEPS, TURNS = 100, 9
COMPILED = "/jax/core/compile/backend_compile_duration"


def measure(nodes: int, degree: int, flow: str) -> dict:
    """The first solve from a fresh process with the import, then `TURNS` of one iteration, each on new numbers."""
    import jax
    import networkx as nx
    import numpy as np

    import jaxcoopt as jc

    imported, programs = time.process_time(), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: programs.append(seconds) if name == COMPILED else None
    )
    network = jc.Network.from_graphs(nx.random_regular_graph(degree, nodes, seed=0))
    allocation = jc.methods.DualFlow() if flow == "DualFlow" else jc.methods.LaplacianFlow(0.05)
    method = jc.CoOptimizer(allocation, jc.methods.GradientTracking(0.05), jc.channels.LogQuantizer())

    def problem(seed: int) -> jc.Problem:
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(nodes, 30, 5))
        labels = np.sign(features @ rng.normal(size=5) + rng.normal(size=(nodes, 30)))
        cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(1, 5, nodes))
        return jc.Problem(
            jc.Allocation(cost, 3.0 * nodes, np.zeros(nodes), np.full(nodes, 10.0)),
            jc.Training(jc.losses.Logistic(l2=1e-2), features, labels),
        )

    jc.solve(problem(0), network, method, STEPS)
    first = {
        "programs": len(programs),
        "compile_s": sum(programs),
        "longest_compile_s": max(programs),
        "cpu_s": time.process_time(),
        "import_cpu_s": imported,
    }
    programs.clear()
    wall, processor = [], []
    for seed in range(1, TURNS + 1):
        given = problem(seed)
        begin, busy = time.perf_counter(), time.process_time()
        jc.solve(given, network, method, 1)
        wall.append(1e3 * (time.perf_counter() - begin))
        processor.append(1e3 * (time.process_time() - busy))
    again = {"programs": len(programs), "least_wall_ms": min(wall), "least_cpu_ms": min(processor)}
    return {"first": first, "again": again | {"median_cpu_ms": float(np.median(processor))}}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(*CASES[sys.argv[1]])))
        return
    found = {}
    for name in CASES:
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout)
        print(name, found[name], flush=True)
    versions = {package: version(package) for package in ("jax", "jaxlib", "numpy")}
    text = json.dumps({"machine": platform.processor(), "versions": versions, "cases": found}, indent=1)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
