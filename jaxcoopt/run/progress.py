"""A progress bar over iterations, with the gaps as they stand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Array

SHOWN = {"allocation_gap": "allocation gap", "training_gap": "training gap", "training_loss": "loss"}


@contextmanager
def progress_bar(shown: bool, steps: int) -> Iterator[Callable[[int, dict[str, Array]], None]]:
    """Yields report(iteration, record): draws rate, time left and the worst run's gaps on the screen when `shown`."""
    if not shown:
        yield lambda iteration, record: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[gaps]}")) as bar:
        task = bar.add_task("iterations", total=steps, gaps="compiling")

        def report(iteration: int, record: dict[str, Array]) -> None:
            names = [
                name for name in SHOWN if name in record and not (name == "training_loss" and "training_gap" in record)
            ]
            gaps = "  ".join(f"{SHOWN[name]} {np.max(np.asarray(record[name])):.1e}" for name in names)
            bar.update(task, completed=iteration, gaps=gaps)

        yield report
