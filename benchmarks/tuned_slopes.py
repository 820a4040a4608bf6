"""What `jc.tune` is told of a setting, and what the setting does: python benchmarks/tuned_slopes.py [--seed 0].

For every number of every method that `tune` takes, over ideal links in float64, on random problems of 8 nodes: the
derivative of the objective by the free number that stands for the setting, beside the slope of the line through 51
values within 0.2 of it, which is about a fifth of the setting; and whether `tune` warns. The objective is the mean over
the records of log10 of the error, 200 iterations. off: how far derivative and slope are apart, relatively. noise: what
a parabola leaves, standard deviation, as a part of what the line rises. Writes benchmarks/results/tuned_slopes.json.
"""

import argparse
import json
import warnings
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import networkx as nx  # noqa: E402
import numpy as np  # noqa: E402
from engine.machine import commit, machine  # noqa: E402

import jaxcoopt as jc  # noqa: E402
from jaxcoopt.methods.registry import ENTRIES  # noqa: E402
from jaxcoopt.setting import settings_of  # noqa: E402
from jaxcoopt.tuning.objectives import objective_of  # noqa: E402
from jaxcoopt.tuning.parameters import parameters_of  # noqa: E402
from jaxcoopt.tuning.rollout import Rollout, instances  # noqa: E402
from jaxcoopt.tuning.search import compiled  # noqa: E402
from jaxcoopt.tuning.trust import WINDOW, warn_of_slopes  # noqa: E402

NODES, STEPS, VALUES, OFF = 8, 200, 51, 0.3
NEAR = 1e-4  # of a free number: differences of the objective
RESULT = Path(__file__).parent / "results" / "tuned_slopes.json"
BESIDE = {"curvature_flow": {"momentum": 0.3}, "curvature_flow_multiplier": {"momentum": 0.3}}  # 0 is an end


def instance(rng, half):
    if half == "allocation":
        cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.uniform(0.5, 1.8, NODES))
        return jc.Problem(jc.Allocation(cost, float(NODES), lower=0.0, upper=1.4))
    features = rng.normal(size=(NODES, 10, 3))
    labels = np.sign(features @ rng.normal(size=3) + rng.normal(size=(NODES, 10)))
    return jc.Problem(training=jc.Training(jc.losses.Logistic(l2=0.1), features, labels))


def ring_with_a_chord():
    graph = nx.cycle_graph(NODES)
    graph.add_edge(0, 3)
    return jc.Network.from_graphs(graph)


def names_of(part, prefix):
    """Dotted names of all numbers that can be tuned."""
    for name, declared in settings_of(type(part)).items():
        value = getattr(part, name)
        if hasattr(value, "__dataclass_fields__"):
            yield from names_of(value, f"{prefix}.{name}")
        elif isinstance(value, float) and declared.tuned is not None and not declared.compiled:
            yield f"{prefix}.{name}"


def compared(entry, problems, objective):
    """For each problem and setting: name, derivative, difference, slope of the line, what is left, if tune warns."""
    half, network = entry.half, ring_with_a_chord()
    method = jc.CoOptimizer(**{half: entry.build(**BESIDE.get(entry.name, {}))}, channel=jc.channels.Ideal())
    names = list(names_of(getattr(method, half), half))
    if not names:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of starts beyond what is proved
        parameters = parameters_of(names, method, [(problems[0], network)])
    rollout = Rollout(parameters, objective_of(objective), STEPS, STEPS // 20, 0, None).over(network)
    over = compiled(rollout, {})
    free, window = parameters.start(1, 0), WINDOW * np.linspace(-1, 1, VALUES)
    free = {name: jnp.repeat(leaf, VALUES, axis=0) for name, leaf in free.items()}
    for problem in problems:
        on = instances(problem, NODES, 1, VALUES)
        (_, scores), slope = over.slope(free, on)

        def look(at, on=on):
            return np.asarray(over.scores(parameters.values(at), on).objective)

        def slopes(at, on=on):
            return over.slope(at, on)[1]

        for name in free:
            along = look(free | {name: free[name] + window})
            line = np.polyfit(window, along, 1)
            left = np.std(along - np.polyval(np.polyfit(window, along, 2), window))
            steps = np.where(np.arange(VALUES) % 2, NEAR, -NEAR)
            low, high = look(free | {name: free[name] + steps})[:2]
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                warn_of_slopes(free, np.asarray(scores), {name: slope[name]}, slopes, look)
            derivative, difference = float(slope[name][0]), float((high - low) / (2 * NEAR))
            yield name, derivative, difference, float(line[0]), float(left), bool(told)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--methods", nargs="*", default=[entry.name for entry in ENTRIES])
    parser.add_argument("--objective", default="area")
    options = parser.parse_args()
    rows, report = [], {"machine": machine(), "commit": commit(), **vars(options), "steps": STEPS}
    for entry in (entry for entry in ENTRIES if entry.name in options.methods):
        rngs = (np.random.default_rng([options.seed, index]) for index in range(options.problems))
        found = {}
        for name, *values in compared(entry, [instance(rng, entry.half) for rng in rngs], options.objective):
            found.setdefault(name, []).append(values)
        for name, values in found.items():
            derivative, difference, line, left, told = map(np.array, zip(*values, strict=True))
            off = np.abs(derivative - line) / np.maximum(np.maximum(np.abs(derivative), np.abs(line)), 1e-300)
            rows.append(
                {
                    "method": entry.name,
                    "setting": name.split(".", 1)[1],
                    "derivative": derivative.tolist(),
                    "difference": difference.tolist(),
                    "line": line.tolist(),
                    "rise": (2 * WINDOW * line).tolist(),
                    "noise": (left / np.maximum(np.abs(2 * WINDOW * line), 1e-300)).tolist(),
                    "off": off.tolist(),
                    "wrong_sign": int((derivative * line < 0).sum()),
                    "told": int(told.sum()),
                    "astray": bool(np.median(off) > OFF or (derivative * line < 0).sum() * 2 > len(line)),
                }
            )
            row = rows[-1]
            print(
                f"{entry.name:26} {row['setting']:18} off {np.median(off):.2g} (worst {off.max():.2g}), "
                f"wrong sign {row['wrong_sign']}, told {row['told']} of {len(line)}; derivative {derivative[0]:.3g}, "
                f"difference {difference[0]:.3g}, line {line[0]:.3g}" + ("   ASTRAY" if row["astray"] else ""),
                flush=True,
            )
        RESULT.write_text(json.dumps(report | {"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
