"""Gradient descent against grid search with as many node-updates: python benchmarks/tuned.py.

germany50, random instances. Grid search: 20 steps x 20 momenta over Metropolis weights, the best median gap. `jc.tune`:
the same two settings and the weights of all links, from the middle of that grid; an iteration of it is counted as 6
runs (five for a gradient, one for validation). Both look at the same 20 instances; the gaps are those of 20 others.
Allocation with curvatures drawn anew for each instance, and with nodes whose own stays within a quarter. Writes
benchmarks/results/tuned.json.
"""

import argparse
import json
import time
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from engine.machine import machine  # noqa: E402

import jaxcoopt as jc  # noqa: E402
from jaxcoopt.datasets import backbone  # noqa: E402

INSTANCES, GRID, COST = 20, 20, 6  # COST: runs that an iteration of the descent is counted as
RESULT = Path(__file__).parent / "results" / "tuned.json"


def allocations(rng, nodes):
    """Nothing of a node stays from one instance to the next."""
    return shares(10 ** rng.uniform(-0.5, 0.5, (nodes, INSTANCES)), rng)


def same_centers(rng, nodes):
    """Each node keeps its hardware, the order of its curvature; what is asked of it is drawn anew."""
    hardware = 10 ** np.random.default_rng(7).uniform(-0.5, 0.5, (nodes, 1))
    return shares(hardware * 10 ** rng.uniform(-0.1, 0.1, (nodes, INSTANCES)), rng)


def shares(curvature, rng):
    cost = jc.costs.Quadratic(curvature, rng.uniform(0.5, 2.5, curvature.shape))
    return [jc.Problem(jc.Allocation(cost, np.full(INSTANCES, float(len(curvature)))))]


def trainings(rng, nodes):
    problems = []
    for _ in range(INSTANCES):
        features = rng.normal(size=(nodes, 20, 5)) + 0.5 * rng.normal(size=(nodes, 1, 5))
        targets = features @ rng.normal(size=5) + 0.3 * rng.normal(size=(nodes, 20))
        problems.append(jc.Problem(training=jc.Training(jc.losses.Linear(l2=1e-2), features, targets)))
    return problems


CASES = {
    "allocation": ("allocation", allocations),
    "allocation, the same centers": ("allocation", same_centers),
    "training": ("training", trainings),
}


def gaps(problems, network, method, half, steps, runs=None):
    """The last gap on every instance, [instances, ...]."""
    found = []
    for problem in problems:
        count = INSTANCES if half == "allocation" else 1
        result = jc.solve(problem, network, method, steps, runs=count if runs is None else runs, record_every=steps)
        found.append(np.abs(result.trace[f"{half}_gap"][-1]))
    return np.stack(found)


def grid_search(problems, network, method_of, half, steps, grid):
    """The (step, momentum) with the least median gap over the instances."""
    points = [np.ravel(each) for each in np.meshgrid(*grid, indexing="ij")]
    if half == "allocation":  # all points on all instances as one batch
        tiled = jax.tree.map(lambda leaf: np.tile(leaf, len(points[0])) if np.ndim(leaf) else leaf, problems[0])
        method = method_of(*(np.repeat(each, INSTANCES) for each in points))
        table = gaps([tiled], network, method, half, steps, len(points[0]) * INSTANCES)[0].reshape(-1, INSTANCES).T
    else:
        table = [gaps([one], network, method_of(*points), half, steps, len(points[0]))[0] for one in problems]
    median = np.median(np.nan_to_num(np.stack(table), nan=np.inf), axis=0)
    best = int(median.argmin())
    return [float(each[best]) for each in points], float(median[best])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    network = jc.Network.from_graphs(backbone("sndlib/germany50"))
    rows = []
    for case in options.cases:
        half, draw = CASES[case]
        problems, others = (draw(np.random.default_rng(seed), network.nodes) for seed in (0, 1))
        steps = 60 if half == "allocation" else 200
        top = jc.theory.step_bound(
            jc.methods.LaplacianFlow(1.0) if half == "allocation" else jc.methods.GradientTracking(1.0),
            problems[0],
            network,
        ).value
        grid = (float(np.min(top)) * np.geomspace(0.02, 2, GRID), np.linspace(0, 0.95, GRID))

        def method_of(step, momentum, half=half):
            kind = jc.methods.LaplacianFlow if half == "allocation" else jc.methods.GradientTracking
            return jc.CoOptimizer(**{half: kind(step, momentum=momentum)}, channel=jc.channels.Ideal())

        start = time.perf_counter()
        point, seen = grid_search(problems, network, method_of, half, steps, grid)
        grid_seconds = time.perf_counter() - start
        start = time.perf_counter()
        middle = method_of(float(grid[0][GRID // 2]), 0.5)
        names = {"weights": None, f"{half}.step": (0.0, 4 * float(np.min(top))), f"{half}.momentum": (0.0, 1.0)}
        tuned = jc.tune(
            problems, network, middle, names, steps=steps, iterations=GRID**2 // COST, record_every=steps, progress=True
        )
        seconds = time.perf_counter() - start
        searched = np.ravel(gaps(others, network, method_of(*point), half, steps))
        descended = np.ravel(gaps(others, tuned.network, tuned.method, half, steps))
        rows.append(
            {
                "case": case,
                "steps": steps,
                "grid": {
                    "point": point,
                    "seen": seen,
                    "held_out": float(np.median(searched)),
                    "seconds": round(grid_seconds, 1),
                },
                "tune": {
                    "step": tuned.values[f"{half}.step"],
                    "momentum": tuned.values[f"{half}.momentum"],
                    "held_out": float(np.median(descended)),
                    "seconds": round(seconds, 1),
                },
                "ratio": float(np.median(descended / searched)),
            }
        )
        print(rows[-1], flush=True)
    RESULT.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
