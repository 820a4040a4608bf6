"""What was measured, as one JSON file, tables and a picture."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.sheet import Row
from jaxcoopt.report.readme import check_readme, markdown, write_readme

BLOCK = "cuda"  # of docs/gpu.md
Report = dict[str, Any]


def collected(folder: Path) -> Report:
    """All parts that the folder has; what the machine is stands once, from the first of them."""
    files = {name: folder / f"{name}.json" for name in PARTS}
    parts = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    if not parts:
        raise SystemExit(f"--out {folder}: no part was measured there; expected files such as engine.json")
    apart = ("rows", "part", "complete", "seconds", "wall_seconds")
    about = {key: value for key, value in next(iter(parts.values())).items() if key not in apart}
    kept = ("complete", "seconds", "wall_seconds", "rows")
    return about | {"parts": {name: {key: part.get(key) for key in kept} for name, part in parts.items()}}


def file_name(report: Report) -> str:
    """With the device's name in it."""
    device = re.sub(r"[^a-z0-9]+", "_", report["device"].lower()).strip("_")
    return f"cuda_{device}{'_small' if report['small'] else ''}"


def rows(report: Report, part: str) -> list[Row]:
    """Of a part, those that were made."""
    return [row for row in report["parts"].get(part, {}).get("rows", ()) if "skipped" not in row and "error" not in row]


def wrong(report: Report) -> list[str]:
    """Names of the checks that failed."""
    return [
        f"{part}: {row['name']}" for part in report["parts"] for row in rows(report, part) if row.get("ok") is False
    ]


def left_out(report: Report) -> Iterator[tuple[str, str, str]]:
    """(part, name, reason) of what was skipped or went wrong."""
    for part, found in report["parts"].items():
        for row in found["rows"]:
            if "skipped" in row or "error" in row:
                yield part, row["name"], row.get("skipped") or row["error"]


def lines(report: Report) -> list[str]:
    """The tables, in Markdown."""
    versions = report["versions"]
    failed = wrong(report)
    text = [
        f"{report['device']}, jax {versions['jax']}, Python {versions['python']}, float32 unless said.",
        "Times are medians of five, with the least and the most; ratios are a time over ours.",
        "",
        f"Checks that failed: {', '.join(failed) if failed else 'none'}.",
        *_unfinished(report),
    ]
    tables = (_checks, _engine, _rivals, _choices, _sweep, _tune)
    for heading, made in (table(report) for table in tables):
        if made:
            text += ["", *markdown(heading, made)]
    skipped = list(left_out(report))
    if skipped:
        text += ["", *markdown(("left out", "", "why"), [(part, name, reason[:160]) for part, name, reason in skipped])]
    return text


def _unfinished(report: Report) -> list[str]:
    """Parts that were ended on the way, or not begun."""
    cut = [name for name, part in report["parts"].items() if not part["complete"]]
    missing = [name for name in PARTS if name not in report["parts"]]
    told = {"Ended before they were done": cut, "Not measured": missing}
    return [f"{words}: {', '.join(names)}." for words, names in told.items() if names]


Table = tuple[Sequence[str], list[list[str]]]


def _checks(report: Report) -> Table:
    made = [
        [row["name"], f"{row['worst']:.2g}", f"{row['limit']:.2g}", "yes" if row["ok"] else "NO"]
        for row in rows(report, "correct")
        if row.get("worst") is not None
    ]
    return ("checked", "worst", "limit", "within"), made


def _between(row: Row) -> str:
    return f"{row['us']:,.4g} ({row['us_least']:,.4g} to {row['us_most']:,.4g})"


def _engine(report: Report) -> Table:
    made = []
    for row in rows(report, "engine"):
        if row["name"] == "rates":
            copy, turn = f"{row['copy_bandwidth'] / 1e12:.3g} TB/s", f"{row['turn_us']:.3g}"
            without = f"a turn without a CUDA graph {row['turn_without_graph_us']:.3g} us"
            made.append([f"a copy of {row['copy_bytes'] / 1e9:.2g} GB: {copy}; {without}", turn, "", "", "", ""])
            continue
        part = f"{100 * row['floor_us'] / row['us']:.0f} %"
        record, seconds = f"{row['record_us']:.3g}", f"{row['compile_seconds']:.0f}"
        made.append([row["name"], _between(row), f"{row['floor_us']:.3g}", part, record, seconds])
    return ("one iteration", "us", "floor, us", "of the floor", "us a record", "s to compile"), made


def _rivals(report: Report) -> Table:
    all_rows, made = rows(report, "rivals"), []
    ours = {(row["nodes"], row["runs"]): row["us"] for row in all_rows if row["entrant"] == "engine"}
    for row in all_rows:
        base = ours.get((row["nodes"], row["runs"]))
        if "us" not in row:
            made.append([row["name"], "gives other numbers", ""])
        else:
            made.append([row["name"], _between(row), "" if base is None else f"{row['us'] / base:.2f}"])
    return ("the paper's iteration", "us", "over ours"), made


def _choices(report: Report) -> Table:
    all_rows, made, base = rows(report, "choices"), [], {}
    for row in all_rows:
        case = row["name"].rsplit(",", 1)[0]
        base = base | {case: row} if not row["without"] else base
        ratios = ["", ""]
        if row["without"] and case in base:
            ratios = [f"{row[each] / base[case][each]:.2f}" for each in ("us", "record_us")]
        made.append([row["name"], _between(row), ratios[0], f"{row['record_us']:.3g}", ratios[1]])
    return ("a choice switched off", "us", "over as it is", "us a record", "over as it is"), made


def _sweep(report: Report) -> Table:
    made = [
        [
            row["name"] + ("" if row["warm"] else ", compiling included"),
            f"{row['seconds']:,.4g}",
            f"{row['us_per_run']:,.4g}",
            " x ".join(map(str, row["tile"])),
        ]
        for row in rows(report, "sweep")
    ]
    return ("a sweep", "s", "us a run", "tile"), made


def _tune(report: Report) -> Table:
    made = [
        [row["name"], *(f"{row[each]['us_an_iteration']:,.4g}" for each in ("plain", "reverse")), f"{row['ratio']:.2f}"]
        for row in rows(report, "tune")
    ]
    return ("derivatives", "plain, us an iteration", "reverse", "ratio"), made


def write(report: Report, folder: Path) -> Path:
    """The JSON, the tables beside it, and a picture where Matplotlib is there."""
    name = file_name(report)
    (folder / f"{name}.md").write_text("\n".join(lines(report)) + "\n")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    from benchmarks.gpu.picture import figure

    try:
        figure(report).savefig(folder / f"{name}.png")
    except ImportError as error:
        print(f"no picture: {error}")
    return path


def publish(report: Report, results: Path, readme: Path) -> None:
    """Into benchmarks/results, and the tables into the page."""
    check_readme(readme, BLOCK)
    write(report, results)
    (results / f"{file_name(report)}.md").unlink()
    picture = f"../benchmarks/results/{file_name(report)}.png"
    write_readme(readme, BLOCK, [*lines(report), "", f"![Times on {report['device']}]({picture})"])
