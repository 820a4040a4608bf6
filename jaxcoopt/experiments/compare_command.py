"""`jaxcoopt compare`: a TOML file in, tables, pictures and all numbers out."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxcoopt.escaping import file_part, terminal
from jaxcoopt.experiments.catalogue import asked_by
from jaxcoopt.experiments.compare_summary import summarise
from jaxcoopt.experiments.compare_tables import COMPARISONS, Comparison
from jaxcoopt.experiments.contenders import contenders
from jaxcoopt.experiments.limits import check_comparison
from jaxcoopt.experiments.run_comparison import cases, play_comparison
from jaxcoopt.files import located, write_text
from jaxcoopt.report.comparison_plots import curves_csv, error_figure, ratio_figure
from jaxcoopt.report.comparison_table import BLOCK, cases_page, readme_lines, screen_tables, to_csv, to_latex
from jaxcoopt.report.folder import PICTURE, reserved_folder, save_both, write_all
from jaxcoopt.report.readme import check_readme, write_readme
from jaxcoopt.report.summary import write_json
from jaxcoopt.report.table import duration, wide_console
from jaxcoopt.run.progress import counted
from jaxcoopt.study.contest import Contest

LIST = "list"
REPORT, RATIOS, CASES = "comparison.json", "ratios", "cases.md"
NUMBERS = 2**20  # bytes of a case's numbers, or less
WIDTH = 170  # of the tables in a file or a pipe


def run_comparison(
    file: str, overrides: Sequence[str], out: Path, overwrite: bool, readme: Path | None, quiet: bool
) -> dict[str, Any]:
    """Reads the settings, lets all compete, and leaves the folder; comparison.json is written after every case.

    Raises ValueError for settings that mean nothing, FileExistsError for a folder in use, ImportError naming an extra.
    """
    settings = COMPARISONS.read(file, overrides)
    with asked_by(file):
        check_comparison(settings)
    entrants, todo = contenders(settings), cases(settings)
    if readme is not None:
        readme = located("--readme", readme)
        check_readme(readme, BLOCK)
    start, contests, report, out = time.perf_counter(), [], {}, located("--out", out)
    pictures = dict.fromkeys([f"picture {i}" for i in range(2 + 2 * len(todo))], PICTURE)
    sizes = {REPORT: NUMBERS * len(todo)} | pictures
    try:
        with reserved_folder(out, overwrite, sizes), counted(not quiet, len(todo) * len(entrants)) as done:
            for contest in play_comparison(settings, done):
                contests.append(contest)
                report = summarise(settings, contests, round(time.perf_counter() - start, 2))
                write_all(out, {REPORT: partial(write_json, summary=report)})
            write_all(out, _writers(settings, contests, report))
            if readme is not None:
                command = " ".join(["jaxcoopt compare", file, *(f"--set {override}" for override in overrides)])
                picture, page = (os.path.relpath(out / name, readme.parent) for name in (f"{RATIOS}.svg", CASES))
                write_readme(readme, BLOCK, readme_lines(report, picture, page, command))
    finally:  # what was computed is shown, even where it cannot be written
        if report and not quiet:
            _show(report, out)
    return report


def list_comparisons() -> None:
    """Prints the names and titles of those that come with the package."""
    for name in COMPARISONS.names():
        Console().print(terminal(f"{name:<12}", "cyan") + terminal(COMPARISONS.title(name)))


def _writers(
    settings: Comparison, contests: Sequence[Contest], report: dict[str, Any]
) -> dict[str, Callable[[Path], None]]:
    """What is written once all is done."""
    writers: dict[str, Callable[[Path], None]] = {
        "table.csv": lambda path: write_text(path, to_csv(report)),
        "table.tex": lambda path: write_text(path, to_latex(report)),
        CASES: lambda path: write_text(path, cases_page(report)),
        "curves.csv": lambda path: write_text(path, curves_csv(contests)),
    }
    for name, contest in zip(_names(contests), contests, strict=True):
        writers[f"{name}.png"] = lambda path, contest=contest: save_both(error_figure(contest, settings.floor), path)
    return writers | {f"{RATIOS}.png": lambda path: save_both(ratio_figure(report), path)}


def _names(contests: Sequence[Contest]) -> list[str]:
    """Of the files of each case's picture, all different."""
    found: list[str] = []
    for contest in contests:
        name = "_".join(("error", contest.problem, file_part(contest.network), str(contest.nodes)))
        found.append(name if name not in found else f"{name}_{len(found)}")
    return found


def _show(report: dict[str, Any], out: Path) -> None:
    console = wide_console(WIDTH)
    for table in screen_tables(report):
        console.print(table)
        console.print()
    for case in report["cases"]:
        for label, reason in case["skipped"].items():
            console.print(terminal(f"{case['name']}: without {label}: {reason}", "dim"))
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report["timings"].items())
    console.print(terminal(f"error: {report['error']}, at least {report['floor']:.0e}", "dim"))
    console.print(terminal(f"{duration(report['seconds'])} ({parts}). Written to {out}", "dim"))
