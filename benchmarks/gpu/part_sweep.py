"""A sweep of a million runs: 50 nodes, 10 parameters, 500 iterations."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

import jaxcoopt as jc
from benchmarks.gpu.sheet import Sheet
from benchmarks.sweep_instance import LEVELS, RATES, STEPS, instance
from jaxcoopt import platform


def run(sheet: Sheet) -> None:
    """Larger and larger, each only if the last one says that it fits into the time."""
    parts, few, many = instance(), *((400, 800) if sheet.small else (40_000, 1_000_000))
    steps = 4 if sheet.small else STEPS
    names = {runs: f"{runs} runs" for runs in (few, many)}
    sheet.make(names[few], 0.1 if sheet.small else 20, lambda: _row(parts, few, steps))
    per_run = next((row["seconds"] / few for row in sheet.rows if row["name"] == names[few] and "seconds" in row), 0.0)
    sheet.make(names[many], 1.3 * many * per_run, lambda: _row(parts, many, steps, warm=False))
    if not sheet.small:
        sheet.make(f"{names[few]}, 256 at a time", 15, lambda: _narrow(parts, few))


def _row(parts: Any, runs: int, steps: int, warm: bool = True) -> dict[str, Any]:
    """warm: two iterations of all come first, so that compiling is told apart; else it is among the seconds."""
    begin = time.perf_counter()
    if warm:
        _swept(parts, runs // 400, steps=2)
    compiling = time.perf_counter() - begin
    begin = time.perf_counter()
    table = _swept(parts, runs // 400, steps)
    seconds = time.perf_counter() - begin
    wrong = int((np.asarray(table["status"]) != jc.Status.MAX_STEPS).sum())
    told = {"runs": runs, "steps": steps, "seconds": round(seconds, 3), "warm": warm}
    told |= {"first_call_seconds": round(compiling, 2)} if warm else {}
    found = {"us_per_run": round(1e6 * seconds / runs, 2), "tile": [int(side) for side in table.attrs["tile"]]}
    residual = float(np.nanmax(np.asarray(table["budget_residual"])))
    return told | found | {"not_at_the_end": wrong, "budget_residual": residual, "ok": wrong == 0 and residual < 1e-6}


def _swept(parts: Any, seeds: int, steps: int) -> Any:
    grid = {"channel.rho": LEVELS, "training.step": RATES}
    problem, network, method = parts
    return jc.sweep(problem, network, method, grid, seeds=seeds, steps=steps, record_every=max(1, steps // 5))


def _narrow(parts: Any, runs: int) -> dict[str, Any]:
    """As many runs to a chunk as suit a CPU, of fewer runs."""
    usual = platform.GPU
    platform.GPU = replace(usual, chunk_bytes=platform.CPU.chunk_bytes)
    try:
        return _row(parts, runs, STEPS)
    finally:
        platform.GPU = usual
