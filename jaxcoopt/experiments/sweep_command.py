"""`jaxcoopt sweep`: a TOML file in, a Zarr store out."""

import re
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxcoopt.experiments.sweep_play import Estimate, estimate, exists, play_sweep
from jaxcoopt.experiments.sweep_tables import SweepExperiment
from jaxcoopt.run.status import Status

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def run_sweep(
    settings: SweepExperiment, store: Path, *, resume: bool, dry_run: bool, memory: str | None, quiet: bool
) -> None:
    """Runs it, or says what it would take. Raises FileExistsError for a store that is there and is not to go on."""
    console, limit = Console(quiet=quiet or jax.process_index() > 0), None if memory is None else size(memory)
    if dry_run:
        console.print(_estimated(estimate(settings, limit=limit), settings.title))
        return
    if jax.process_index() == 0 and not resume and exists(store):
        raise FileExistsError(f"--store {store}: it is there; add --resume to go on with it, or give another folder")
    start = time.perf_counter()
    table, notes = play_sweep(settings, store, limit=limit, progress=not quiet)
    status = table["status"].values
    ended = {each.name.lower().replace("_", " "): int((status == each).sum()) for each in Status}
    words = ", ".join(f"{count:,} {name}" for name, count in ended.items() if count)
    for note in notes:
        console.print(Text("note: ", style="bold yellow") + Text(note))
    seconds = time.perf_counter() - start
    console.print(f"{status.size:,} runs ({words}) in {seconds:.1f} s, in {store}; look at them: ", end="")
    console.print(Text(f"jaxcoopt report {store}", style="cyan"))


def size(text: str) -> int:
    """Bytes of "4GiB", "500 MB" or "2e9". Raises ValueError for another text."""
    found = re.fullmatch(r"\s*([0-9.e+]+)\s*([kmgt]?)(i?b)?\s*", text.lower())
    try:
        assert found is not None
        return int(float(found[1]) * UNITS[found[2]])
    except (AssertionError, ValueError):
        raise ValueError(f"--memory: expected a size such as 4GiB, got {text!r}") from None


def _estimated(need: Estimate, title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=False, box=None, pad_edge=False)
    rows = {
        "points": f"{need.points:,} in {need.groups:,} group{'s' * (need.groups > 1)}, each compiled once",
        "runs": f"{need.runs:,} in {need.chunks:,} chunk{'s' * (need.chunks > 1)} of {need.chunk_runs:,}",
        "memory": f"{need.memory / 2**20:,.1f} MiB beside the program",
        "store": f"up to {need.store / 2**20:,.1f} MiB",
        "time": f"about {np.ceil(need.seconds):,.0f} s",
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="cyan"), value)
    return table
