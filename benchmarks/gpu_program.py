"""The loop as a GPU would run it, from the compiler alone: kernels, copies and bytes of an iteration. No GPU is needed.

    python -m benchmarks.gpu_program                     # every case and method, for an H200
    python -m benchmarks.gpu_program --cases "64 runs"   # those whose name contains it
    python -m benchmarks.gpu_program --target h100 a100
    python -m benchmarks.gpu_program --readme docs/gpu.md

It needs a jax that makes programs for CUDA: `pip install "jax[cuda13]"`, 1.8 GB. Written to
benchmarks/results/gpu_program.json. "once" is the floor: every kernel reads each of its arrays once. The compiler is
the real one; nothing is timed here.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcoopt as jc
from benchmarks.engine.case import Case
from benchmarks.engine.instance import make_graphs, make_instance, make_problem
from benchmarks.gpu.count import of_iteration, of_record
from benchmarks.gpu.hlo import read
from benchmarks.gpu.targets import TARGETS, Target
from jaxcoopt.compiler import options_for
from jaxcoopt.methods.registry import ENTRIES, Entry
from jaxcoopt.platform import FORCED, choices
from jaxcoopt.report.readme import check_readme, write_readme
from jaxcoopt.run.loop import advance_records
from jaxcoopt.run.prepare import prepare
from jaxcoopt.versions import versions

OUT = Path(__file__).parent / "results" / "gpu_program.json"
FEATURES, CLASSES, SAMPLES = 784, 10, 100  # of softmax: 7,850 parameters


@dataclass(frozen=True)
class Program:
    """What is compiled: a name, a problem, a network, a method, how many runs."""

    name: str
    make: Callable[[], tuple[jc.Problem, jc.Network]]
    method: jc.CoOptimizer
    runs: int


def programs() -> Iterator[Program]:
    """The cases of the engine benchmark, what stresses a GPU, and every method of the registry."""
    log = {place: jc.channels.LogQuantizer(0.5, placement=place) for place in ("message", "innovation")}
    flow, tracking = jc.methods.LaplacianFlow(0.05), jc.methods.GradientTracking(0.02)
    both = jc.CoOptimizer(flow, tracking, log["message"])
    for runs in (1, 8, 64, 1024, 16384):
        yield Program(f"message, {runs} runs", engine(Case(runs=runs)), both, runs)
    yield Program("ideal, 64 runs", engine(Case()), replace(both, channel=jc.channels.Ideal()), 64)
    yield Program("20 nodes, 16 runs", engine(Case(nodes=20, runs=16)), both, 16)
    yield Program("100 nodes, 64 runs", engine(Case(nodes=100)), both, 64)
    innovation = replace(both, channel=log["innovation"])
    yield Program("failures, innovation, 64 runs", engine(Case(), failure_rate=0.1), innovation, 64)
    yield Program(
        "dual flow and training, 64 runs", engine(Case()), replace(innovation, allocation=jc.methods.DualFlow()), 64
    )
    yield Program("degree 32, 64 runs", engine(Case(degree=32)), both, 64)
    yield Program(
        "Barabasi-Albert, 10,000 nodes, 16 runs", engine(Case(nodes=10000, graph="barabasi-albert")), both, 16
    )
    yield Program("ring of 100,000, 4 runs", engine(Case(nodes=100000, degree=2, graph="ring")), both, 4)
    yield Program("softmax, 7,850 parameters, 20 nodes, 16 runs", softmax, innovation, 16)
    for entry in ENTRIES:
        yield Program(
            f"method {entry.name}, 64 runs", engine(Case(), half=entry.half), alone(entry, log["message"]), 64
        )


def engine(case: Case, failure_rate: float = 0.0, half: str = "") -> Callable[[], tuple[jc.Problem, jc.Network]]:
    """A case of the engine benchmark, or one half of it."""

    def make() -> tuple[jc.Problem, jc.Network]:
        instance = make_instance(case)
        problem = make_problem(instance)
        if half:
            problem = jc.Problem(**{half: getattr(problem, half)})
        return problem, jc.Network.from_graphs(instance.graphs, failure_rate=failure_rate)

    return make


def softmax() -> tuple[jc.Problem, jc.Network]:
    """Ten classes of 784 features, and quadratic costs."""
    rng, nodes = np.random.default_rng(0), 20
    features = rng.normal(size=(nodes, SAMPLES, FEATURES)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (nodes, SAMPLES))
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, nodes), rng.normal(size=nodes))
    problem = jc.Problem(
        jc.Allocation(cost, 3.0 * nodes, 0.0, 10.0),
        jc.Training(jc.losses.Softmax(classes=CLASSES, l2=1e-2), features, labels),
    )
    return problem, jc.Network.from_graphs(make_graphs(Case(nodes=nodes)))


def alone(entry: Entry, channel: jc.channels.Channel) -> jc.CoOptimizer:
    """One half's method over quantized links."""
    return jc.CoOptimizer(**{entry.half: entry.make(**entry.settings)}, channel=channel)


def compiled(program: Program, target: Target) -> dict[str, Any]:
    """Counts of an iteration and of a record, and what compiling took."""
    problem, network = program.make()
    setup, carry = prepare(problem, network, program.method, program.runs, 0, None, None, jc.Optimum())
    sharding = target.sharding()

    def there(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding, weak_type=getattr(leaf, "weak_type", False)
        )

    numbers = jax.tree.map(there, (setup, carry, jnp.zeros(choices().records, jnp.int32), jnp.zeros((), jnp.int32)))
    options = options_for(program.runs)
    jitted = jax.jit(advance_records, donate_argnames="carry", compiler_options=options)
    begin = time.perf_counter()
    lowered = jitted.trace(*numbers).lower(lowering_platforms=("cuda",))
    middle = time.perf_counter()
    text = lowered.compile().as_text()
    assert text is not None
    seconds = {"tracing": round(middle - begin, 2), "compiling": round(time.perf_counter() - middle, 2)}
    found = read(text)
    counts = {"iteration": of_iteration(found).json(), "record": of_record(found).json()}
    return {"case": program.name, **counts, "seconds": seconds, "program_kb": round(len(text) / 1e3)}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    each = row["iteration"]
    whole = ("kernels", "copies", "conditionals", "inner_loops", "float64", "scatters", "callbacks")
    cells = [row["case"], *(str(each[name]) for name in whole), f"{each['megabytes']:.3g}", f"{each['gathered']:.3g}"]
    return "| " + " | ".join([*cells, str(row["record"]["kernels"]), f"{row['seconds']['compiling']:.0f}"]) + " |"


HEAD = [
    "| case | kernels | copies | conditionals | inner loops | float64 | scatter | callbacks | MB once | MB gathered | "
    "kernels of a record | s to compile |",
    "|" + "---|" * 12,
]
BLOCK = "gpu program"  # of the page in docs/


def main() -> None:
    if "JAX_PLATFORMS" not in os.environ:
        jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault(FORCED, "gpu")
    jax.config.update("jax_enable_compilation_cache", False)  # programs for a device that is not there
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", nargs="+", default=[""], metavar="TEXT", help="those whose name contains one of these"
    )
    parser.add_argument("--target", nargs="+", default=["h200"], choices=list(TARGETS))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--readme", type=Path, help="a page that gets the first target's table")
    given = parser.parse_args()
    if given.readme is not None:
        check_readme(given.readme, BLOCK)
    report: dict[str, Any] = {"versions": versions(), "targets": {}}
    for name in given.target:
        print(TARGETS[name].name, "", *HEAD, sep="\n", flush=True)
        rows = report["targets"][TARGETS[name].name] = []
        for program in programs():
            if any(text in program.name for text in given.cases):
                rows.append(compiled(program, TARGETS[name]))
                print(line(rows[-1]), flush=True)
                given.out.write_text(json.dumps(report, indent=1) + "\n")
    if given.readme is not None:
        first = report["targets"][TARGETS[given.target[0]].name]
        write_readme(given.readme, BLOCK, [*HEAD, *map(line, first)])


if __name__ == "__main__":
    main()
