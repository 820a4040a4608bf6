"""The report as words: tables on the screen, CSV, LaTeX, and Markdown for the README and beside it."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from jaxcoopt.escaping import LONGEST, csv_text, latex, markdown_code, markdown_path, markdown_text, plain
from jaxcoopt.report.readme import markdown
from jaxcoopt.report.table import csv_lines, headed_table
from jaxcoopt.study.jobs import QUANTITIES
from jaxcoopt.study.ratios import ANYTIME

BLOCK = "compare"  # of the page in docs/
OVERALL = "all cases"
QUARTILES = ("q1", "median", "q3")


def ratio_cells(report: dict[str, Any], bits: bool) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the ratios at the checkpoints, by iterations or by bits: "median [q1, q3]"."""
    kind = "bits" if bits else "iterations"
    marks = report["settings"]["checkpoints"]
    headings = ["case", "method", "against", *(_heading(kind, mark) for mark in marks)]
    rows = []
    for name, ratios in [(OVERALL, report["ratios"]), *((case["name"], case["ratios"]) for case in report["cases"])]:
        for key in dict.fromkeys((row["method"], row["against"]) for row in ratios):
            chosen = [row for row in ratios if (row["method"], row["against"]) == key and row["kind"] == kind]
            against = "those that keep the budget" if key[1] == ANYTIME else "all existing"
            rows.append([name, key[0], against, *(_range(row["error"]) for row in chosen)])
    return headings, rows


def method_cells(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of each method's own median error at the checkpoints' iterations, from the best case to the
    worst, and at the last its gap, budget residual and box violation (training: consensus error) in the worst case.
    """
    marks = report["settings"]["checkpoints"]
    last = marks.index(max(marks))
    names = [name for name in _quantities(report) if name not in ("error", "seconds")]
    headings = ["method", *(_heading("iterations", k) for k in marks), *(name.replace("_", " ") for name in names)]
    methods, rows = [method for case in report["cases"] for method in case["methods"]], []
    for label in dict.fromkeys(method["method"] for method in methods):
        found = [method for method in methods if method["method"] == label]
        at = [[method["horizons"][i]["error"][1] for method in found] for i in range(len(marks))]
        worst = [[method["horizons"][last][name][1] for method in found] for name in names]
        rows.append([label, *(_span(values) for values in at), *(_shown(_largest(values)) for values in worst)])
    return headings, rows


def screen_tables(report: dict[str, Any]) -> Iterator[Table]:
    """Ratios by iterations and by bits, then each method by itself."""
    yield _table("error of ours / error of the best existing: median [quartiles]", *ratio_cells(report, bits=False))
    yield _table("the same with the bits of so many iterations at one number a link", *ratio_cells(report, bits=True))
    yield _table("median error, best to worst case; at the end, in the worst case", *method_cells(report))


def to_csv(report: dict[str, Any]) -> str:
    """One line for each case, method and horizon: quartiles of all quantities, and of the ratios of ours."""
    return csv_lines([row for case in report["cases"] for row in _csv_rows(case)])


def to_latex(report: dict[str, Any]) -> str:
    """Two tabulars for booktabs: the ratios by iterations and by bits, and the methods."""
    parts = [ratio_cells(report, bits=False), ratio_cells(report, bits=True), method_cells(report)]
    return "\n\n".join(_tabular(*part) for part in parts) + "\n"


def readme_lines(report: dict[str, Any], picture: str, cases: str, command: str) -> list[str]:
    """What stands between the README's markers; picture, cases: their paths from there."""
    return [
        *_preamble(report),
        f"Written by {markdown_code(command)}, which repeats it; [case by case]({markdown_path(cases)}), and all "
        "numbers beside that.",
        "",
        *_ratios(report, overall=True),
        "Each method by itself: median error, best to worst case; the last columns at the end, in the worst case.",
        "",
        *markdown(*method_cells(report)),
        "",
        f"![Ratios of the errors, case by case]({markdown_path(picture)})",
    ]


def cases_page(report: dict[str, Any]) -> str:
    """The ratios of each case, in Markdown."""
    return "\n".join([*_preamble(report), "", *_ratios(report, overall=False)])


def _preamble(report: dict[str, Any]) -> list[str]:
    settings = report["settings"]
    return [
        f"{markdown_text(report['title'])}. Every method is tuned by the same grid search on "
        f"{settings['tuning_instances']} other",
        f"instances and run on {settings['instances']} for each case; a ratio is taken instance by instance to the",
        'smallest error among the existing methods: median [quartiles], a claim of "more than 50 % better" is a',
        f"ratio below 0.5. Error: {report['error']}, at least {report['floor']:.0e}.",
    ]


def _ratios(report: dict[str, Any], overall: bool) -> list[str]:
    """The ratios over all cases together or of each, by iterations and by bits."""
    parts = [ratio_cells(report, bits) for bits in (False, True)]
    by_iterations, by_bits = (
        markdown(headings, [row for row in rows if (row[0] == OVERALL) == overall]) for headings, rows in parts
    )
    between = "At equal bits, those of so many iterations at one number a link and iteration:"
    return [*by_iterations, "", between, "", *by_bits, ""]


def _csv_rows(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for method in case["methods"]:
        for row in method["horizons"]:
            line = {"problem": case["problem"], "network": csv_text(case["network"]), "nodes": case["nodes"]}
            line |= {"method": csv_text(method["method"])} | {name: method[name] for name in ("ours", "keeps_budget")}
            line |= {name: row[name] for name in ("kind", "checkpoint", "diverged")}
            for name in QUANTITIES:
                if name in row:
                    line |= _columns(name, row[name])
            for ratio in case["ratios"]:
                same = (ratio["method"], ratio["kind"], ratio["checkpoint"])
                if same == (method["method"], row["kind"], row["checkpoint"]):
                    against = "anytime" if ratio["against"] == ANYTIME else "best"
                    for quantity in ("error", "gap"):
                        line |= _columns(f"{quantity}_over_{against}", ratio[quantity])
            yield line | {"tuned": " ".join(f"{name}={value:g}" for name, value in row["tuned"].items())}


def _columns(name: str, values: Sequence[float | None]) -> dict[str, float]:
    return {
        f"{name}_{part}": float("inf") if value is None else value
        for part, value in zip(QUARTILES, values, strict=True)
    }


def _quantities(report: dict[str, Any]) -> list[str]:
    rows = (row for case in report["cases"] for method in case["methods"] for row in method["horizons"])
    first = next(rows, {})
    return [name for name in QUANTITIES if name in first]


def _heading(kind: str, mark: int) -> str:
    return f"{mark:,} iterations" if kind == "iterations" else f"bits of {mark:,}"


def _shown(value: float | None) -> str:
    return "inf" if value is None else "0" if value == 0 else f"{value:.2g}"


def _range(values: Sequence[float | None]) -> str:
    return f"{_shown(values[1])} [{_shown(values[0])}, {_shown(values[2])}]"


def _span(values: Sequence[float | None]) -> str:
    least, most = _shown(min((v for v in values if v is not None), default=None)), _shown(_largest(values))
    return least if least == most else f"{least} .. {most}"


def _largest(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return max(finite) if len(finite) == len(values) else None


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return headed_table(title, headings, [[plain(cell, LONGEST) for cell in row] for row in rows], left=1)


def _tabular(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head, *body = (" & ".join(map(latex, row)) + r" \\" for row in (headings, *rows))
    columns = "l" + "r" * (len(headings) - 1)
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", end])
