"""The report on a sweep: tables, pictures and one HTML page, from its dataset or its store."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxcoopt.errors import require
from jaxcoopt.escaping import csv_text, plain, terminal
from jaxcoopt.files import advised, located, write_text
from jaxcoopt.report.bands import BEST, along, common, curves_figure, profile_figure
from jaxcoopt.report.best import ranking
from jaxcoopt.report.folder import PICTURE, reserved_folder, save_both, write_all
from jaxcoopt.report.heatmap import heatmap_figure
from jaxcoopt.report.page import page
from jaxcoopt.report.summary import write_json
from jaxcoopt.report.sweep_table import progress, screen_table, summary, table
from jaxcoopt.report.swept import Swept, chosen_axes, chosen_metrics, open_store, swept
from jaxcoopt.report.table import csv_lines, wide_console
from jaxcoopt.shown import briefly
from jaxcoopt.study.statistics import Statistics, statistics

WIDTH = 150  # of the tables in a pipe
SUMMARY = "summary.json"
LARGEST = 2**26  # bytes of a summary: it names every point with diverged runs
OURS = re.compile(r"(table\.csv|report\.html|summary\.json|(heatmap|profile|curves|along)_\w+\.(png|svg))")
PAGE = 6 * 2**20  # bytes of an HTML page beside its numbers: the library that draws is inside
LINE = 400  # bytes of a point's line of the table, or of its numbers in the page


@briefly
@dataclass(frozen=True)
class SweepReport:
    """metrics: those drawn; x, y: the axes of the heat map, None where too few were swept; statistics: of every metric
    at the last record, over each point's finite runs.
    """

    sweep: Swept
    metrics: tuple[str, ...]
    x: str | None
    y: str | None
    statistics: dict[str, Statistics]

    def table(self) -> Any:
        """A pandas.DataFrame with a line for each metric and point."""
        return table(self.sweep, self.statistics)

    def summary(self) -> dict[str, Any]:
        """How much is done, how the runs ended, the best points, those with diverged runs."""
        return summary(self.sweep, self.statistics)

    def figures(self) -> dict[str, Any]:
        """Matplotlib figures by file name: a heat map (or a profile along the only axis) and curves of each metric.

        Of none without a number. A notebook shows all of them, or one of them.
        """
        require("matplotlib", extra="report")
        from jaxcoopt.report.shown_figure import Figures  # its base is Matplotlib's

        return Figures({name: figure for metric in self.metrics for name, figure in self._figures(metric).items()})

    def html(self) -> str:
        """The page, with all that it needs inside."""
        return page(self.sweep, self.statistics, self.metrics, self.x, self.y)

    def write(self, folder: Path, store: Path | None = None) -> None:
        """table.csv, the figures as PNG and SVG, report.html and, last, summary.json: where that is, all is there.

        store: whose report it is; what an earlier one of the same store left is removed.
        """
        with advised(f"--out {folder}", "removing the earlier report"):
            for name in () if store is None else _written(folder, store):
                (folder / name).unlink(missing_ok=True)
        figures = self.figures()
        text = csv_lines(_for_spreadsheets(self.table()))
        writers: dict[str, Callable[[Path], None]] = {"table.csv": partial(write_text, text=text)}
        writers |= {f"{name}.png": partial(save_both, figure) for name, figure in figures.items()}
        writers["report.html"] = partial(write_text, text=self.html())
        names = sorted([*writers, *(f"{name}.svg" for name in figures)])
        origin = {} if store is None else {"store": str(store.resolve()), "files": [*names, SUMMARY]}
        writers[SUMMARY] = partial(write_json, summary=self.summary() | origin)
        write_all(folder, writers, last=SUMMARY)

    def sizes(self) -> dict[str, int]:
        """The bytes that each file may take."""
        lines = LINE * len(self.sweep.where) * len(self.sweep.metrics)
        kinds = itertools.product(("heatmap", "curves", "along"), self.metrics, ("png", "svg"))
        pictures = {f"{kind}_{metric}.{ending}": PICTURE for kind, metric, ending in kinds}
        return {"table.csv": lines, **pictures, "report.html": PAGE + lines}

    def _figures(self, metric: str) -> dict[str, Any]:
        sweep, values = self.sweep, self.statistics[metric]
        label = self._label(metric)
        if not np.isfinite(values.median).any():
            return {}
        ranked = ranking(sweep, metric, values.median)
        best = ranked.order[:BEST].tolist()
        found = {}
        if self.x is not None and self.y is not None:
            at_end = f"{label}: median over {_seeds(sweep)} after {sweep.iterations[-1]:,} iterations"
            found[f"heatmap_{metric}"] = heatmap_figure(sweep, metric, values.median, at_end, self.x, self.y)
        elif self.x is not None:
            at_end = f"{label}: median and quartiles over {_seeds(sweep)} after {sweep.iterations[-1]:,} iterations"
            found[f"profile_{metric}"] = profile_figure(sweep, metric, values, at_end, self.x)
        bands = f"{label}: median and quartiles over {_seeds(sweep)}"
        which = "the best points" if len(ranked.best) else "the points with the least values"
        heading = f"{bands}, {which}" if len(sweep.where) > 1 else bands
        heading += f", all at {same}" if (same := common(sweep, best)) else ""
        found[f"curves_{metric}"] = curves_figure(sweep, metric, heading, best)
        if self.x is not None and best and len(line := along(sweep, self.x, best[0])) > 1:
            rest = sweep.name_of(best[0], without=(self.x,))
            heading = f"{bands}, along {plain(self.x)}" + (f" at {rest}" if rest else "")
            found[f"along_{metric}"] = curves_figure(sweep, metric, heading, line, self.x)
        return found

    def _label(self, metric: str) -> str:
        return f"{metric.replace('_', ' ')} ({plain(self.sweep.units[metric])})"


def sweep_report(dataset: Any, x: str | None = None, y: str | None = None, metrics: Sequence[str] = ()) -> SweepReport:
    """The report on a sweep's xarray.Dataset; nothing is written.

    x, y: axes of the heat map, by default the two longest, numbers before labels. metrics: those to draw, by default
    the gaps. Raises ValueError for names that the dataset has not, and for one that no sweep wrote.
    """
    sweep = swept(dataset)
    shown = chosen_metrics(sweep, metrics)
    x, y = chosen_axes(sweep, x, y)
    return SweepReport(sweep, shown, x, y, {name: statistics(each[..., -1]) for name, each in sweep.metrics.items()})


def report_store(
    store: Path,
    out: Path | None = None,
    x: str | None = None,
    y: str | None = None,
    metrics: Sequence[str] = (),
    overwrite: bool = False,
    quiet: bool = False,
) -> SweepReport:
    """The report on a Zarr store, left in a folder: by default beside the store, under its name and "-report"."""
    require("plotly", extra="report")
    store = located("STORE", store)
    found = sweep_report(open_store(store), x, y, metrics)
    beside = store.resolve() if store.name in ("", "..") else store
    out = beside.with_name(f"{store.resolve().stem}-report") if out is None else located("--out", out)
    earlier = {path.name for path in out.iterdir()} if out.is_dir() else set()
    with reserved_folder(out, overwrite or earlier <= set(_written(out, store)), found.sizes()):
        found.write(out, store)
    if not quiet:
        _show(found, out)
    return found


def _written(folder: Path, store: Path) -> list[str]:
    """What an earlier report of the same store left in a folder, as that says; nothing where there is none."""
    try:
        found = folder / SUMMARY
        if not found.is_file() or found.stat().st_size > LARGEST:
            return []
        summary = json.loads(found.read_text(encoding="utf-8"))
        names = summary["files"] if summary["store"] == str(store.resolve()) else []
        return [name for name in names if OURS.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _for_spreadsheets(table: Any) -> Any:
    """A pandas.DataFrame whose texts, headings among them, no spreadsheet computes."""
    texts = table.select_dtypes(exclude="number").columns
    return table.assign(**{name: table[name].map(csv_text) for name in texts}).rename(columns=csv_text)


def _seeds(sweep: Swept) -> str:
    count = sweep.status.shape[1]
    return "1 seed" if count == 1 else f"{count} seeds"


def _show(report: SweepReport, out: Path) -> None:
    console = wide_console(WIDTH)
    console.print(terminal(f"{report.sweep.title}: {progress(report.sweep)}"))
    for metric in report.metrics:
        console.print()
        shown = np.isfinite(report.statistics[metric].median).any()
        nothing = terminal(f"{metric.replace('_', ' ')}: no finite run, so nothing is drawn and no point is best")
        console.print(screen_table(report.sweep, metric, report.statistics[metric]) if shown else nothing)
    console.print()
    console.print(terminal(f"Written to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}", "dim"))
