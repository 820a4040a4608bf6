"""Text from users is text, whatever it holds: in pictures, on terminals, in LaTeX, Markdown, CSV and HTML."""

import csv
import html.parser
import io
import json
import re

import markdown_it
import networkx as nx
import numpy as np
import pytest
import sweep_data as made
from matplotlib.figure import Figure
from matplotlib.text import Text as Drawn
from rich.console import Console

from jaxcoopt import escaping
from jaxcoopt.experiments.compare_command import _names
from jaxcoopt.report.network_plot import network_figure
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.readme import block, markdown, pattern
from jaxcoopt.report.sweep_report import sweep_report
from jaxcoopt.report.table import summary_table
from jaxcoopt.study.contest import Contest

NASTY = {
    "mathematics": r"cost $\undefined$ and $x",
    "LaTeX": r"\input{x} 50 % #1 & a_b ^ ~ {} -- ''",
    "LaTeX option": "[2cm] first",
    "HTML": "<script>alert(1)</script> <b>bold</b> &amp; </title>",
    "plotly": "<a href='javascript:1'>x</a><br>$1$",
    "Markdown": "*a* _b_ `c` [d](e) ![f](g) | h <!-- /compare --> ~~i~~ \\| # j",
    "heading": "# not a heading",
    "list": "- not a list",
    "formula": "=1+1",
    "formula behind a space": " @SUM(A1)",
    "rich": "[red]x[/red] [/] :smile: [link=http://x]y[/link]",
    "terminal": "\x1b[31mred\x1b[0m\x07\x9b1m",
    "template": "{{title}} {0} %s",
    "lines": "one\ntwo\r\nthree\tfour\u2028five",
    "null": "a\0b",
    "right to left": "עברית العربية",
    "turned around": "a\u202eb\u2066c",
    "emoji": "🙂👩‍💻 ☕",
    "half of a pair": "a\ud800b",
    "Chinese": "北京",
    "empty": "",
    "blank": "  ",
    "hidden in legends": "_nolegend_",
    "long": "x" * 3000,
    "long, differs at the end": "x" * 2999 + "y",
}
LABELS = list(NASTY.values())


@pytest.fixture(scope="module")
def nasty_report():
    dataset = made.sweep({"network": LABELS, "a": [1, 2]}, seeds=2, records=3)
    dataset.attrs["title"] = NASTY["mathematics"] + NASTY["HTML"] + NASTY["lines"]
    dataset["training_gap"].attrs["units"] = "$<b>$"
    return sweep_report(dataset.rename({"a": "a <i> $\\b$ [x]"}), metrics=("training_gap",))


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_plain_text_is_one_line_of_printable_letters(text):
    shown = escaping.plain(text)
    assert shown.isprintable() or "\u200d" in shown
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    label = escaping.label(text)
    assert label.strip()
    assert len(label) <= escaping.LONGEST
    if text.isascii() and text.isprintable() and len(text) < 40 and text.strip():
        assert label == text


def test_labels_differ():
    assert len(set(escaping.labels(LABELS))) == len(LABELS)


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_matplotlib_draws_the_letters(text):
    drawn = Figure().text(0, 0, escaping.picture(text))
    shown, mode = drawn._preprocess_math(drawn.get_text())
    assert mode is False
    if text.isascii() and text.isprintable():
        assert shown.strip() == text.strip()


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_terminals_show_the_letters(text):
    console = Console(width=4000, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(escaping.terminal(text))
    told = console.file.getvalue()
    assert "\x1b" not in told.removesuffix("\n")
    assert told.removesuffix("\n") == escaping.plain(text)


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_latex_has_no_code(text):
    """Once what it may hold is taken away, no letter is left that LaTeX reads as more than itself."""
    rest = escaping.latex(text)
    for known in (*escaping.LATEX.values(), "{}", "{[}", "{*}"):
        rest = rest.replace(known, " ")
    assert not re.search(r"[\\{}$&%#_~^<>|`]|--|''", rest)
    assert not escaping.latex(text).startswith(("[", "*"))


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_markdown_shows_the_letters(text):
    """In a table's cell, read back by a reader of GitHub's kind."""
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse("\n".join(markdown(("head", "b"), [[text, "end"]])))
    cells = [token for token in tokens if token.type == "inline"]
    assert [cell.content for cell in cells][-1] == "end"
    assert len(cells) == 4
    kinds = {child.type for child in cells[2].children or []}
    assert kinds <= {"text", "text_special"}
    told = "".join(child.content for child in cells[2].children or [])
    assert told == escaping.plain(text).strip()
    line = parser.parse(escaping.markdown_text(text))
    assert {token.type for token in line} <= {"paragraph_open", "inline", "paragraph_close"}


def test_markers_in_a_text_do_not_end_the_block():
    lines = [escaping.markdown_text(NASTY["Markdown"]), escaping.markdown_code("a `b` ``c`` <!-- /compare -->")]
    text = block("compare", lines) + "\nrest"
    assert pattern("compare").sub("", text) == "\nrest"
    parsed = markdown_it.MarkdownIt().parse(lines[1])[1].children
    assert [child.type for child in parsed] == ["code_inline"]
    assert escaping.markdown_path("a b/(c).svg") == "a%20b/%28c%29.svg"


@pytest.mark.parametrize("text", LABELS, ids=list(NASTY))
def test_spreadsheets_compute_nothing(text):
    assert not escaping.csv_text(text).lstrip().startswith(("=", "+", "-", "@", "\t"))


def test_numbers_stay_numbers_in_tables():
    assert [escaping.csv_text(text) for text in ("-1", "+2.5e-3", "-inf", "-x")] == ["-1", "+2.5e-3", "-inf", "'-x"]


def test_figures_of_a_sweep_show_labels_as_text(nasty_report):
    for name, figure in nasty_report.figures().items():
        figure.draw_without_rendering()  # warnings, as of letters without a picture, are errors here
        for drawn in figure.findobj(Drawn):
            text = drawn.get_text()
            ours = re.fullmatch(r"\$\\mathdefault\{.*\}\$|\$10\^\{.*\}\$", text)
            assert ours or drawn._preprocess_math(text)[1] is False, (name, text)
    legend = nasty_report.figures()["curves_training_gap"].legends[0]
    assert len(legend.get_texts()) == 6


def test_files_of_a_sweep_hold_labels_as_text(nasty_report, tmp_path):
    nasty_report.write(tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 2 * len(LABELS) * len(nasty_report.sweep.metrics)
    assert all(not row["network"].startswith(("=", "@", " @")) for row in rows)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 4
    seen = Seen()
    seen.feed(page)
    assert seen.title == escaping.plain(nasty_report.sweep.title)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])
    assert data["axes"][0]["labels"] == escaping.labels(LABELS)


class Seen(html.parser.HTMLParser):
    """The page's title, as a browser reads it."""

    def __init__(self):
        super().__init__()
        self.title, self._inside = "", False

    def handle_starttag(self, tag, attrs):
        self._inside = tag == "title"

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        self.title += data * self._inside


def test_a_network_with_such_names_is_drawn():
    nodes = Nodes(nx.cycle_graph(len(LABELS)), LABELS, share=np.linspace(1, 2, len(LABELS)))
    network_figure(nodes, NASTY["mathematics"]).draw_without_rendering()
    rows = list(csv.reader(io.StringIO(nodes.to_csv())))
    assert len(rows) == 1 + len(LABELS)
    assert rows[1 + list(NASTY).index("formula")][1] == "'=1+1"


def test_titles_on_the_terminal():
    console = Console(width=300, file=io.StringIO(), force_terminal=True, color_system=None)
    summary = dict.fromkeys(
        ("allocation_cost", "budget_residual", "consensus_error", "training_loss", "simulated_seconds", "bits_per_node")
    )
    summary |= {"status": "MAX_STEPS", "steps": 3, "runs": 1, "timings": {}, "seconds": 1.0}
    console.print(summary_table(summary, NASTY["rich"] + NASTY["terminal"]))
    told = "".join(console.file.getvalue().split())  # without the breaks of lines
    assert "".join(NASTY["rich"].split()) in told
    assert "\\x1b[31mred" in told


def test_files_of_cases_differ():
    contests = [Contest("quadratic", name, 8, [], {}, {}) for name in ("a b", "a/b", "../x", "", "a b")]
    names = _names(contests)
    assert len(set(names)) == 5
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
