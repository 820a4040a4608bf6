"""`jaxcoopt tune`: a TOML file in, the same with better settings out."""

import csv
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import tomli_w
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.tune_tables import TuneExperiment
from jaxcoopt.report.folder import reserved_folder
from jaxcoopt.report.style import new_figure, plain_axes
from jaxcoopt.report.summary import write_text
from jaxcoopt.sweeps.names import Trio, find
from jaxcoopt.tuning.tune import Tuned, tune


def run_tuning(settings: TuneExperiment, out: Path, *, overwrite: bool, quiet: bool) -> None:
    """Writes tuned.toml, which `jaxcoopt run` takes, history.csv and history.png, and says what was gained."""
    console, start = Console(quiet=quiet), time.perf_counter()
    with reserved_folder(out, overwrite):
        table = tomllib.loads(tomli_w.dumps(settings.model_dump(exclude_none=True, exclude={"tune"})))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            tuned, trio = _tuned(settings, table, progress=not quiet)
        for name, value in tuned.values.items():
            _put(table, find(name, trio, "parameters").path, value)
        Experiment.model_validate(table)
        write_text(out / "tuned.toml", tomli_w.dumps(table))
        _write_history(out, tuned)
    for note in dict.fromkeys(str(each.message) for each in caught):
        console.print(Text("note: ", style="bold yellow") + Text(note))
    console.print(_summary(settings, trio, tuned))
    console.print(f"{len(tuned.history['objective'])} iterations in {time.perf_counter() - start:.1f} s; ", end="")
    console.print(Text(f"jaxcoopt run {out / 'tuned.toml'}", style="cyan"), Text("runs it", style="default"))


def _tuned(settings: TuneExperiment, table: dict[str, Any], progress: bool) -> tuple[Tuned, Trio]:
    wanted = settings.tune
    with jax.enable_x64(settings.precision == "float64"):
        built = build(Experiment.model_validate(table))
        tuned = tune(
            built.problem,
            built.network,
            built.method,
            wanted.parameters,
            steps=settings.steps,
            objective=wanted.objective,
            optimizer=optax.adam(wanted.rate),
            iterations=wanted.iterations,
            starts=wanted.starts,
            runs=wanted.runs,
            patience=wanted.patience,
            record_every=settings.record_every,
            initial=built.initial,
            seed=settings.seed,
            progress=progress,
        )
        return tuned, Trio(built.problem, built.network, built.method)


def _put(table: dict[str, Any], path: tuple[str, ...], value: float) -> None:
    """The halves of the method have tables of their own below [method], its channel has one at the top."""
    *way, last = path if path[0] == "channel" else ("method", *path)
    for part in way:
        table = table.setdefault(part, {})
    table[last] = value


def _write_history(out: Path, tuned: Tuned) -> None:
    iterations, starts = tuned.history["objective"].shape
    names = list(tuned.history)
    with (out / "history.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["iteration", "start", *names])
        for at in np.ndindex(iterations, starts):
            rows.writerow([*at, *(float(tuned.history[name][at]) for name in names)])
    figure = new_figure(7, 4)
    axes = figure.subplots()
    plain_axes(axes)
    axes.plot(tuned.history["held_out"], color="#B8BEC4", linewidth=1)
    axes.plot(tuned.history["held_out"][:, tuned.start], color="#0072B2", label=f"start {tuned.start}, the best")
    axes.plot(tuned.iteration, tuned.held_out, "o", color="#D55E00", label="chosen")
    axes.set(xlabel="iteration of the descent", ylabel="objective on held-out runs")
    axes.legend(frameon=False)
    figure.savefig(out / "history.png")


def _summary(settings: TuneExperiment, trio: Trio, tuned: Tuned) -> Table:
    table = Table(title=Text(settings.title), title_justify="left", box=None, pad_edge=False)
    for heading in ("", "before", "tuned"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, value in tuned.values.items():
        before: Any = trio.method
        for part in find(name, trio, "parameters").path:
            before = getattr(before, part)
        table.add_row(name, f"{float(before):.4g}", f"{value:.4g}")
    table.add_row(f"{settings.tune.objective} objective", f"{tuned.untuned[0]:.3f}", f"{tuned.objective:.3f}")
    table.add_row("on held-out runs", f"{tuned.untuned[1]:.3f}", f"{tuned.held_out:.3f}")
    return table
