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
IN_A_NOTEBOOK = 0.5  # likewise
SHOWN = {"allocation_gap": "allocation gap", "training_gap": "training gap"}


@contextmanager
def progress_bar(shown: bool, steps: int) -> Iterator[Callable[[int, dict[str, Array]], None]]:
    """Yields report(iteration, record): draws how far, time left and the worst run's gaps when `shown`."""

    def told(record: dict[str, Array]) -> str:
        gaps = (f"{word} {np.max(np.asarray(record[name])):.1e}" for name, word in SHOWN.items() if name in record)
        return "  ".join(gaps)

    if not shown:
        yield lambda iteration, record: None
        return
    if not sys.stderr.isatty():
        done, before = _lines(steps, "iterations"), [0]

        def say(iteration: int, record: dict[str, Array]) -> None:
            done(iteration - before[0], told(record))
            before[0] = iteration

        yield say
        return
    with _bar() as bar:
        task = bar.add_task("compiling", total=steps)
        yield lambda iteration, record: bar.update(task, completed=iteration, description=told(record))


@contextmanager
def counted(shown: bool, total: int, unit: str = "done") -> Iterator[Callable[[str], None]]:
    """Yields done(name), to be called when one of `total` things is done: draws how many, time left and the last.

    Where standard error is no terminal, a line now and then says so.
    """
    if not shown:
        yield lambda name: None
        return
    if not sys.stderr.isatty():
        done = _lines(total, unit)
        yield lambda name: done(1, name)
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
        yield _lines(total, "runs", last=True)
        return
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} runs/s" if task.speed else "")

    with _bar(Rate()) as bar:
        task = bar.add_task("compiling", total=total)
        yield lambda runs, news: bar.update(task, advance=runs, description=news or "compiling")


def _lines(total: int, unit: str, last: bool = False) -> Callable[[int, str], None]:
    """done(count, news): a line at most every `EVERY` seconds; in a notebook one that is replaced.

    last: a last line also where all was done before the first was due.
    """
    start = said = time.monotonic()
    count = here = 0
    notebook = "ipykernel" in sys.modules
    if notebook:
        print("compiling", end="", file=sys.stderr, flush=True)

    def done(new: int, news: str) -> None:
        nonlocal said, count, here
        now = time.monotonic()
        count, here = count + new, here + new * bool(news)  # without news: they were done before
        due = now >= said + (IN_A_NOTEBOOK if notebook else EVERY)
        if not (due or (count >= total and (last or notebook or said > start))):
            return
        said, rate = now, here / max(now - start, 1e-9)
        parts = [f"{count:,} of {total:,} {unit}", *([f"{rate:,.3g} {unit}/s"] if rate and unit == "runs" else [])]
        parts += [f"{(total - count) / rate:,.0f} s left"] if rate and count < total else []
        line = ", ".join([*parts, *([news] if news else [])])
        if notebook:
            print(f"\r{line:100s}", end="" if count < total else "\n", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    return done


def _bar(*more: Any) -> "Progress":
    """On a terminal's standard error; nothing where that is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), *more, TimeRemainingColumn())
    columns = (*columns, TextColumn("{task.description}"))
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
