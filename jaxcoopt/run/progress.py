"""Progress bars: over iterations, with the gaps as they stand, and over a list of things to do."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY = 30  # seconds, between lines where there is no terminal
SHOWN = {"allocation_gap": "allocation gap", "training_gap": "training gap"}


@contextmanager
def progress_bar(shown: bool, steps: int) -> Iterator[Callable[[int, dict[str, Array]], None]]:
    """Yields report(iteration, record): draws how far, time left and the worst run's gaps when `shown`."""
    if not shown:
        yield lambda iteration, record: None
        return
    with _bar() as bar:
        task = bar.add_task("compiling", total=steps)

        def report(iteration: int, record: dict[str, Array]) -> None:
            shown = [name for name in SHOWN if name in record]
            gaps = (f"{SHOWN[name]} {np.max(np.asarray(record[name])):.1e}" for name in shown)
            bar.update(task, completed=iteration, description="  ".join(gaps))

        yield report


@contextmanager
def counted(shown: bool, total: int) -> Iterator[Callable[[str], None]]:
    """Yields done(name), to be called when one of `total` things is done: draws how many, time left and the last."""
    if not shown:
        yield lambda name: None
        return
    with _bar() as bar:
        task = bar.add_task("compiling", total=total)
        yield lambda name: bar.update(task, advance=1, description=f"last: {name}")


@contextmanager
def counted_runs(shown: bool, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yields done(runs, news): draws how many of `total` are, how many a second, time left and the news of the last.

    Where standard error is no terminal, a line now and then says so.
    """
    if not shown:
        yield lambda runs, news: None
        return
    if not sys.stderr.isatty():
        yield _lines(total)
        return
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} runs/s" if task.speed else "")

    with _bar(Rate()) as bar:
        task = bar.add_task("compiling", total=total)
        yield lambda runs, news: bar.update(task, advance=runs, description=news or "compiling")


def _lines(total: int) -> Callable[[int, str], None]:
    """done(runs, news): a line at most every `EVERY` seconds, and the last one."""
    start = said = time.monotonic()
    count = here = 0

    def done(runs: int, news: str) -> None:
        nonlocal said, count, here
        now = time.monotonic()
        count, here = count + runs, here + runs * bool(news)  # without news: they were done before
        if count < total and now < said + EVERY:
            return
        said, rate = now, here / max(now - start, 1e-9)
        parts = [f"{count:,} of {total:,} runs", *([f"{rate:,.3g} runs/s"] if rate else [])]
        parts += [f"{(total - count) / rate:,.0f} s left"] if rate and count < total else []
        print(", ".join([*parts, *([news] if news else [])]), file=sys.stderr, flush=True)

    return done


def _bar(*more: Any) -> "Progress":
    """On a terminal's standard error; nothing where that is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), *more, TimeRemainingColumn())
    columns = (*columns, TextColumn("{task.description}"))
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
