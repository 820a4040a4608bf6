"""`jaxcoopt sweep`: a TOML file in, a Zarr store out."""

import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxcoopt.escaping import terminal
from jaxcoopt.experiments.notes import print_notes
from jaxcoopt.experiments.run_sweep import SweepEstimate, estimate, play_sweep
from jaxcoopt.experiments.sweep_tables import SweepExperiment
from jaxcoopt.report.table import titled_table
from jaxcoopt.run.status import Status
from jaxcoopt.study.store import Store
from jaxcoopt.study.store_size import size_in_bytes


def run_sweep(
    settings: SweepExperiment, store: Path, *, resume: bool, dry_run: bool, memory: str | None, quiet: bool
) -> None:
    """Runs it, or says what it would take. Raises FileExistsError for a store that is there and is not to go on."""
    console = Console(quiet=quiet or jax.process_index() > 0)
    limit = None if memory is None else size_in_bytes("--memory", memory)
    there = jax.process_index() == 0 and Store(store).exists
    if dry_run:
        console.print(_estimated(estimate(settings, store, limit=limit), settings.title))
        if there and not resume:
            console.print(terminal(f"{store} is there: add --resume to go on with it, or give another folder"))
        return
    if there and not resume:
        raise FileExistsError(f"--out {store}: it is there; add --resume to go on with it, or give another folder")
    start = time.perf_counter()
    table, notes = play_sweep(settings, store, limit=limit, progress=not quiet)
    status = table["status"].values
    ended = {each.name.lower().replace("_", " "): int((status == each).sum()) for each in Status}
    words = ", ".join(f"{count:,} {name}" for name, count in ended.items() if count)
    print_notes(console, notes)
    seconds = time.perf_counter() - start
    told = terminal(f"{status.size:,} runs ({words}) in {seconds:.1f} s, in {store}; look at them: ")
    console.print(told + terminal(f"jaxcoopt report {store}", "cyan"))


def _estimated(need: SweepEstimate, title: str) -> Table:
    table = titled_table(title, header=False)
    rows = {
        "points": f"{need.points:,} in {need.groups:,} group{'s' * (need.groups > 1)}, each compiled once",
        "runs": f"{need.runs:,} in {need.chunks:,} chunk{'s' * (need.chunks > 1)} of {need.chunk_runs:,}",
        "memory": f"{need.memory / 2**20:,.1f} MiB beside the program",
        "store": f"up to {need.store / 2**20:,.1f} MiB",
        "time": f"about {np.ceil(need.seconds):,.0f} s",
    }
    for name, value in rows.items():
        table.add_row(terminal(name, "cyan"), terminal(value))
    return table
