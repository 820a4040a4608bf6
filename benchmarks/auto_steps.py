"""`step="auto"` beside the longest step that works: python benchmarks/auto_steps.py [--seed 0] [--problems 100].

Random problems of each half, with seeds of their own, and the allocations of the experiments that come with the
package: 16 runs of the method as "auto" sets it and 4 at each of 62 other steps, a 32nd to 32 times that one, 3,000
iterations in float64. A step works where all of its runs end as near as those of any step do, and is unstable where one
of them diverges or ends further away than it began. Writes benchmarks/results/auto_steps.json.
"""

import argparse
import itertools
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import networkx as nx  # noqa: E402
import numpy as np  # noqa: E402
from engine.machine import commit, machine  # noqa: E402

import jaxcoopt as jc  # noqa: E402
from jaxcoopt.experiments.build import build  # noqa: E402
from jaxcoopt.experiments.settings import EXPERIMENTS  # noqa: E402
from jaxcoopt.methods import LaplacianFlow  # noqa: E402
from jaxcoopt.methods.registry import BY_NAME  # noqa: E402
from jaxcoopt.problem.align import aligned  # noqa: E402
from jaxcoopt.theory.auto import with_steps  # noqa: E402
from jaxcoopt.theory.penalised import Penalised  # noqa: E402

SPAN = 2.0 ** np.linspace(-5, 5, 62)  # of the step chosen
STEPS, WANTED = 3000, 3
DRAWS, OF_AUTO = 4, 16  # runs with each of these steps, and with the one chosen
RESULT = Path(__file__).parent / "results" / "auto_steps.json"


def hubs(rng, nodes):
    """A graph of Barabasi and Albert whose largest hub has 6 neighbours, so that all tables have one shape."""
    drawn = (nx.barabasi_albert_graph(nodes, 2, seed=int(rng.integers(1 << 30))) for _ in itertools.count())
    return next(graph for graph in drawn if max(degree for _, degree in graph.degree) == 6)


def flow_case(rng, nodes=10):
    """Costs, boxes, penalties, momentum, graphs and failures at random, of two costs' and two graphs' programs."""
    cost = jc.costs.Quadratic(np.exp(rng.uniform(-1, 1.5, nodes)), rng.uniform(0, 4, nodes))
    if rng.random() < 0.5:
        cost = jc.costs.Power(np.exp(rng.uniform(-1, 1, nodes)), rng.uniform(1.5, 4.0))
    lower, upper = np.full(nodes, 0.1), np.full(nodes, rng.uniform(1, 4))
    budget = nodes * (0.1 + rng.uniform(0.15, 0.85) * (upper[0] - 0.1))
    bounds = jc.bounds.Penalty(*rng.choice([(20.0, 50.0), (5.0, 100.0), (30.0, 20.0)]))
    graph = nx.cycle_graph(nodes) if rng.random() < 0.5 else hubs(rng, nodes)
    network = jc.Network.from_graphs(graph, failure_rate=0.5, kernel="table")
    network = replace(network, failure_rate=np.asarray(rng.choice([0.0, 0.2])))
    flow = LaplacianFlow("auto", rng.choice([0.0, 0.5, 0.8]), bounds)
    return jc.Problem(jc.Allocation(cost, budget, lower, upper)), network, jc.CoOptimizer(flow)


LOSSES = {"linear": jc.losses.Linear, "logistic": jc.losses.Logistic, "hinge": jc.losses.SmoothHinge}
KINDS = (*LOSSES, "softmax")
TRACKING = ("gradient_tracking", "atc_tracking", "heavy_ball_tracking", "extra", "nids", "lead")


def training_case(rng, nodes=8, turn=None):
    """turn: links of a loss and a method fail in every second one, for half as many programs; None: at random."""
    kind, name = rng.integers(len(KINDS)), rng.integers(len(TRACKING))
    failing = (kind + name + (rng.integers(2) if turn is None else turn)) % 2
    features, mask = rng.normal(size=(nodes, 6, 2)), rng.random((nodes, 6)) < 0.7
    mask[:, 0] = True
    scale = np.exp(rng.uniform(-1, 1, (1, 1, 2)) + rng.uniform(-0.5, 0.5, (nodes, 1, 1)))
    if KINDS[kind] == "softmax":
        loss, targets = jc.losses.Softmax(3, l2=0.2), rng.integers(0, 3, (nodes, 6))
    else:
        loss, linear = LOSSES[KINDS[kind]](l2=0.2), KINDS[kind] == "linear"
        targets = rng.normal(size=(nodes, 6)) if linear else rng.choice([-1, 1], (nodes, 6))
    network = jc.Network.from_graphs(nx.cycle_graph(nodes), failure_rate=0.2 * float(failing))
    problem = jc.Problem(training=jc.Training(loss, scale * features, targets, mask))
    return problem, network, jc.CoOptimizer(training=BY_NAME[TRACKING[name]].build(step="auto"))


CASES = {"allocation": flow_case, "training": training_case}


def limit_of(flow, problem, nodes):
    """What a flow with a penalty comes to rest at: not the optimum, from which a run may be less far than it rests."""
    given = problem.allocation
    costs = Penalised(given.cost, flow.bounds, given.lower, given.upper)
    x = jc.reference(jc.Problem(jc.Allocation(costs, given.budget)), nodes).allocation
    cost = aligned(problem, nodes).allocation.cost.value(jnp.asarray(x)[:, None])
    return jc.Optimum(allocation_cost=float(cost.sum()))


def tried(half, problem, network, method, seed, initial=None):
    """(step chosen, how far from the limit a run begins, and ends in the worst draw) of the steps of `SPAN` and, last,
    of "auto".
    """
    chosen = getattr(with_steps(method, problem, network, initial), half)
    steps = np.concatenate([np.tile(SPAN, DRAWS), np.ones(OF_AUTO)]) * chosen.step
    many = replace(method, **{half: replace(chosen, step=steps)})
    limit = limit_of(chosen, problem, network.nodes) if half == "allocation" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # most of them are too long
        options = {"runs": len(steps), "record_every": 50, "seed": seed, "optimum": limit, "initial": initial}
        result = jc.solve(problem, network, many, STEPS, **options)
    gap = np.abs(np.asarray(result.trace[f"{half}_gap"]))
    if half == "training":
        gap = gap + np.asarray(result.trace["consensus_error"]) ** 2
    late = np.where(result.status == jc.Status.DIVERGED, np.inf, gap[-20:].mean(axis=0))
    late = np.where(np.isfinite(late), late, np.inf)
    worst = np.append(late[:-OF_AUTO].reshape(DRAWS, -1).max(axis=0), late[-OF_AUTO:].max())
    return chosen.step, np.median(gap[0]), worst


class Beside(NamedTuple):
    """ratio: the longest step that works over the one chosen; stable: whether all runs with that end nearer than they
    began; works: and as near as with any step.
    """

    ratio: float
    stable: bool
    works: bool


def beside_the_longest(half, problem, network, method, seed, initial=None):
    """What 3,000 iterations at 62 steps say; the longest is one that works with no unstable step on the way to it."""
    _, start, late = tried(half, problem, network, method, seed, initial)
    near = 1e-6 if half == "training" else 1e-4  # some flows are slow in the stiff band of a penalty
    works = late <= 1.2 * late.min() + near * np.minimum(start, 1)
    stable = late <= start
    reached = (SPAN <= 1) | np.logical_and.accumulate(stable[:-1] | (SPAN <= 1))
    return Beside(float(SPAN[works[:-1] & reached].max(initial=SPAN[0])), bool(stable[-1]), bool(works[-1]))


def shipped():
    """(name, problem, network, method, start) of each allocation that comes with the package, by a linear flow."""
    for name in EXPERIMENTS.names():
        built = build(EXPERIMENTS.read(name))
        if built.problem.allocation is not None:
            flow = built.method.allocation
            flow = replace(flow, step="auto") if isinstance(flow, LaplacianFlow) else LaplacianFlow("auto")
            method = replace(built.method, allocation=flow, training=None)
            yield name, jc.Problem(built.problem.allocation), built.network, method, built.initial


def told(found):
    ratios = np.array([each.ratio for each in found])
    return {
        "problems": len(found),
        "unstable": sum(not each.stable for each in found),
        "slower": sum(each.stable and not each.works for each in found),
        "median": float(np.median(ratios)),
        "90_percent": float(np.quantile(ratios, 0.9)),
        "largest": float(ratios.max()),
        "above_3": int((ratios > WANTED).sum()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--problems", type=int, default=100)
    options = parser.parse_args()
    report = {"machine": machine(), "commit": commit(), "seed": options.seed, "steps": STEPS}
    for number, (half, case) in enumerate(CASES.items()):
        found = []
        for index in range(options.problems):
            rng = np.random.default_rng([options.seed, number, index])
            found.append(beside_the_longest(half, *case(rng), int(rng.integers(1000))))
            if not found[-1].works or found[-1].ratio > WANTED:
                print(half, index, found[-1], flush=True)
        report[half] = told(found) | {"ratios": [round(each.ratio, 3) for each in found]}
        print(half, told(found), flush=True)
        RESULT.write_text(json.dumps(report, indent=2) + "\n")
    report["shipped"] = {}
    for name, problem, network, method, initial in shipped():
        found = beside_the_longest("allocation", problem, network, method, 0, initial)
        report["shipped"][name] = found._asdict()
        print(name, found, flush=True)
        RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
