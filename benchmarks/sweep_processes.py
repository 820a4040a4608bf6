"""Two processes at one sweep beside one alone: python benchmarks/sweep_processes.py.

10,000 runs (20 levels x 20 steps x 25 seeds) of the sweep that benchmarks/sweep.py times; each process has one CPU
device, which may use any core. Times are of the sweep alone, programs compiled before; the median of three. Writes
benchmarks/results/sweep_processes.json.
"""

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEEDS, REPEATS = 25, 3
RESULT = Path(__file__).parent / "results" / "sweep_processes.json"


def work(store, *others):
    """One process: prints the seconds that its sweep took."""
    import jax

    jax.config.update("jax_logging_level", "CRITICAL")
    from sweep_instance import LEVELS, RATES, STEPS, instance

    import jaxcoopt as jc
    from jaxcoopt.study.processes import joined

    coordinator, processes, number = (others[0], int(others[1]), int(others[2])) if others else (None, None, None)
    with joined(coordinator, processes, number):
        grid = {"channel.rho": LEVELS, "training.step": RATES}
        parts = instance()
        for name, steps in (("warm", 20), ("timed", STEPS)):
            start = time.perf_counter()
            jc.sweep(*parts, grid, seeds=SEEDS, steps=steps, record_every=steps // 20, store=f"{store}/{name}")
            seconds = time.perf_counter() - start
        print(seconds)


def timed(processes):
    """Seconds until all are done: the slowest one's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        others = [[address, str(processes), str(number)] if processes > 1 else [] for number in range(processes)]
        command = [sys.executable, __file__, folder]
        running = [subprocess.Popen(command + more, stdout=subprocess.PIPE, text=True) for more in others]
        said = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return max(float(text.split()[-1]) for text in said)


def main():
    from engine.machine import machine

    times = {processes: [] for processes in (1, 2)}
    for _ in range(REPEATS):
        for processes, seconds in times.items():
            seconds.append(round(timed(processes), 2))
            print(processes, seconds[-1], flush=True)
    one, two = (statistics.median(times[processes]) for processes in (1, 2))
    report = {
        "machine": machine(),
        "seconds": times,
        "speedup": round(one / two, 3),
        "efficiency": round(one / two / 2, 3),
    }
    print(report["speedup"], report["efficiency"])
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    work(*sys.argv[1:]) if len(sys.argv) > 1 else main()
