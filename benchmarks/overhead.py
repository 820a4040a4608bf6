"""What a solve costs beside its iterations, and how long the first answer takes; every case in a process of its own.

python benchmarks/overhead.py            writes results/overhead.json, in about 8 minutes
python benchmarks/overhead.py CASE       one case, as JSON

The first answer: the package imported, and 100 iterations of both halves over quantized links, on 10 nodes, with
every program compiled. "kept": the same in another process, which finds them in the folder of `jc.compilation_cache()`.
Again: one iteration on new numbers of the same shapes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "overhead.json"
AGAIN = {"again, 20 nodes": (20, 4), "again, 1,000 nodes": (1000, 8)}  # nodes, links of each
STEPS, TURNS = 100, 9
COMPILED = "/jax/core/compile/backend_compile_duration"
FOLDER = "JAX_COMPILATION_CACHE_DIR"


def made(nodes: int, degree: int, seed: int) -> Any:
    """Quadratic costs within bounds, logistic regression, and their network."""
    import networkx as nx
    import numpy as np

    import jaxcoopt as jc

    rng = np.random.default_rng(seed)
    features = rng.normal(size=(nodes, 30, 5))
    labels = np.sign(features @ rng.normal(size=5) + rng.normal(size=(nodes, 30)))
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.uniform(1, 5, nodes))
    problem = jc.Problem(
        jc.Allocation(cost, 3.0 * nodes, np.zeros(nodes), np.full(nodes, 10.0)),
        jc.Training(jc.losses.Logistic(l2=1e-2), features, labels),
    )
    return problem, jc.Network.from_graphs(nx.random_regular_graph(degree, nodes, seed=0))


def first(name: str) -> dict[str, Any]:
    """The first answer of a method of the registry, beside the simplest one of the other half."""
    import jax

    import jaxcoopt as jc
    from jaxcoopt.methods.registry import ENTRIES

    imported, programs = time.process_time(), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: programs.append(seconds) if name == COMPILED else None
    )
    kept = jc.compilation_cache() if os.environ.get(FOLDER) else None
    entry = next(each for each in ENTRIES if each.name == name)
    halves = {"allocation": jc.methods.LaplacianFlow(0.05), "training": jc.methods.GradientTracking(0.05)}
    channel = jc.channels.Natural() if name == "lead" else jc.channels.LogQuantizer()  # which must have no bias
    method = jc.CoOptimizer(**halves | {entry.half: entry.build()}, channel=channel)
    problem, network = made(10, 2, 0)
    jc.solve(problem, network, method, STEPS)
    found = {"programs": len(programs), "cpu_s": round(time.process_time(), 2), "import_cpu_s": round(imported, 2)}
    return found if kept is None else found | {"found": kept.found, "compiled": kept.compiled}


def again(nodes: int, degree: int) -> dict[str, Any]:
    """`TURNS` solves of one iteration, each on new numbers."""
    import numpy as np

    import jaxcoopt as jc

    method = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.GradientTracking(0.05), jc.channels.LogQuantizer())
    walls, busy = [], []
    for seed in range(TURNS + 1):
        problem, network = made(nodes, degree, seed)
        begin, cpu = time.perf_counter(), time.process_time()
        jc.solve(problem, network, method, 1)
        walls.append(1e3 * (time.perf_counter() - begin))
        busy.append(1e3 * (time.process_time() - cpu))
    return {"median_wall_ms": round(np.median(walls[1:]), 1), "median_cpu_ms": round(np.median(busy[1:]), 1)}


def one(case: str, folder: str = "") -> dict[str, Any]:
    """A case, in a process that keeps its programs in this folder, or nowhere."""
    begin = time.perf_counter()
    command, outside = [sys.executable, __file__, case], {FOLDER: folder} if folder else {}
    environment = {key: value for key, value in os.environ.items() if key != FOLDER} | outside
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout) | {"wall_s": round(time.perf_counter() - begin, 2)}


def main() -> None:
    """One case, or all."""
    if len(sys.argv) > 1:
        case = sys.argv[1]
        print(json.dumps(again(*AGAIN[case]) if case in AGAIN else first(case)))
        return
    from jaxcoopt.methods.registry import ENTRIES
    from jaxcoopt.versions import versions

    found = {}
    for name in AGAIN:
        found[name] = one(name)
        print(name, found[name], flush=True)
    for entry in ENTRIES:
        with tempfile.TemporaryDirectory() as folder:
            found[entry.name] = one(entry.name)
            one(entry.name, folder)
            found[entry.name]["kept"] = one(entry.name, folder)
        print(entry.name, found[entry.name], flush=True)
    told = {"versions": versions(), "cores": os.cpu_count(), "cases": found}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
