"""What a sweep costs beside the bare engine: python benchmarks/sweep.py [--most 100000].

20 levels x 20 steps x seeds, 50 nodes, 10 parameters, 500 iterations; each size into a store of its own, in this one
process, beside `jaxcoopt.solve` with as many iterations of as many runs as a chunk has, records left out. Programs are
compiled before either is timed. Writes benchmarks/results/sweep.json.
"""

import argparse
import json
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import jax
from engine.machine import machine
from sweep_instance import LEVELS, RATES, STEPS, instance

import jaxcoopt as jc
from jaxcoopt.run.shards import LEAST_RUNS, cores, devices_of_cores

RESULT = Path(__file__).parent / "results" / "sweep.json"


def bare(problem, network, method, runs, repeats=5):
    """Seconds of a run in the bare engine: the median of several calls."""
    optimum = jc.reference(problem)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = jc.solve(problem, network, method, STEPS, runs=runs, record_every=STEPS, optimum=optimum)
        jax.block_until_ready(result.state)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / runs


def swept(problem, network, method, seeds, memory, steps=STEPS):
    """(seconds of a sweep, bytes of its store, runs of a chunk)."""
    folder = Path(tempfile.mkdtemp())
    grid = {"channel.rho": LEVELS, "training.step": RATES}
    start = time.perf_counter()
    table = jc.sweep(
        problem,
        network,
        method,
        grid,
        seeds=seeds,
        steps=steps,
        record_every=steps // 20,
        store=folder / "store",
        memory=memory,
        progress=True,
    )
    seconds = time.perf_counter() - start
    assert (table["status"] == jc.Status.MAX_STEPS).all()
    size, tile = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), table.attrs["tile"]
    shutil.rmtree(folder)
    return seconds, size, tile


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100_000, help="runs of the largest sweep")
    parser.add_argument("--memory", type=float, default=2.0, help="GiB that the process may take")
    options = parser.parse_args()
    devices_of_cores(LEAST_RUNS * cores())
    parts, limit = instance(), int(options.memory * 2**30)
    per_run = min(bare(*parts, runs) for runs in (64, 256))
    rows = []
    for runs in (runs for runs in (1_000, 10_000, 100_000) if runs <= options.most):
        seeds = max(1, round(runs / len(LEVELS) / len(RATES)))
        first, *_ = swept(*parts, seeds, limit, steps=20)  # compiles, once for any number of iterations
        seconds, size, tile = swept(*parts, seeds, limit)
        runs = seeds * len(LEVELS) * len(RATES)
        row = {
            "runs": runs,
            "tile": tile,
            "seconds": round(seconds, 2),
            "seconds_of_20_steps_with_compiling": round(first, 2),
            "us_per_run": round(1e6 * seconds / runs, 1),
            "over_bare_engine": round(seconds / runs / per_run, 3),
            "store_bytes": size,
            "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        rows.append(row)
        print(row, flush=True)
    report = {
        "machine": machine(),
        "devices": jax.local_device_count(),
        "memory_limit_bytes": limit,
        "bare_us_per_run": round(1e6 * per_run, 1),
        "rows": rows,
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
