"""What a tuning leaves behind: its settings, its history as a table and a picture, and what was gained."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jaxcoopt.methods.phases import Phases
from jaxcoopt.report.folder import save, write_all
from jaxcoopt.report.style import BLUE, FAINT, ORANGE, new_figure, plain_axes
from jaxcoopt.report.summary import write_text
from jaxcoopt.report.words import terminal
from jaxcoopt.tuning.tune import Tuned

MOST_TOLD = 4  # numbers of a setting, one by one


def write_tuning(folder: Path, tuned: Tuned, settings: str) -> None:
    """history.csv, history.png and, last, tuned.toml. Raises OSError naming the file that cannot be written."""
    (folder / "tuned.toml").unlink(missing_ok=True)
    write_all(
        folder,
        {
            "history.csv": lambda path: write_text(path, history_csv(tuned)),
            "history.png": lambda path: save(history_figure(tuned), path),
            "tuned.toml": lambda path: write_text(path, settings),
        },
    )


def history_csv(tuned: Tuned) -> str:
    """A line for each iteration and start; phases and link weights in columns of their own."""
    iterations, starts = tuned.history["objective"].shape
    columns: dict[str, np.ndarray] = {}
    for name, values in tuned.history.items():
        for inner in np.ndindex(values.shape[2:]):  # of phases and link weights
            columns[name + "".join(f"[{i}]" for i in inner)] = values[(..., *inner)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["iteration", "start", *columns])
    for at in np.ndindex(iterations, starts):
        rows.writerow([*at, *(float(values[at]) for values in columns.values())])
    return text.getvalue()


def history_figure(tuned: Tuned) -> Any:
    """The objective on held-out runs, start by start, and where the best was found."""
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    plain_axes(axes)
    held_out = tuned.history["held_out"]
    axes.plot(held_out, color=FAINT, linewidth=1)
    axes.plot(held_out[:, tuned.start], color=BLUE, label=f"start {tuned.start}, the best")
    axes.plot(tuned.iteration, tuned.held_out, "o", color=ORANGE, label="chosen")
    axes.set(xlabel="iteration of the descent", ylabel="objective on held-out runs")
    axes.legend(frameon=False)
    return figure


def tuning_table(title: str, tuned: Tuned, before: Mapping[str, Any], objective: str) -> Table:
    """Settings and objectives before and after, for the terminal."""
    table = Table(title=terminal(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("tuned", justify="right")
    for name, value in tuned.values.items():
        table.add_row(terminal(name), _told(before[name]), _told(value))
    table.add_row(terminal(f"objective ({objective})"), f"{tuned.untuned[0]:.3f}", f"{tuned.objective:.3f}")
    table.add_row("on held-out runs", f"{tuned.untuned[1]:.3f}", f"{tuned.held_out:.3f}")
    return table


def _told(value: Any) -> str:
    """A number, the phases' one by one, of many the smallest and the largest."""
    numbers = np.ravel(value.values if isinstance(value, Phases) else value)
    if len(numbers) > MOST_TOLD:
        there = numbers[numbers > 0]
        return f"{there.min():.4g} to {there.max():.4g}"
    return ", ".join(f"{number:.4g}" for number in numbers)
