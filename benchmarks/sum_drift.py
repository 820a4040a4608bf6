"""How far the budget and the tracker's sum drift over a million iterations, for every quantizer and placement.

    python benchmarks/sum_drift.py                # a million iterations; writes benchmarks/results/sum_drift.json
    python benchmarks/sum_drift.py --steps 20000  # a look, printed only

Every case is a fresh process-wide precision, a switching network with failing links and an active box; what is printed
is the worst over all records and runs of |sum x - b| / |b|, and |sum z - sum grad g| / sum |grad g| at the end.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import jax
import networkx as nx
import numpy as np

import jaxcoopt as jc

NODES, SAMPLES, FEATURES, RUNS = 20, 8, 3, 4
PLACEMENTS = ("message", "difference", "innovation")


def channels() -> dict[str, jc.channels.Channel]:
    cases: dict[str, jc.channels.Channel] = {"Ideal": jc.channels.Ideal()}
    for placement in PLACEMENTS:
        cases |= {
            f"LogQuantizer(0.5) {placement}": jc.channels.LogQuantizer(0.5, placement=placement),
            f"LogQuantizer(0.5, bits=8) {placement}": jc.channels.LogQuantizer(0.5, bits=8, placement=placement),
            f"UniformQuantizer(0.1) {placement}": jc.channels.UniformQuantizer(0.1, placement=placement),
            f"Sign(0.05) {placement}": jc.channels.Sign(0.05, placement=placement),
            f"Clip(0.5) {placement}": jc.channels.Clip(0.5, placement=placement),
        }
    return cases


def problem(rng: np.random.Generator) -> tuple[jc.Problem, jc.Network]:
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(3, 2, NODES))
    allocation = jc.Allocation(cost, budget=60.0, lower=np.zeros(NODES), upper=np.full(NODES, 5.0))
    features = rng.normal(size=(NODES, SAMPLES, FEATURES))
    targets = features @ rng.normal(size=FEATURES) + 0.1 * rng.normal(size=(NODES, SAMPLES))
    graphs = [nx.cycle_graph(NODES), nx.gnp_random_graph(NODES, 0.2, seed=1), nx.path_graph(NODES)]
    training = jc.Training(jc.losses.Linear(l2=1e-2, intercept=False), features, targets)
    return jc.Problem(allocation, training), jc.Network.from_graphs(graphs, failure_rate=0.2)


def drift(channel: jc.channels.Channel, steps: int, case: tuple[jc.Problem, jc.Network]) -> dict[str, float]:
    method = jc.CoOptimizer(jc.methods.LaplacianFlow(0.1, momentum=0.3), jc.methods.GradientTracking(0.02), channel)
    begin = time.perf_counter()
    result = jc.solve(
        case[0], case[1], method, steps, runs=RUNS, record_every=max(1, steps // 100), optimum=jc.Optimum(), seed=1
    )
    state = result.state.training
    assert state is not None
    parts = (state.tracker, state.correction, state.reference)
    tracker, correction, reference = (np.asarray(tree["weights"], np.float64) for tree in parts)
    gradient = reference + (tracker - correction)
    return {
        "budget_residual": float(np.max(np.asarray(result.trace["budget_residual"], np.float64))),
        "tracker_residual": float(np.max(np.abs((tracker - gradient).sum(0)) / np.abs(gradient).sum(0))),
        "diverged_runs": int(np.sum(np.asarray(result.status) == jc.Status.DIVERGED)),
        "wall_seconds": round(time.perf_counter() - begin, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    steps = parser.parse_args().steps
    case_data = np.random.default_rng(0)
    table: dict[str, dict[str, dict[str, float]]] = {}
    state = case_data.bit_generator.state
    for precision in ("float64", "float32"):
        jax.config.update("jax_enable_x64", precision == "float64")
        case_data.bit_generator.state = state
        case = problem(case_data)
        for name, channel in channels().items():
            row = drift(channel, steps, case)
            table.setdefault(name, {})[precision] = row
            print(f"{precision} {name:38s}", row, flush=True)
    if steps >= 1_000_000:
        versions = {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()}
        report = {"steps": steps, "machine": f"{platform.machine()}, 2 cores", "versions": versions, "cases": table}
        path = Path(__file__).parent / "results" / "sum_drift.json"
        path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
