"""What a tuning leaves behind: its settings, its history as a table and a picture, and what was gained."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from jaxcoopt.report.style import BLUE, FAINT, ORANGE, new_figure, plain_axes
from jaxcoopt.report.summary import write_text
from jaxcoopt.tuning.tune import Tuned


def write_tuning(folder: Path, tuned: Tuned, settings: str) -> None:
    """history.csv, history.png and, last, tuned.toml. Raises OSError naming the file that cannot be written."""
    iterations, starts = tuned.history["objective"].shape
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["iteration", "start", *tuned.history])
        for at in np.ndindex(iterations, starts):
            rows.writerow([*at, *(float(values[at]) for values in tuned.history.values())])
    history_figure(tuned).savefig(folder / "history.png")
    write_text(folder / "tuned.toml", settings)


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


def tuning_table(title: str, tuned: Tuned, before: Mapping[str, float], objective: str) -> Table:
    """Settings and objectives before and after, for the terminal."""
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("tuned", justify="right")
    for name, value in tuned.values.items():
        table.add_row(name, f"{before[name]:.4g}", f"{value:.4g}")
    table.add_row(f"objective ({objective})", f"{tuned.untuned[0]:.3f}", f"{tuned.objective:.3f}")
    table.add_row("on held-out runs", f"{tuned.untuned[1]:.3f}", f"{tuned.held_out:.3f}")
    return table
