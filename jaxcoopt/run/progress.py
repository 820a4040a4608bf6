"""Progress bars: over iterations, with the gaps as they stand, and over a list of things to do."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

EVERY = 30  # seconds, between lines where there is no terminal
IN_A_NOTEBOOK = 0.5  # between lines in a notebook
RECENT = 8  # chunks whose pace is taken for that of the rest
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
        done, before = _lines(Pace(steps, fresh=1), "iterations"), [0]

        def say(iteration: int, record: dict[str, Array]) -> None:
            done(iteration - before[0], told(record), compiled=iteration == 0)  # the first call runs none
            before[0] = iteration

        yield say
        return
    with _bar() as bar:
        task = bar.add_task("compiling", total=steps)
        yield lambda iteration, record: bar.update(task, completed=iteration, description=told(record))


@contextmanager
def counted(shown: bool, total: int, unit: str = "done", first: bool = False) -> Iterator[Callable[[str], None]]:
    """Yields done(name), to be called when one of `total` things is done: draws how many, time left and the last.

    first: whether all is compiled with the first. Where standard error is no terminal, a line now and then says so.
    """
    if not shown:
        yield lambda name: None
        return
    if not sys.stderr.isatty():
        pace = Pace(total, fresh=int(first))
        done = _lines(pace, unit)
        yield lambda name: done(1, name, compiled=pace.fresh > 0)
        return
    with _bar() as bar:
        task = bar.add_task("compiling", total=total)
        yield lambda name: bar.update(task, advance=1, description=f"last: {name}")


Done = Callable[..., None]  # (runs, news, diverged, compiled), see `counted_runs`


@contextmanager
def counted_runs(shown: bool, total: int, fresh: int = 0) -> Iterator[Done]:
    """Yields done(runs, news, diverged, compiled): draws how many of `total` are done, how many a second, time left,
    the news of the last and how many have diverged so far. News that is None: the runs were done before.

    fresh: how many times a program is still to be compiled; compiled: whether that was among what was just done. Where
    standard error is no terminal, a line now and then says so.
    """
    if not shown:
        yield lambda *args, **kwargs: None
        return
    pace = Pace(total, fresh)
    if not sys.stderr.isatty():
        yield _lines(pace, "runs", last=True)
        return
    with _bar(_text(lambda: pace.rate_text), left=_text(lambda: pace.left_text)) as bar:
        task = bar.add_task("compiling", total=total)

        def done(runs: int, news: str | None, diverged: int = 0, compiled: bool = False) -> None:
            pace.done(runs, news, diverged, compiled)
            bar.update(task, advance=runs, description=pace.told(news) or "compiling")

        yield done


class Pace:
    """How fast runs are done: the rate of the last ones, and what compiling takes beside that."""

    def __init__(self, total: int, fresh: int = 0) -> None:
        self.total, self.fresh, self.count, self.diverged = total, fresh, 0, 0
        self.now = time.monotonic()
        self._warm: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._cold: list[tuple[int, float]] = []

    def done(self, runs: int, news: str | None, diverged: int = 0, compiled: bool = False) -> None:
        """Some more are."""
        now = time.monotonic()
        self.count, self.diverged = self.count + runs, self.diverged + diverged
        if news is not None:
            (self._cold if compiled else self._warm).append((runs, now - self.now))
            self.fresh -= compiled
        self.now = now

    @property
    def rate(self) -> float | None:
        """Runs a second, of the last chunks that compiled nothing; None before there is one."""
        seconds = sum(took for _, took in self._warm)
        return sum(runs for runs, _ in self._warm) / seconds if seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until the end: the runs at the rate, and what is to be compiled at the mean so far."""
        rest, rate = self.total - self.count, self.rate
        cold = len(self._cold)
        if rate is None:  # known only where all that is left has to be compiled, too
            took, runs = sum(took for _, took in self._cold), sum(runs for runs, _ in self._cold)
            return self.fresh * took / cold if cold and self.fresh * runs >= rest * cold else None
        compiling = sum(max(0.0, took - runs / rate) for runs, took in self._cold) / max(1, cold)
        return rest / rate + self.fresh * compiling

    @property
    def rate_text(self) -> str:
        """ "1,234 runs/s", compiling among it where there is nothing else to go by."""
        seconds = sum(took for _, took in self._cold)
        rate = self.rate or (sum(runs for runs, _ in self._cold) / seconds if seconds else None)
        return f"{rate:,.3g} runs/s" if rate else ""

    @property
    def left_text(self) -> str:
        """ "12 s left"; nothing at the end, and before anything is known."""
        return f"{self.left:,.0f} s left" if self.left is not None and self.count < self.total else ""

    def told(self, news: str | None) -> str:
        """The news, and how many runs have diverged in all."""
        return ", ".join(part for part in (news, f"{self.diverged:,} diverged" if self.diverged else "") if part)


def _lines(pace: Pace, unit: str, last: bool = False) -> Done:
    """A line at most every `EVERY` seconds, and one at once where something is to be compiled first; in a notebook one
    that is replaced.

    last: a last line also where all was done before the first was due.
    """
    start = said = pace.now
    notebook = "ipykernel" in sys.modules
    if notebook or pace.fresh:
        print(f"compiling, then {pace.total:,} {unit}", end="" if notebook else "\n", file=sys.stderr, flush=True)

    def done(count: int, news: str | None, diverged: int = 0, compiled: bool = False) -> None:
        nonlocal said
        pace.done(count, news, diverged, compiled)
        due = pace.now >= said + (IN_A_NOTEBOOK if notebook else EVERY)
        if not (due or (pace.count >= pace.total and (last or notebook or said > start))):
            return
        said = pace.now
        rate = pace.rate_text if unit == "runs" else ""
        parts = [f"{pace.count:,} of {pace.total:,} {unit}", rate, pace.left_text, pace.told(news)]
        line = ", ".join(part for part in parts if part)
        if notebook:
            print(f"\r{line:100s}", end="" if pace.count < pace.total else "\n", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    return done


def _text(of: Callable[[], str]) -> "ProgressColumn":
    """A column of a progress bar with a text of our own."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Column(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(of())

    return Column()


def _bar(*more: "ProgressColumn", left: "ProgressColumn | None" = None) -> "Progress":
    """On a terminal's standard error; nothing where that is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), *more, left or TimeRemainingColumn())
    columns = (*columns, TextColumn("{task.description}", markup=False))
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
