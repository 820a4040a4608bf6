"""Settings as text: read from a file or a pipe, and refused where no file of settings can be meant."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

LARGEST = 16 * 2**20  # bytes of a file: link weights of some hundred thousand links
DEEPEST = 32  # tables and lists inside each other; the deepest setting lies at 7
WHOLE = range(-(2**63), 2**63)  # the numbers that TOML has
SHOWN = 60  # characters of a line or a key
TOO_DEEP = f"tables or lists inside each other more than {DEEPEST} deep, where settings need 7 at most"
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|#.*")  # texts and what comments on a line
BITS = "whole numbers have 64 bits, up to 9.2e18"


def read_text(path: Path) -> str:
    """Of a file, a pipe or a device. Raises ValueError for what is no text or too large, OSError where it is closed."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise type(error)(f"{path}: {error.strerror}; give a file that can be read") from error
    if len(content) > LARGEST:
        raise ValueError(f"{path}: more than {LARGEST >> 20} MiB, the most that settings take; give a file of settings")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        why = "it looks like UTF-16; save it as UTF-8" if utf16 else f"{error.reason} at byte {error.start}"
        raise ValueError(f"{path}: not a text file in UTF-8 ({why})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parsed(where: str, text: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ValueError naming the place and the line, or the key, of what is none."""
    if long := next((line for line in text.splitlines() if _dots(line) > 30 * DEEPEST), None):
        raise ValueError(f"{where}: {_short(long)}: {TOO_DEEP}")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not valid TOML: {error!s:.200}{_quoted_line(text, error)}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: {_short(_deepest(text))}: {TOO_DEEP}") from error
    except ValueError as error:  # Python reads whole numbers of so many digits only
        line = max(text.splitlines(), key=_digits)
        raise ValueError(f"{where}: {_short(line)}: a number of {_digits(line):,} digits; {BITS}") from error
    check_values(where, table)
    return table


def check_values(where: str, table: dict[str, Any]) -> None:
    """Raise ValueError, naming the key, for a whole number beyond 64 bits and tables inside each other without end."""
    inside: list[tuple[tuple[Any, ...], Any]] = [((), table)]
    while inside:
        path, value = inside.pop()
        if len(path) > DEEPEST:
            raise ValueError(f"{where}: {_key(path)}: {TOO_DEEP}")
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inside += [((*path, key), item) for key, item in items if isinstance(item, int | dict | list)]
        elif value not in WHOLE:
            size = f"{value:.3e}" if abs(value) < 10**300 else f"of {value.bit_length():,} bits"
            raise ValueError(f"{where}: {_key(path)}: a number {size}; {BITS}")


def as_typed(text: str) -> str:
    """A word of the command line, in UTF-8 whatever the locale. Raises ValueError where it is no text."""
    if text.isprintable() or not any("\udc80" <= letter <= "\udcff" for letter in text):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError as error:
        raise ValueError(f"--set: expected text in UTF-8, got {text!r:.80}") from error


def _dots(line: str) -> int:
    """Of the key that a line sets, or the table that it opens."""
    key = line.partition("=")[0]
    return 0 if "," in key else key.count(".")


def _deepest(text: str) -> str:
    """The line at which begins what has the most brackets inside each other, on one line or over many."""
    depth = most = 0
    begin = found = ""
    for line in text.splitlines():
        if depth <= 0:
            begin, depth = line, 0
        for bracket in re.findall(r"[\[\]{}]", QUOTED.sub("", line)):
            depth += 1 if bracket in "[{" else -1
            if depth > most:
                most, found = depth, begin
    return found


def _digits(line: str) -> int:
    """Of the longest number in a line."""
    return max(map(len, "".join(each if each.isdigit() or each == "_" else " " for each in line).split()), default=0)


def _key(path: tuple[Any, ...]) -> str:
    """Of a table's entry, its beginning where it is long."""
    name = ".".join(map(str, path))
    return name if len(name) <= SHOWN else f"{name[:SHOWN]} ..."


def _short(text: str) -> str:
    text = text.strip()
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r} ..."


def _quoted_line(text: str, error: tomllib.TOMLDecodeError) -> str:
    """The line that the parser stumbled over."""
    words = str(error).replace(",", " ").replace(")", " ").split()
    number = int(words[words.index("line") + 1]) if "line" in words[:-1] else None
    lines = text.splitlines()
    return f": {_short(lines[number - 1])}" if number and number <= len(lines) else ""
