"""Costs whose curvature varies much, or is nearly 0: dual flow on 17 kinds of problems, 20 random runs each.

python benchmarks/hard_costs.py [--groups NAME ...] [--method dual|memoryless] [--steps 20000] [--out FILE]
The optimum is found here by water-filling in NumPy, apart from the library's own reference.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from engine.machine import commit, machine

import jaxcoopt as jc
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import finite_box
from jaxcoopt.problem.costs import Cost, marginal
from jaxcoopt.versions import versions

RUNS, GOOD = 20, 1e-6
METHODS = {"dual": jc.methods.DualFlow(), "memoryless": jc.methods.MemorylessDualFlow()}


@dataclass(frozen=True)
class Group:
    """Graphs in turn, how often links fail, and a cost for (rng, nodes, lower, upper)."""

    graphs: list[nx.Graph]
    cost: Callable[[np.random.Generator, int, np.ndarray, np.ndarray], Cost]
    failure_rate: float = 0.0
    parts: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the box, one of which is the budget
    least: float = 0.0  # lower bounds


def decades(rng: np.random.Generator, nodes: int, count: float) -> np.ndarray:
    """Log-uniform over so many decades around 1."""
    return 10 ** rng.uniform(-count / 2, count / 2, (nodes, RUNS))


def powers(low: float, high: float) -> Callable[..., Cost]:
    """p x^e, p over two decades."""
    return lambda rng, n, lo, hi: jc.costs.Power(decades(rng, n, 2), rng.uniform(low, high, (n, RUNS)))


def quadratic(count: float) -> Callable[..., Cost]:
    """Curvatures over so many decades."""
    return lambda rng, n, lo, hi: jc.costs.Quadratic(decades(rng, n, count), rng.uniform(0, 4, (n, RUNS)))


def prices(choices: list[float] | None) -> Callable[..., Cost]:
    """A price for each unit, of these, or anywhere in [1, 3]: a linear program."""
    draw = lambda rng, shape: rng.uniform(1, 3, shape) if choices is None else rng.choice(choices, shape)  # noqa: E731
    return lambda rng, n, lo, hi: jc.costs.Power(draw(rng, (n, RUNS)), 1.0)


def nearly_linear(rng: np.random.Generator, n: int, lo: np.ndarray, hi: np.ndarray) -> Cost:
    """A price for each unit, and a curvature of 1e-2 to 1e-6."""
    return prices(None)(rng, n, lo, hi) + jc.costs.Quadratic(10 ** rng.uniform(-6, -2, (n, RUNS)), 0.0)


def flat(x: Any, parameters: Any) -> Any:
    """a/2 max(|x - c| - w, 0)^2: nothing within w of c."""
    return 0.5 * parameters["a"] * jnp.maximum(jnp.abs(x - parameters["c"]) - parameters["w"], 0) ** 2


def stairs(x: Any, a: Any) -> Any:
    """Marginal costs that rise by a over half a unit, and stay over the next half."""
    whole, rest = jnp.floor(x), x - jnp.floor(x)
    return a * (whole * (whole - 1) / 2 + 0.25 * whole + whole * rest + jnp.maximum(rest - 0.5, 0) ** 2)


def flat_stretches(rng: np.random.Generator, n: int, lo: np.ndarray, hi: np.ndarray) -> Cost:
    shape = (n, RUNS)
    given = {"a": decades(rng, n, 2), "c": rng.uniform(1, 2, shape), "w": rng.uniform(0.2, 1, shape)}
    return jc.costs.Custom(flat, given)


def caterpillar(nodes: int) -> nx.Graph:
    """A path of half the nodes, each with a leaf."""
    graph = nx.path_graph(nodes // 2)
    graph.add_edges_from((i % (nodes // 2), i) for i in range(nodes // 2, nodes))
    return graph


def one_edge_at_a_time(nodes: int) -> list[nx.Graph]:
    """The edges of a ring, one after the other."""
    return [nx.Graph([(i, (i + 1) % nodes)]) for i in range(nodes)]


def whole(graphs: list[nx.Graph], nodes: int) -> list[nx.Graph]:
    """The same graphs with all nodes, in order."""
    empty = nx.empty_graph(nodes)
    return [nx.compose(empty, graph) for graph in graphs]


GROUPS: dict[str, Group] = {
    "x^8, path of 4": Group([nx.path_graph(4)], powers(8, 8), parts=(0.1, 0.5)),
    "x^8, path of 8": Group([nx.path_graph(8)], powers(8, 8), parts=(0.1, 0.5)),
    "x^4 to x^8, barbell of 12": Group([nx.barbell_graph(5, 2)], powers(4, 8)),
    "x^1.1, path of 8": Group([nx.path_graph(8)], powers(1.1, 1.1)),
    "x^1.02 to x^1.3, path of 8": Group([nx.path_graph(8)], powers(1.02, 1.3)),
    "x^1.02 to x^8, small world of 12": Group([nx.connected_watts_strogatz_graph(12, 4, 0.3, seed=1)], powers(1.02, 8)),
    "quadratic, 12 decades, caterpillar of 12": Group([caterpillar(12)], quadratic(12)),
    "quadratic, 12 decades, one edge of a ring of 12 at a time": Group(
        whole(one_edge_at_a_time(12), 12), quadratic(12)
    ),
    "quadratic, 6 decades, caterpillar of 30": Group([caterpillar(30)], quadratic(6)),
    "quadratic, 6 decades, ring of 12": Group([nx.cycle_graph(12)], quadratic(6)),
    "latency, one edge of a ring of 10 at a time, 30 % fail": Group(
        whole(one_edge_at_a_time(10), 10),
        lambda rng, n, lo, hi: jc.costs.Latency(decades(rng, n, 2)),
        failure_rate=0.3,
        least=0.05,
    ),
    "queueing at 99.9 % load, path of 49": Group(
        [nx.path_graph(49)], lambda rng, n, lo, hi: jc.costs.Queueing(hi), parts=(0.999,)
    ),
    "linear, ring of 10": Group([nx.cycle_graph(10)], prices(None)),
    "linear, tied prices, ring of 10": Group([nx.cycle_graph(10)], prices([1.0, 2.0, 3.0])),
    "flat stretches, path of 8": Group([nx.path_graph(8)], flat_stretches, parts=(0.1, 0.9)),
    "stairs, ring of 10": Group(
        [nx.cycle_graph(10)], lambda rng, n, lo, hi: jc.costs.Custom(stairs, decades(rng, n, 1))
    ),
    "nearly linear, ring of 10": Group([nx.cycle_graph(10)], nearly_linear),
}


def drawn(name: str, seed: int = 0) -> tuple[jc.Problem, jc.Network]:
    """The problem and network of a group, `RUNS` problems along the runs."""
    group = GROUPS[name]
    rng = np.random.default_rng([seed, list(GROUPS).index(name)])
    nodes = len(group.graphs[0])
    lower, upper = np.full((nodes, RUNS), group.least), rng.uniform(1, 5, (nodes, RUNS))
    cost = group.cost(rng, nodes, lower, upper)
    budget = (lower + rng.choice(group.parts, RUNS) * (upper - lower)).sum(axis=0)
    network = jc.Network.from_graphs(group.graphs, failure_rate=group.failure_rate, switching="cycle")
    return jc.Problem(jc.Allocation(cost, budget, lower, upper)), network


def water_filling(allocation: jc.Allocation, nodes: int) -> jc.Optimum:
    """Bisection on the price; between the last two prices shares grow in proportion, also where a cost is flat."""
    aligned = aligned_allocation(allocation)
    low, high = (np.asarray(side) for side in finite_box(aligned, nodes))
    slope = jax.jit(lambda x: marginal(aligned.cost, x))
    budget = np.asarray(allocation.budget)

    def most(price: np.ndarray) -> np.ndarray:
        """The most that each node takes at a price: where f' passes it."""
        least, most = low, high
        for _ in range(70):
            middle = 0.5 * (least + most)
            beyond = np.asarray(slope(middle)) > price
            least, most = np.where(beyond, least, middle), np.where(beyond, middle, most)
        return np.where(np.asarray(slope(high)) <= price, high, np.where(np.asarray(slope(low)) > price, low, least))

    first, last = (np.clip(np.asarray(slope(side)), -1e12, 1e12) for side in (low, high))
    first, last = first.min(axis=0) - 1, last.max(axis=0) + 1
    for _ in range(120):
        price = 0.5 * (first + last)
        enough = most(price).sum(axis=0) >= budget
        first, last = np.where(enough, first, price), np.where(enough, price, last)
    under, over = most(first), most(last)
    room = (over - under).sum(axis=0)
    part = np.where(room > 0, (budget - under.sum(axis=0)) / np.where(room > 0, room, 1), 0)
    x = under + np.clip(part, 0, 1) * (over - under)
    return jc.Optimum(
        allocation=x, allocation_cost=np.asarray(aligned.cost.value(jnp.asarray(x)).sum(axis=0)), price=last
    )


def measure(name: str, method: str = "dual", steps: int = 20_000, seed: int = 0) -> dict[str, Any]:
    """Gaps at the end, after how many iterations all stay within `GOOD`, and what is missed of budget and box."""
    problem, network = drawn(name, seed)
    optimum = water_filling(problem.allocation, network.nodes)
    begin, every = time.perf_counter(), max(1, steps // 400)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "allocation.cost", RuntimeWarning
        )  # of flat costs, which is what this is about
        solver = jc.CoOptimizer(METHODS[method])
        result = jc.solve(problem, network, solver, steps, runs=RUNS, record_every=every, optimum=optimum)
    gap, iterations = np.abs(np.asarray(result.trace["allocation_gap"])), np.asarray(result.iterations)
    late = (gap > GOOD).any(axis=1)
    return {
        "group": name,
        "method": method,
        "missed": int((gap[-1] > GOOD).sum()),
        "gap": [float(np.median(gap[-1])), float(gap[-1].max())],
        "good_after": None if late[-1] else int(iterations[np.flatnonzero(late)[-1] + 1] if late.any() else 0),
        "budget_residual": float(np.max(result.trace["budget_residual"])),
        "box_violation": float(np.max(result.trace["box_violation"])),
        "seconds": time.perf_counter() - begin,
    }


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    after = "not reached" if row["good_after"] is None else f"{row['good_after']:,}"
    middle, worst = row["gap"]
    return f"| {row['group']} | {row['method']} | {row['missed']} | {middle:.0e} | {worst:.0e} | {after} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="NAME")
    parser.add_argument("--method", nargs="+", default=["dual"], choices=list(METHODS))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/hard_costs.json"))
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    report: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "steps": given.steps}
    report |= {"seed": given.seed, "rows": []}
    print(f"| costs, {RUNS} runs each | method | runs above {GOOD:g} | median gap | worst | all below after |")
    print("|---|---|---|---|---|---|")
    for name in given.groups:
        for method in given.method:
            report["rows"].append(measure(name, method, given.steps, given.seed))
            print(line(report["rows"][-1]), flush=True)
            given.out.write_text(json.dumps(report, indent=1) + "\n")
    for part in ("budget_residual", "box_violation"):
        print(f"{part}: {max(row[part] for row in report['rows']):.0e} at most")


if __name__ == "__main__":
    main()
