"""`jaxcoopt bench`: cases in, a JSON, a picture and a table out."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.engine import case as cases_of
from benchmarks.engine.case import Case
from benchmarks.engine.entrants import RIVALS, entrants_of
from benchmarks.engine.harness import measure
from benchmarks.engine.machine import commit, device_memory, machine
from benchmarks.engine.picture import cost_figure
from benchmarks.engine.rows import skipped_row
from benchmarks.engine.tables import BLOCK, readme_lines, screen_table
from jaxcoopt.errors import require, unknown_name
from jaxcoopt.escaping import terminal
from jaxcoopt.files import located
from jaxcoopt.report.folder import PICTURE as SIZE
from jaxcoopt.report.folder import reserved_folder, save, write_all
from jaxcoopt.report.readme import check_readme, write_readme
from jaxcoopt.report.summary import write_json
from jaxcoopt.run.progress import counted
from jaxcoopt.run.shards import devices_of_cores
from jaxcoopt.versions import versions

REPORT, PICTURE = "engine.json", "engine.png"
ROW = 2**14  # bytes of a case in the JSON, or less
WIDTH = 150  # of the table in a file or a pipe


def run_benchmark(
    grid: str, axes: Mapping[str, str | None], rivals: str, out: Path, readme: Path | None, quiet: bool
) -> dict[str, Any]:
    """Takes the command line's texts, measures every case, and writes out/engine.json after each; at the end the
    picture, and the README's block.

    Raises ValueError for an axis, rival or grid that is not known, ImportError naming the extra that is missing.
    """
    beside = tuple(rivals.split(",")) if rivals else ()
    for rival in beside:
        if rival not in RIVALS:
            raise unknown_name("--rivals", rival, RIVALS)
    if readme is not None:
        readme = located("--readme", readme)
        check_readme(readme, BLOCK)
    for module, extra in (("pytest_benchmark", "bench"), ("matplotlib", "report")):
        require(module, extra=extra)
    chosen = cases_of.grid(grid, cases_of.read_axes(axes))
    for case in chosen:
        cases_of.check_case(case)
    devices_of_cores(max(case.runs for case in chosen))
    out = located("--out", out)
    about = {"machine": machine(), "versions": versions("networkx", "pytest-benchmark"), "commit": commit()}
    report: dict[str, Any] = about | {"rows": []}
    try:
        with reserved_folder(out, True, {REPORT: ROW * len(chosen), PICTURE: SIZE}):
            _measured(report, chosen, beside, out, quiet)
            write_all(out, {PICTURE: lambda path: save(cost_figure(report["rows"]), path)})
            if readme is not None:
                lines = readme_lines(report, os.path.relpath(out / PICTURE, readme.parent))
                write_readme(readme, BLOCK, lines)
    finally:  # what was measured is shown, even where it cannot be written
        if report["rows"] and not quiet:
            _show(report, out)
    return report


def _measured(report: dict[str, Any], chosen: Sequence[Case], beside: tuple[str, ...], out: Path, quiet: bool) -> None:
    """A row for each case, written as it is there."""
    memory = device_memory()
    with counted(not quiet, len(chosen) * len(entrants_of(beside))) as done:
        for case in chosen:
            reason = cases_of.why_skipped(case, memory)
            if reason is None:
                report["rows"] += measure([case], beside, done)
            else:
                report["rows"].append(skipped_row(case, reason))
                for _ in entrants_of(beside):
                    done(case.name)
            write_all(out, {REPORT: partial(write_json, summary=report)})


def _show(report: dict[str, Any], out: Path) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(screen_table(report["rows"]))
    for row in report["rows"]:
        if "skipped" in row:
            console.print(terminal(f"skipped {row['name']}: {row['skipped']}", "dim"))
    console.print()
    console.print(terminal(f"Written to {out}: {REPORT}, {PICTURE}", "dim"))
