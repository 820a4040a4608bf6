"""Tables in Markdown, and the blocks of a README that commands write."""

import re
from collections.abc import Sequence
from pathlib import Path

from jaxcoopt.escaping import markdown_text
from jaxcoopt.files import advised, write_text


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines; cells are text."""
    rule = "|" + "---|" * len(headings)
    head, *body = ("| " + " | ".join(map(markdown_text, row)) + " |" for row in (headings, *rows))
    return [head, rule, *body]


def check_readme(readme: Path, name: str) -> None:
    """Raise ValueError where the file has no markers of that name: before anything is computed."""
    if not readme.is_file() or not pattern(name).search(_text(readme)):
        raise ValueError(
            f"--readme {readme}: no file with the lines <!-- {name} --> and <!-- /{name} -->; put both where the table "
            "should stand"
        )


def write_readme(readme: Path, name: str, lines: Sequence[str]) -> None:
    """Puts the lines between the file's markers of that name; where it is a link, in the file that it leads to.

    Raises as `check_readme`, OSError where it cannot be written.
    """
    check_readme(readme, name)
    text = block(name, lines)
    with advised(f"--readme {readme}", "writing it", "give another file"):
        write_text(readme.resolve(), pattern(name).sub(lambda _: text, _text(readme), count=1))


def _text(readme: Path) -> str:
    """As it is, ends of lines included."""
    with advised(f"--readme {readme}", "reading it", "give another file"):
        content = readme.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--readme {readme}: not a text file in UTF-8 ({error.reason} at byte {error.start})"
        ) from error


def block(name: str, lines: Sequence[str]) -> str:
    """The lines with their markers."""
    return "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name} -->"])


def pattern(name: str) -> re.Pattern[str]:
    """What finds the block of that name."""
    return re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", flags=re.DOTALL)
