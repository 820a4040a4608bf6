"""What reverse mode costs beside the plain run: both halves, the gradient of the last gaps by four settings."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import networkx as nx
import numpy as np

import jaxcoopt as jc
from benchmarks.gpu.rates import seconds_of
from benchmarks.gpu.sheet import Sheet
from jaxcoopt.compiler import options_for

PARAMS, SAMPLES = 10, 20


def run(sheet: Sheet) -> None:
    """Two sizes."""
    sizes = ((10, 2, 5),) if sheet.small else ((100, 64, 200), (1000, 64, 200), (100, 1024, 200))
    for nodes, runs, steps in sizes:
        needs = 0.1 if sheet.small else 15
        name = f"n={nodes} runs={runs} steps={steps}"
        sheet.make(name, needs, lambda nodes=nodes, runs=runs, steps=steps: measured(nodes, runs, steps))


def measured(nodes: int, runs: int, steps: int) -> dict[str, Any]:
    """Seconds of a call, medians of five, and the ratio."""
    rng = np.random.default_rng(0)
    cost = jc.costs.Quadratic(rng.uniform(1, 3, nodes), rng.uniform(0, 2, nodes))
    features, targets = rng.normal(size=(nodes, SAMPLES, PARAMS)), rng.normal(size=(nodes, SAMPLES))
    training = jc.Training(jc.losses.Linear(l2=1e-3, intercept=False), features, targets)
    problem = jc.Problem(jc.Allocation(cost, 1.2 * nodes, 0.0, 3.0), training)
    network = jc.Network.from_graphs(nx.random_regular_graph(4, nodes, seed=1))
    optimum = jc.reference(problem)

    def gaps(settings: dict[str, Any]) -> Any:
        method = jc.CoOptimizer(
            jc.methods.LaplacianFlow(settings["step"], settings["momentum"]),
            jc.methods.GradientTracking(settings["rate"]),
            jc.channels.LogQuantizer(settings["rho"]),
        )
        result = jc.solve(problem, network, method, steps, runs=runs, record_every=steps, optimum=optimum)
        return sum(result.trace[name][-1].mean() for name in ("allocation_gap", "training_gap"))

    settings = {"step": 0.05, "momentum": 0.3, "rate": 0.02, "rho": 0.5}
    row: dict[str, Any] = {"nodes": nodes, "runs": runs, "steps": steps}
    functions = {"plain": gaps, "reverse": jax.value_and_grad(gaps)}
    lowered = [jax.jit(each, compiler_options=options_for(runs)).lower(settings) for each in functions.values()]
    with ThreadPoolExecutor() as pool:
        programs: list[Any] = list(pool.map(lambda each: each.compile(), lowered))
    for name, program in zip(functions, programs, strict=True):
        times = seconds_of(lambda program=program: program(settings))
        row[name] = {
            "us_an_iteration": round(1e6 * statistics.median(times) / steps, 2),
            "least": round(1e6 * min(times) / steps, 2),
            "most": round(1e6 * max(times) / steps, 2),
            "working_bytes": int(program.memory_analysis().temp_size_in_bytes),
        }
    return row | {"ratio": round(row["reverse"]["us_an_iteration"] / row["plain"]["us_an_iteration"], 2)}
