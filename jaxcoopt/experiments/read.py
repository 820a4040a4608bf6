"""From a TOML file, or the name of a shipped one, to checked settings."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.explain import explain
from jaxcoopt.experiments.settings import Experiment

DEFAULT = "default"
_FOLDER = files("jaxcoopt.experiments") / "files"


def shipped() -> tuple[str, ...]:
    """The names of the experiments that come with the package, the default first."""
    names = sorted(entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def shipped_text(name: str) -> str:
    """The TOML text of a shipped experiment; raises ValueError with the nearest names for an unknown one."""
    if name not in shipped():
        raise unknown_name("experiment", name, shipped())
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def shipped_title(name: str) -> str:
    """One line on a shipped experiment."""
    return tomllib.loads(shipped_text(name))["title"]


def read_settings(file: str, overrides: Iterable[str] = ()) -> Experiment:
    """The settings in a file (or of a shipped experiment), with "key=value" overrides.

    Raises ValueError naming the file and the key, or the line where it is not TOML; FileNotFoundError.
    """
    where, text = _text(file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not valid TOML: {error}{_quoted_line(text, error)}") from error
    for override in overrides:
        apply_override(table, override)
    try:
        return Experiment.model_validate(table)
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error, table, Experiment)}") from error


def apply_override(table: dict[str, Any], override: str) -> None:
    """Set "a.b.c=value" in nested tables; value is TOML, or text where it is not.

    A number in the path picks from a list. Giving a table another `kind` drops its other keys, which belonged to the
    old kind. Raises ValueError for what is no "key=value" or a path through something that is no table.
    """
    path, separator, value = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ValueError(f"--set: expected key=value, such as channel.rho=0.1, got {override!r}")
    parent: Any = table
    for depth, key in enumerate(keys[:-1]):
        parent = _descend(parent, key, ".".join(keys[: depth + 1]))
    last, new = keys[-1], toml_value(value.strip())
    if isinstance(parent, list):
        parent[_index(parent, last, path)] = new
        return
    if last == "kind" and parent.get("kind") != new:
        parent.clear()
    parent[last] = new


def toml_value(text: str) -> Any:
    """A TOML value; what is not one is taken as text, so that quotes may be left out."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _descend(parent: Any, key: str, path: str) -> Any:
    child = parent[_index(parent, key, path)] if isinstance(parent, list) else parent.setdefault(key, {})
    if not isinstance(child, dict | list):
        raise ValueError(f"--set {path}: it is {child!r}, so nothing can be set inside it")
    return child


def _index(items: list[Any], key: str, path: str) -> int:
    if not key.isdecimal() or int(key) >= len(items):
        raise ValueError(f"--set {path}: it is a list of {len(items)}; pick an entry by 0 .. {len(items) - 1}")
    return int(key)


def _text(file: str) -> tuple[str, str]:
    """(what to call it in errors, its text)."""
    path = Path(file)
    if file in shipped() and not path.is_file():
        return f"experiment {file!r}", shipped_text(file)
    if path.is_file():
        try:
            return file, path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    if path.suffix or len(path.parts) > 1:
        kind = "a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{file}: {kind}; give a TOML file, or one of {', '.join(shipped())}")
    raise unknown_name("experiment", file, shipped())


def _quoted_line(text: str, error: tomllib.TOMLDecodeError) -> str:
    """The line that the parser stumbled over."""
    words = str(error).replace(",", " ").replace(")", " ").split()
    number = int(words[words.index("line") + 1]) if "line" in words else None
    lines = text.splitlines()
    return f": {lines[number - 1].strip()!r}" if number and number <= len(lines) else ""
