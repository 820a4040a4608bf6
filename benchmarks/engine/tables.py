"""The report as words: a table on the screen, and the README's block."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.engine.case import HEADLINE, MEDIUM
from benchmarks.engine.comparisons import comparisons
from benchmarks.engine.rows import best_numpy
from jaxcoopt.escaping import markdown_path, markdown_text, terminal
from jaxcoopt.report.readme import markdown

BLOCK = "bench"  # of the page in docs/
HEADINGS = (
    "n, d, runs, m",
    "links",
    "graph",
    "us / iteration",
    "node updates / s",
    "NumPy 1 thread",
    "NumPy best",
    "vmap",
    "decent-bench",
    "of the floor",
)
SHOWN = {case.name for case in MEDIUM}


def cells(row: dict[str, Any]) -> list[str]:
    """One row of either table; ratios are the rival's time over ours."""
    case, best = row["case"], best_numpy(row)
    links = case["channel"] + ("" if case["precision"] == "float32" else f", {case['precision']}")
    percent = row.get("percent_of_floor")
    return [
        f"{case['nodes']:,}, {case['degree']}, {case['runs']:,}, {case['params']:,}",
        links,
        case["graph"],
        f"{1e6 * row['engine']['min']:,.0f}",
        f"{row['node_updates_per_second']:.2g}",
        _times(row["rivals"].get("numpy")),
        _times(best),
        _times(row["rivals"].get("vmap")),
        _times(row["rivals"].get("decent-bench")),
        "" if percent is None else f"{percent:.0f} %",
    ]


def _times(rival: dict[str, Any] | None) -> str:
    if rival is None or "ratio" not in rival:
        return ""
    wrong = not rival.get("agreement", {"agrees": True})["agrees"]
    ratio = rival["ratio"]
    return (f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.1f}x") + (" (differs)" if wrong else "")


def screen_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Every row, what was skipped with its reason."""
    table = Table(*HEADINGS, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        if "engine" in row:
            table.add_row(*map(terminal, cells(row)))
    return table


def readme_lines(report: dict[str, Any], picture: str) -> list[str]:
    """What stands between the README's markers; picture: its path from there."""
    machine, versions = report["machine"], report["versions"]
    rows = [row for row in report["rows"] if "engine" in row]
    shown = [row for row in rows if row["name"] in SHOWN] or rows
    device = "" if machine["device"] == "cpu" else f", {machine['device_kind']}"
    return [
        f"One iteration of both halves on {machine['cores']} cores ({markdown_text(machine['cpu'] + device)}), float32 "
        "unless said,",
        f"jax {versions['jax']}, NumPy {versions['numpy']}: the minimum of several timed calls, records included.",
        "A figure such as 3x is a rival's time over ours, in the same process and with the same answer; decent-bench",
        "0.3 runs by itself, training only, one run. Written by `jaxcoopt bench`; all rows are in the JSON.",
        "",
        *markdown(HEADINGS, [cells(row) for row in shown]),
        "",
        *_asked(rows),
        *_parts(rows),
        f"![Cost of a node update against n, d, runs and m]({markdown_path(picture)})",
    ]


def _asked(rows: list[dict[str, Any]]) -> list[str]:
    known = [each for each in comparisons(rows) if each.value is not None]
    if not known:
        return []
    table = [
        [each.what, each.aim, _figure(each.value), "yes" if each.met else "no"]
        for each in known
        if each.value is not None
    ]
    return [*markdown(("asked (n=1,000, d=8, m=10 unless said)", "aim", "measured", "met"), table), ""]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"


def _parts(rows: list[dict[str, Any]]) -> list[str]:
    """Where the headline's iteration goes."""
    parts = next((row["parts"] for row in rows if row["name"] == HEADLINE.name and "parts" in row), None)
    if parts is None:
        return []
    body = [[name, f"{1e6 * seconds:,.0f}"] for name, seconds in parts.items()]
    return [*markdown(("where it goes (n=1,000, 64 runs), each timed apart", "us"), body), ""]
