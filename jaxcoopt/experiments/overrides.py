"""Settings changed on the command line: key=value into tables as TOML reads them."""

import tomllib
from copy import deepcopy
from typing import Any

from jaxcoopt.experiments.toml_text import as_typed

DIGITS = 18  # of a place in a list


def apply_override(table: dict[str, Any], override: str) -> None:
    """Set "a.b.c=value" in nested tables; value is TOML, or text where it is not.

    A number in the path picks from a list. Giving a table another `kind` drops its other keys, which belonged to the
    old kind. Raises ValueError for what is no "key=value" or a path through something that is no table.
    """
    path, separator, value = as_typed(override).partition("=")
    if not separator or not all(path.strip().split(".")):
        raise ValueError(f"--set: expected key=value, such as channel.rho=0.1, got {override!r:.80}")
    _set(table, path, toml_value(value.strip(), f"--set {path:.60}"))


def _set(table: dict[str, Any], path: str, new: object) -> None:
    keys = path.strip().split(".")
    parent: Any = table
    for depth, key in enumerate(keys[:-1]):
        parent = _descend(parent, key, ".".join(keys[: depth + 1]))
    last = keys[-1]
    if isinstance(parent, list):
        parent[_index(parent, last, path)] = new
        return
    if last == "kind" and parent.get("kind") != new:
        parent.clear()
    parent[last] = new


def put(table: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of nested tables with another value at "a.b.c"."""
    table = deepcopy(table)
    _set(table, path, value)
    return table


def toml_value(text: str, where: str = "--set") -> Any:
    """A TOML value; what is not one is taken as text, so that quotes may be left out.

    Raises ValueError for a number or a nesting that is too large to be read.
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {text[:60]!r} ... is too large or too deep a value; give a smaller one") from error
    return parsed["value"] if len(parsed) == 1 else text


def _descend(parent: dict[str, Any] | list[Any], key: str, path: str) -> dict[str, Any] | list[Any]:
    child = parent[_index(parent, key, path)] if isinstance(parent, list) else parent.setdefault(key, {})
    if not isinstance(child, dict | list):
        raise ValueError(f"--set {path:.60}: it is {child!r:.60}, so nothing can be set inside it")
    return child


def _index(items: list[Any], key: str, path: str) -> int:
    if not key.isdecimal() or len(key) > DIGITS or int(key) >= len(items):
        raise ValueError(f"--set {path:.60}: it is a list of {len(items)}; pick an entry by 0 .. {len(items) - 1}")
    return int(key)
