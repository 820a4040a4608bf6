"""The summary as a table for the terminal."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxcoopt.errors import require
from jaxcoopt.escaping import terminal

PREFIXES = ("", "k", "M", "G", "T", "P")


def titled_table(title: str, header: bool = True) -> Table:
    """An empty table without any lines."""
    return Table(
        title=terminal(title), title_justify="left", title_style="bold", show_header=header, box=None, pad_edge=False
    )


def headed_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0) -> Table:
    """Texts in columns, the first `left` of them flush left, all others flush right."""
    table = titled_table(title)
    for i, heading in enumerate(headings):
        table.add_column(terminal(heading), justify="left" if i < left else "right")
    for row in rows:
        table.add_row(*map(terminal, row))
    return table


def wide_console(width: int) -> Console:
    """As wide as the terminal; in a pipe or a file, so many letters wide."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def csv_lines(data: Any, columns: Sequence[str] | None = None, **options: Any) -> str:
    """As CSV. data: what pandas makes a table of; options: of its `to_csv`."""
    table = require("pandas", extra="report").DataFrame(data, columns=columns)
    return table.to_csv(index=False, lineterminator="\n", **options)


def summary_table(summary: dict[str, Any], title: str) -> Table:
    """What a reader wants to know first, one line each."""
    table = titled_table(title, header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for name, value, note in _rows(summary):
        table.add_row(*map(terminal, (name, value, note)))
    return table


def with_prefix(value: float | None, unit: str) -> str:
    """ "1.23 Mbit" for 1,234,567 and "bit"."""
    if value is None or not math.isfinite(value):
        return "infinite"
    exponent = min(int(math.log10(abs(value)) // 3), len(PREFIXES) - 1) if abs(value) >= 1000 else 0
    scaled = value / 1000**exponent
    return (
        f"{scaled:.3g} {PREFIXES[exponent]}{unit}"
        if abs(scaled) < 999.5
        else f"{scaled:.0f} {PREFIXES[exponent]}{unit}"
    )


def duration(seconds: float | None) -> str:
    """ "12.3 ms", "4.56 s", "3 min 20 s" or "2 h 5 min"."""
    if seconds is None or not math.isfinite(seconds):
        return "infinite"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    status = summary["status"]
    ended = status if isinstance(status, str) else ", ".join(f"{count} {name}" for name, count in status.items())
    rows = [("status", ended, f"after {summary['steps']:,} iterations" + _of_runs(summary["runs"]))]
    if summary["allocation_cost"] is not None or summary["budget_residual"] is not None:
        rows += [
            ("allocation gap", _number(summary["allocation_gap"]), "cost above the optimum, relative"),
            ("budget residual", _number(summary["budget_residual"]), "relative, worst of the whole run"),
            ("box violation", _number(summary["box_violation"]), "CPU units, worst of the whole run"),
        ]
    if summary["consensus_error"] is not None or summary["training_loss"] is not None:
        gap = summary["training_gap"]
        rows += [("training gap", _number(gap), "loss above the optimum, relative")] if gap is not None else []
        rows += [
            ("training loss", _number(summary["training_loss"]), "of the mean of the nodes' models"),
            ("consensus error", _number(summary["consensus_error"]), "rms distance to the mean model"),
        ]
    rows += [row for name in ("accuracy", "r2") if (row := _score(summary, name))]
    own = summary.get("metrics", {})
    return [*rows, *((name, _plain(each["end"]), each["unit"]) for name, each in own.items()), *_costs(summary)]


def _of_runs(runs: int) -> str:
    return "" if runs == 1 else f"; numbers are those of the worst of {runs} runs"


def _score(summary: dict[str, Any], name: str) -> tuple[str, str, str] | None:
    if f"test_{name}" not in summary:
        return None
    show = _percent if name == "accuracy" else _plain
    best = summary[f"reference_test_{name}"]
    note = "held-out samples" + ("" if best is None else f"; centralised optimum: {show(best)}")
    return ("test accuracy" if name == "accuracy" else "test R2"), show(summary[f"test_{name}"]), note


def _costs(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    timings = ", ".join(f"{name} {duration(seconds)}" for name, seconds in summary["timings"].items())
    return [
        ("bits per node", with_prefix(summary["bits_per_node"], "bit"), "sent by the mean node"),
        (
            "simulated time",
            duration(summary["simulated_seconds"]),
            summary.get("why_no_seconds") or "the slowest node sets the pace",
        ),
        ("wall time", duration(summary["seconds"]), timings),
    ]


def _number(value: float | None) -> str:
    return "not finite" if value is None else "0" if value == 0 else f"{value:.2e}"


def _plain(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "not finite" if value is None else f"{100 * value:.1f} %"
