"""A progress bar over iterations, with the gaps as they stand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Array

SHOWN = {"allocation_gap": "allocation gap", "training_gap": "training gap"}


@contextmanager
def progress_bar(shown: bool, steps: int) -> Iterator[Callable[[int, dict[str, Array]], None]]:
    """Yields report(iteration, record): draws how far, time left and the worst run's gaps when `shown`."""
    if not shown:
        yield lambda iteration, record: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("compiling", total=steps)

        def report(iteration: int, record: dict[str, Array]) -> None:
            shown = [name for name in SHOWN if name in record]
            gaps = (f"{SHOWN[name]} {np.max(np.asarray(record[name])):.1e}" for name in shown)
            bar.update(task, completed=iteration, description="  ".join(gaps))

        yield report
