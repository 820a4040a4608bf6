"""Slopes of whole runs in every setting of every method: python benchmarks/slopes.py [--seed 0].

200 iterations over ideal links in float64, on a random problem of 8 nodes: the derivative of the mean recorded gap by
reverse mode, by forward mode and by differences of the fourth order; noise: what rounding alone makes of those.
Responses that are steps are differentiated straight through, which differences so close do not see, and are left out;
shares of a limit, which are sent as codes, are taken before they are coded. Writes benchmarks/results/slopes.json.
"""

import argparse
import json
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import networkx as nx  # noqa: E402
import numpy as np  # noqa: E402
from engine.machine import machine  # noqa: E402

import jaxcoopt as jc  # noqa: E402
from jaxcoopt.methods import codes  # noqa: E402
from jaxcoopt.methods.nonlinearities import SingleBit, Uniform  # noqa: E402
from jaxcoopt.methods.registry import ENTRIES  # noqa: E402

NODES, STEPS, EVERY, STEP = 8, 200, 20, 3e-4
RESULT = Path(__file__).parent / "results" / "slopes.json"
KINKED = {  # why differences may see what no derivative does
    "finite_time_flow": "infinite slope where prices agree",
    "fixed_time_flow": "infinite slope where prices agree",
    "saturated_flow": "a kink at the level",
}


def instance(rng):
    graph = nx.cycle_graph(NODES)
    graph.add_edge(0, 3)
    allocation = jc.Allocation(
        jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.uniform(0.5, 1.8, NODES)), NODES, lower=0.0, upper=1.4
    )
    features = rng.normal(size=(NODES, 10, 3))
    labels = np.sign(features @ rng.normal(size=3) + rng.normal(size=(NODES, 10)))
    training = jc.Training(jc.losses.Logistic(l2=0.1), features, labels)
    return jc.Problem(allocation, training), jc.Network.from_graphs(graph)


def slopes_of(entry, problem, network):
    """(names, reverse, forward, differences, noise) of all settings."""
    half = entry.half
    problem = jc.Problem(**{half: getattr(problem, half)})
    method = jc.CoOptimizer(**{half: entry.build()}, channel=jc.channels.Ideal())
    optimum = jc.reference(problem, NODES)
    leaves, structure = jax.tree.flatten(method)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(method)]

    def value(settings):
        result = jc.solve(
            problem, network, jax.tree.unflatten(structure, list(settings)), STEPS, record_every=EVERY, optimum=optimum
        )
        return result.trace[f"{half}_gap"].mean()

    settings = jnp.asarray(leaves, float)
    at = jax.jit(value)
    h = STEP * np.where(np.asarray(settings) == 0, 1.0, np.abs(settings))
    differences = []
    for i, way in enumerate(np.eye(len(leaves))):
        near, far = (float(at(settings + k * h[i] * way) - at(settings - k * h[i] * way)) for k in (1, 2))
        differences.append((8 * near - far) / (12 * h[i]))
    reverse, forward = (np.asarray(jax.jit(mode(value))(settings)) for mode in (jax.grad, jax.jacfwd))
    return names, reverse, forward, np.array(differences), np.finfo(float).eps * abs(float(at(settings))) / h


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problem, network = instance(np.random.default_rng(options.seed))
    codes.below = lambda u: u
    rows = []
    for entry in ENTRIES:
        if isinstance(getattr(entry.build(), "nonlinearity", None), SingleBit | Uniform):
            continue
        for name, reverse, forward, difference, noise in zip(*slopes_of(entry, problem, network), strict=True):
            size = max(abs(reverse), abs(forward), abs(difference), 1e-300)
            rows.append(
                {
                    "method": entry.name,
                    "setting": name.split(".", 2)[-1],
                    "slope": float(reverse),
                    "forward_apart": float(abs(forward - reverse) / size),
                    "differences_apart": float(abs(difference - reverse) / size),
                    "noise": float(noise / size),
                    "kink": KINKED.get(entry.name),
                }
            )
            print(rows[-1], flush=True)
    smooth = [row for row in rows if row["kink"] is None and row["noise"] < 1e-8]
    report = {"machine": machine(), "seed": options.seed, "steps": STEPS, "nodes": NODES, "rows": rows}
    for name in ("forward_apart", "differences_apart"):
        report[f"largest_{name}"] = max(row[name] for row in smooth)
        print(name, report[f"largest_{name}"])
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
