"""Budget and box at every iteration, and the optimum on every graph: dual flow beside what stalls or leaves the box.

python benchmarks/full_nodes.py [--instances 20] [--steps 3000] [--out FILE] [--readme docs/budget.md]
--table-only: nothing is measured, --readme gets the table of the report that is there.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import networkx as nx
import numpy as np
from engine.machine import commit, machine

import jaxcoopt as jc
from jaxcoopt.files import write_text
from jaxcoopt.report.readme import check_readme, write_readme
from jaxcoopt.versions import versions

DUAL, MEMORYLESS = "dual flow", "dual flow, memoryless"
LIMIT, MULTIPLIER = "curvature flow, Limit", "curvature flow, Multiplier"
FLOOR = 1e-15
BLOCK = "full nodes"  # of the page in docs/
AT = (100, 300, 1000, 3000)
METHODS = {
    DUAL: jc.methods.DualFlow(),
    MEMORYLESS: jc.methods.MemorylessDualFlow(),
    LIMIT: jc.methods.CurvatureFlow(),
    MULTIPLIER: jc.methods.CurvatureFlow(bounds=jc.bounds.Multiplier(0.1)),
}


def barbell() -> nx.Graph:
    """Two cliques of 15 that one node joins."""
    return nx.barbell_graph(15, 1)


def planar() -> nx.Graph:
    """The largest part of a random geometric graph of mean degree 4."""
    graph = nx.random_geometric_graph(60, 0.16, seed=3)
    return nx.convert_node_labels_to_integers(graph.subgraph(max(nx.connected_components(graph), key=len)))


# name: graphs, failure rate, which nodes are full at the optimum whatever is drawn.
CASES: dict[str, tuple[list[nx.Graph], float, list[int]]] = {
    "switching random, 100": ([nx.random_regular_graph(6, 100, seed=s) for s in range(3)], 0.0, []),
    "exponential, 64": ([nx.circulant_graph(64, [1, 2, 4, 8, 16, 32])], 0.0, []),
    "geometric": ([planar()], 0.0, []),
    "barbell, joint full": ([barbell()], 0.0, [15]),
    "star of 30, hub full": ([nx.star_graph(29)], 0.0, [0]),
    "path of 30": ([nx.path_graph(30)], 0.0, []),
    "ring of 60": ([nx.cycle_graph(60)], 0.0, []),
    "ring of 60, a link in five down": ([nx.cycle_graph(60)], 0.2, []),
    "ring of 60, 20 full in a row": ([nx.cycle_graph(60)], 0.0, list(range(20))),
    "geometric, latency and power": ([planar()], 0.0, []),
    "switching random, latency and power": ([nx.random_regular_graph(6, 100, seed=s) for s in range(3)], 0.0, []),
}


def instances(nodes: int, count: int, full: list[int], seed: int, latency: bool = False) -> jc.Allocation:
    """Quadratic costs with curvatures over two decades, or work_i / x_i + x_i^2 / 2 with work over two decades.

    About a third of the bounds end up active.
    """
    rng = np.random.default_rng(seed)
    shape = (nodes, count)
    curvature, center = 10 ** rng.uniform(-1, 1, shape), rng.uniform(0, 4, shape)
    lower = rng.uniform(0, 1, shape)
    upper = lower + rng.uniform(1, 6, shape)
    center[full], upper[full] = 9.0, lower[full] + 0.5
    budget = (lower + 0.45 * (upper - lower)).sum(axis=0)
    if latency:
        lower = np.maximum(lower, 0.05)
        cost = jc.costs.Latency(curvature) + jc.costs.Power(0.5, 2.0)
        return jc.Allocation(cost, (lower + 0.45 * (upper - lower)).sum(axis=0), lower, upper)
    return jc.Allocation(jc.costs.Quadratic(curvature, center), budget, lower, upper)


def measure(case: str, method: str, channel: Any, count: int, steps: int) -> dict[str, Any]:
    """Relative gaps [median, worst] at each of AT, the worst residual and violation, and the part of active bounds."""
    graphs, failure_rate, full = CASES[case]
    allocation = instances(len(graphs[0]), count, full, seed=11, latency="latency" in case)
    problem = jc.Problem(allocation)
    optimum = jc.reference(problem)
    network = jc.Network.from_graphs(graphs, failure_rate=failure_rate)
    begin = time.perf_counter()
    solver = jc.CoOptimizer(METHODS[method], channel=channel)
    result = jc.solve(problem, network, solver, steps, runs=count, record_every=20, optimum=optimum)
    gap, iterations = np.abs(np.asarray(result.trace["allocation_gap"])), np.asarray(result.iterations)
    x, margin = np.asarray(optimum.allocation), 1e-9
    active = (x <= np.asarray(allocation.lower) + margin) | (x >= np.asarray(allocation.upper) - margin)
    at = {str(k): np.abs(gap[np.searchsorted(iterations, k)]) for k in AT if k <= steps}
    return {
        "case": case,
        "method": method,
        "links": type(channel).__name__,
        "active": float(active.mean()),
        "gap": {k: [float(np.median(values)), float(values.max())] for k, values in at.items()},
        "budget_residual": float(np.max(result.trace["budget_residual"])),
        "box_violation": float(np.max(result.trace["box_violation"])),
        "seconds": time.perf_counter() - begin,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The README's table: median / worst of the gap."""
    found = {(row["case"], row["method"], row["links"]): row for row in rows}

    def gap(row: dict[str, Any], at: str) -> str:
        middle, worst = row["gap"][at]
        return f"{max(middle, FLOOR):.0e} / {max(worst, FLOOR):.0e}"

    lines = [
        "| relative gap, median / worst | dual flow, 300 iterations | 1,000 | 3,000 | quantized links, 3,000 | "
        "memoryless, 3,000 | Limit alone, 3,000 | Multiplier, 3,000 | which left the box by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        dual, plain, limit, multiplier = (found[case, name, "Ideal"] for name in (DUAL, MEMORYLESS, LIMIT, MULTIPLIER))
        cells = [
            case,
            *(gap(dual, at) for at in ("300", "1000", "3000")),
            gap(found[case, DUAL, "LogQuantizer"], "3000"),
        ]
        cells += [gap(plain, "3000"), gap(limit, "3000"), gap(multiplier, "3000"), f"{multiplier['box_violation']:.1g}"]
        lines.append("| " + " | ".join(cells) + " |")
    kept = [row for row in rows if row["method"] != MULTIPLIER]
    worst = {name: max(row[name] for row in kept) for name in ("budget_residual", "box_violation")}
    lines += [
        "",
        "Over all records of dual flow and Limit the budget is missed by "
        f"{worst['budget_residual']:.0e} at most and the box by {worst['box_violation']:.0e}. "
        f"Smaller gaps than {FLOOR:.0e} are rounding. In float64; written by "
        "`python benchmarks/full_nodes.py --readme docs/budget.md`.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/full_nodes.json"))
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--table-only", action="store_true")
    given = parser.parse_args()
    if given.readme is not None:
        check_readme(given.readme, BLOCK)
    rows = json.loads(given.out.read_text())["rows"] if given.table_only else measure_all(given)
    if given.readme is not None:
        write_readme(given.readme, BLOCK, table(rows).split("\n"))


def measure_all(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Every method on every case; the report is written after each."""
    jax.config.update("jax_enable_x64", True)
    report: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "rows": []}
    for case in CASES:
        for method in METHODS:
            quantized = [jc.channels.LogQuantizer(0.5)] if method == DUAL else []
            for channel in (jc.channels.Ideal(), *quantized):
                row = measure(case, method, channel, given.instances, given.steps)
                report["rows"].append(row)
                gaps = "  ".join(f"{k}: {middle:.0e}/{worst:.0e}" for k, (middle, worst) in row["gap"].items())
                kept = f"residual {row['budget_residual']:.0e}, box {row['box_violation']:.0e}"
                print(f"{case:32s} {method:26s} {row['links']:12s} {gaps}  {kept}", flush=True)
                write_text(given.out, json.dumps(report, indent=1) + "\n")
    return report["rows"]


if __name__ == "__main__":
    main()
