"""Gradients of a whole run by each derivative rule, beside finite differences over a window of settings.

    python benchmarks/derivative_rules.py              # writes benchmarks/results/derivative_rules.json
    python benchmarks/derivative_rules.py --only log   # a look at some quantizers, printed only

A run's final gap is a staircase in its settings: its slope is that of the least-squares line through the logarithm of
the gap at 65 settings within the window. "window": the same line through the integral of the rule's gradient; "point":
the gradient at the middle alone. Both as |gradient / slope - 1|, medians over fresh random problems; "ratio": gradient
/ slope of the window, the median; "noise": the slope's own standard error, relatively: where it is large, nothing is
decided; "slope": d ln gap / d ln setting, absolute: where it is small, the setting hardly matters.
"""

import argparse
import json
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from engine.machine import commit, machine

import jaxcoopt as jc
from jaxcoopt.files import write_text
from jaxcoopt.versions import versions

NODES, SAMPLES, FEATURES = 8, 10, 4
POINTS = 65
WINDOW = {"method": 0.3, "channel": 0.3}  # relative half width
STEPS = {"flow": 40, "tracking": 60}
STEP = {"flow": 0.2, "tracking": 0.1}
RULES = ("straight-through", "smoothed", "exact")
C = jc.channels
CHANNELS: dict[str, tuple[jc.channels.Channel, tuple[str, ...]]] = {
    "log": (C.LogQuantizer(0.5), ("rho",)),
    "log, 5 bits": (C.LogQuantizer(0.5, bits=5, scale=0.1), ("rho", "scale")),
    "uniform": (C.UniformQuantizer(0.02), ("step",)),
    "sign": (C.Sign(0.1), ("scale",)),
    "clip": (C.Clip(0.2), ("limit",)),
    "natural": (C.Natural(), ()),
    "qsgd": (C.QSGD(8), ()),
}
TRAINED = ("log", "uniform", "natural")  # the others with the flow only
NETWORK = jc.Network.from_graphs([nx.circulant_graph(NODES, [1, 2]), nx.cycle_graph(NODES)])
Settings = dict[str, Any]  # name to [runs]


def problem(rng: np.random.Generator, half: str) -> jc.Problem:
    """Quadratic costs without active bounds, or least squares."""
    if half == "flow":
        cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.normal(0, 1.5, NODES))
        return jc.Problem(jc.Allocation(cost, budget=float(NODES), lower=-20.0, upper=20.0))
    features = rng.normal(size=(NODES, SAMPLES, FEATURES))
    targets = features @ rng.normal(size=FEATURES) + rng.normal(size=(NODES, SAMPLES))
    return jc.Problem(training=jc.Training(jc.losses.Linear(l2=1e-2, intercept=False), features, targets))


def final_gap(
    settings: Settings, given: jc.Problem, optimum: jc.Optimum, channel: jc.channels.Channel, half: str
) -> jax.Array:
    """The logarithm of the gap at the end, [runs]."""
    runs = len(settings["method.step"])
    channel = replace(channel, **{name[8:]: value for name, value in settings.items() if name.startswith("channel.")})
    step = settings["method.step"]
    flow = jc.methods.LaplacianFlow(step) if half == "flow" else None
    tracking = jc.methods.GradientTracking(step) if half == "tracking" else None
    start = None if half == "flow" else jc.Initial(params={"weights": np.zeros(FEATURES)})
    method = jc.CoOptimizer(flow, tracking, channel)
    steps = STEPS[half]
    trace = jc.solve(given, NETWORK, method, steps, runs=runs, record_every=steps, initial=start, optimum=optimum).trace
    return jnp.log(jnp.abs(trace["allocation_gap" if half == "flow" else "training_gap"][-1]))


def line(at: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Slope of the least-squares line, and its standard error."""
    centred = at - at.mean()
    slope = centred @ values / (centred @ centred)
    left = values - values.mean() - slope * centred
    return slope, float(np.sqrt(left @ left / (len(at) - 2) / (centred @ centred)))


def compared(value: Any, middle: Settings, name: str, given: jc.Problem, optimum: jc.Optimum) -> list[float]:
    """[gradient of the window / slope, at the point / slope, the slope's relative error, its size] of one problem."""
    half_width = WINDOW[name.split(".")[0]]
    factors = 1 + half_width * np.linspace(-1, 1, POINTS)
    at = middle[name] * factors
    settings = {other: np.full(POINTS, middle[other]) for other in middle} | {name: at}
    moved = {other: np.full(POINTS, float(other == name)) for other in middle}
    gap, gradient = (np.asarray(part) for part in value(settings, moved, given, optimum))
    slope, error = line(at, gap)
    integral = np.concatenate([[0.0], np.cumsum((gradient[1:] + gradient[:-1]) / 2 * np.diff(at))])
    return [line(at, integral)[0] / slope, gradient[POINTS // 2] / slope, error / abs(slope), abs(slope) * middle[name]]


def measure(name: str, placement: str, rule: str | None, half: str, problems: list[Any]) -> list[dict[str, Any]]:
    """One row for the step, and for each of the channel's settings."""
    channel, own = CHANNELS[name]
    chosen: dict[str, Any] = {"placement": placement} | ({} if rule is None else {"derivative": rule})
    channel = replace(channel, **chosen)
    middle = {"method.step": STEP[half]} | {f"channel.{field}": float(getattr(channel, field)) for field in own}

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def value(settings: Settings, moved: Settings, given: jc.Problem, optimum: jc.Optimum) -> Any:
        return jax.jvp(lambda at: final_gap(at, given, optimum, channel, half), (settings,), (moved,))

    rows = []
    for setting in middle:
        table = np.array([compared(value, middle, setting, *case) for case in problems])
        window, point, noise, size = table.T
        rows.append(
            {
                "quantizer": name,
                "placement": placement,
                "rule": rule or "its own",
                "half": half,
                "setting": setting,
                "ratio": float(np.median(window)),
                "window": float(np.median(np.abs(window - 1))),
                "point": float(np.median(np.abs(point - 1))),
                "noise": float(np.median(noise)),
                "slope": float(np.median(size)),
            }
        )
    return rows


def cases(only: str) -> list[tuple[str, str, str | None]]:
    """Quantizer, placement and rule."""
    found: list[tuple[str, str, str | None]] = []
    for name, (channel, _) in CHANNELS.items():
        choice = hasattr(channel, "width")
        for placement in ("message", "difference", "innovation"):
            if name.startswith(only) and not (channel.random and placement == "difference"):
                found += [(name, placement, rule) for rule in (RULES if choice else (None,))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="quantizers whose name begins so; nothing is written")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/derivative_rules.json"))
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.filterwarnings("ignore", "channel.derivative")  # wrong rules are measured, too
    begin, rows = time.perf_counter(), []
    rng = np.random.default_rng(given.seed)
    for half in STEPS:
        drawn = [problem(rng, half) for _ in range(given.instances)]
        problems = [(one, jc.reference(one, NODES)) for one in drawn]
        for case in cases(given.only):
            if half == "tracking" and case[0] not in TRAINED:
                continue
            for row in measure(*case, half, problems):
                rows.append(row)
                words = " ".join(f"{row[key]:16s}" for key in ("quantizer", "placement", "rule", "half", "setting"))
                figures = " ".join(f"{key} {row[key]:9.3g}" for key in ("ratio", "window", "point", "noise", "slope"))
                print(words, figures, flush=True)
    if not given.only:
        about = {"machine": machine(), "versions": versions(), "commit": commit(), "seed": given.seed}
        kind = {"instances": given.instances, "window": WINDOW, "points": POINTS, "iterations": STEPS, "step": STEP}
        report = about | kind | {"seconds": round(time.perf_counter() - begin, 1), "rows": rows}
        write_text(given.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
