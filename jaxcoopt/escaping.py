"""Text from users, made safe for where it is written: one function for each target, so that none reads it as code."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from rich.text import Text

from jaxcoopt.errors import require

LONGEST = 48  # characters of a label in a picture, a table or a page
TITLE = 1000  # of a title, which stands on one line
BREAKS = "\n\r\t\v\f\x85\u2028\u2029"
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
}
LIGATURES = re.compile(r"([-',])(?=\1)")  # two of them become a dash or a quotation mark
LAST_LATIN = "\u017f"  # what every LaTeX knows without a package for the script


def plain(text: object, longest: int | None = None) -> str:
    """One line that can be printed: breaks and tabs as spaces, control and invisible characters as their codes.

    Of a text beyond `longest` the middle is left out.
    """
    shown = "".join(" " if letter in BREAKS else _visible(letter) for letter in str(text))
    if longest is None or len(shown) <= longest:
        return shown
    tail = longest // 3
    return f"{shown[: longest - tail - 1]}…{shown[-tail:]}"


def label(text: object, longest: int = LONGEST) -> str:
    """What something is called, by `plain`; a blank is put in quotes, as it would not be seen."""
    shown = plain(text, longest)
    return shown if shown.strip() else f'"{shown}"'


def labels(texts: Sequence[object], longest: int = LONGEST) -> list[str]:
    """Several by `label`; those that would look the same, as their middles are left out, are numbered."""
    found = [label(text, longest) for text in texts]
    often, seen = Counter(found), Counter[str]()
    for i, text in enumerate(found):
        if often[text] > 1:
            seen[text] += 1
            found[i] = f"{text} #{seen[text]}"
    return found


def picture(text: object, longest: int | None = None) -> str:
    """For Matplotlib: no mathematics, and no letter that its font lacks; such are told by their codes."""
    shown = "".join(letter if _drawn(letter) else f"[{ord(letter):X}]" for letter in plain(text, longest))
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # a legend leaves out what begins with it


def terminal(text: object, style: str = "", lines: bool = False) -> Text:
    """For rich: no markup, and nothing that steers a terminal. lines: breaks stay."""
    parts = str(text).split("\n") if lines else [text]
    return Text("\n".join(map(plain, parts)), style=style)


def latex(text: object) -> str:
    """For LaTeX. Letters beyond Latin are told by their codes, as they need packages."""
    shown = "".join(
        LATEX.get(letter, letter) if letter <= LAST_LATIN else f"[U+{ord(letter):04X}]"
        for letter in plain(text).replace("…", "...")
    )
    shown = LIGATURES.sub(r"\1{}", shown)
    return f"{{{shown[0]}}}{shown[1:]}" if shown.startswith(("[", "*")) else shown  # after \\ they would be its options


def markdown_text(text: object) -> str:
    """For Markdown, in a table or a line: no emphasis, code, link, HTML, comment or mathematics."""
    shown = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"([\\`*_|$~])", r"\\\1", shown).replace("](", r"]\(")
    return re.sub(r"^(\s*)([#+\-=]|\d+[.)])(?=\s|$|[#=-])", r"\1\\\2", shown)  # headings, lists, rules


def markdown_code(text: object) -> str:
    """A command in Markdown, whatever it holds."""
    shown = plain(text).replace("<!--", "<! --")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " * (len(fence) > 1)
    return f"{fence}{pad}{shown}{pad}{fence}"


def markdown_path(path: object) -> str:
    """A path in a link of Markdown."""
    return quote(str(path), safe="/.-_~", errors="surrogatepass")


def csv_text(text: object) -> str:
    """For a table that a spreadsheet may open: what it would compute is told to be text by a quote in front."""
    shown = plain(text)
    return f"'{shown}" if shown.lstrip()[:1] in tuple("=+-@") and not _is_number(shown) else shown


def file_part(text: object) -> str:
    """A part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", plain(text)))[:60].strip("-.") or "unnamed"


def _visible(letter: str) -> str:
    """A letter, or its code where it is none: control characters, marks that turn the line around, halves of pairs."""
    kind = unicodedata.category(letter)
    joins = letter in "\u200c\u200d"  # inside of words of some scripts, and of emoji
    if kind in ("Cc", "Cs", "Cn") or (kind == "Cf" and not joins):
        return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"
    return letter


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _drawn(letter: str) -> bool:
    return letter.isascii() or _has_glyph(letter, tuple(require("matplotlib", extra="report").rcParams["font.family"]))


@cache
def _has_glyph(letter: str, families: tuple[str, ...]) -> bool:
    """Whether a font in use has it."""
    return any(ord(letter) in _letters(family) for family in families)


@cache
def _letters(family: str) -> frozenset[int]:
    """What a font can draw."""
    fonts: Any = require("matplotlib.font_manager", extra="report")
    return frozenset(fonts.get_font(fonts.findfont(fonts.FontProperties(family=[family]))).get_charmap())
