"""Dual flow on costs that are almost linear: how many iterations until the gap is below 1e-2, and where it ends.

    python benchmarks/nearly_linear.py  # a minute; writes benchmarks/results/nearly_linear.json

Ten nodes on a ring, f_i(x) = s_i x + c x^2 / 2 with slopes s_i of 1 to 10 in random order, boxes [0, 3], budget 12,
ideal links. A price that moved by c times what is missing would take ever longer; see `curvature_estimate.py`.
"""

import json
import platform
import warnings
from pathlib import Path

import jax
import networkx as nx
import numpy as np

import jaxcoopt as jc

CURVATURES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-9)
STEPS, EVERY, NEAR = 20_000, 100, 1e-2
OUT = Path(__file__).parent / "results" / "nearly_linear.json"


def row(curvature: float, double: bool) -> dict[str, float | None]:
    slopes = np.random.default_rng(0).permutation(np.linspace(1.0, 10.0, 10))
    cost = jc.costs.Sum((jc.costs.Power(slopes, 1.0), jc.costs.Quadratic(np.full(10, curvature), 0.0)))
    problem = jc.Problem(jc.Allocation(cost, 12.0, np.zeros(10), np.full(10, 3.0)))
    with jax.enable_x64(double), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ring, method = jc.Network.from_graphs(nx.cycle_graph(10)), jc.CoOptimizer(jc.methods.DualFlow())
        result = jc.solve(problem, ring, method, STEPS, record_every=EVERY)
    gap = np.abs(np.asarray(result.trace["allocation_gap"], np.float64))[:, 0]
    late = np.flatnonzero(gap > NEAR)
    reached = int(result.iterations[late[-1] + 1]) if late[-1] + 1 < len(gap) else None
    return {"near_after": reached, "gap_at_the_end": float(gap[-1])}


def main() -> None:
    found = {
        precision: {f"{c:g}": row(c, precision == "float64") for c in CURVATURES}
        for precision in ("float32", "float64")
    }
    for precision, rows in found.items():
        for curvature, each in rows.items():
            print(f"{precision} c = {curvature:>6}: {each}", flush=True)
    versions = {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()}
    OUT.write_text(json.dumps({"versions": versions, "iterations": STEPS, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
