"""What a tuning leaves behind: its settings, its history as a table and a picture, and what was gained."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jaxcoopt.files import write_text
from jaxcoopt.report.folder import save, write_all
from jaxcoopt.report.style import BLUE, FAINT, ORANGE, new_figure, styled
from jaxcoopt.report.table import csv_lines, headed_table
from jaxcoopt.tuning.described import told
from jaxcoopt.tuning.tune import Tuned


def write_tuning(folder: Path, tuned: Tuned, settings: str) -> None:
    """history.csv, history.png and, last, tuned.toml. Raises OSError naming the file that cannot be written."""
    writers: dict[str, Callable[[Path], None]] = {
        "history.csv": lambda path: write_text(path, history_csv(tuned)),
        "history.png": lambda path: save(history_figure(tuned), path),
        "tuned.toml": lambda path: write_text(path, settings),
    }
    write_all(folder, writers, last="tuned.toml")


def history_csv(tuned: Tuned) -> str:
    """A line for each iteration and start; phases and link weights in columns of their own."""
    iterations, starts = tuned.history["objective"].shape
    at = np.indices((iterations, starts))
    columns: dict[str, np.ndarray] = {"iteration": at[0], "start": at[1]}
    for name, values in tuned.history.items():
        for inner in np.ndindex(values.shape[2:]):  # of phases and link weights
            columns[name + "".join(f"[{i}]" for i in inner)] = values[(..., *inner)]
    return csv_lines({name: np.ravel(values) for name, values in columns.items()}, na_rep="nan")


@styled
def history_figure(tuned: Tuned) -> Any:
    """The objective on held-out runs, start by start, and where the best was found."""
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    held_out = tuned.history["held_out"]
    others = np.delete(held_out, tuned.start, axis=1)
    axes.plot(others, color=FAINT, linewidth=1, label=["other starts", *[None] * others.shape[1]][: others.shape[1]])
    axes.plot(held_out[:, tuned.start], color=BLUE, label=f"start {tuned.start}, the best")
    axes.plot(tuned.iteration, tuned.held_out, "o", color=ORANGE, label="chosen")
    axes.set(xlabel="iteration of the descent", ylabel="objective on held-out runs")
    axes.legend()
    return figure


def tuning_table(title: str, tuned: Tuned, before: Mapping[str, Any], objective: str) -> Table:
    """Settings, objectives and parts of the error before and after, for the terminal."""
    rows = [(name, told(before[name]), told(value)) for name, value in tuned.values.items()]
    rows += [(f"objective ({objective})", f"{tuned.objective_untuned:.3f}", f"{tuned.objective:.3f}")]
    rows += [("on held-out runs", f"{tuned.untuned:.3f}", f"{tuned.held_out:.3f}")]
    rows += [(f"  {name}", f"{given:.2g}", f"{found:.2g}") for name, (given, found) in tuned.parts.items()]
    return headed_table(title, ("", "before", "tuned"), rows, left=1)
