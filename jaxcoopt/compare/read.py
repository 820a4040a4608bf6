"""From a TOML file, or the name of a shipped one, to a comparison's checked settings."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from jaxcoopt.compare.settings import Comparison
from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.explain import explain
from jaxcoopt.experiments.read import apply_override

DEFAULT = "headline"
_FOLDER = files("jaxcoopt.compare") / "files"


def shipped() -> tuple[str, ...]:
    """The names of the comparisons that come with the package."""
    return tuple(sorted(each.name.removesuffix(".toml") for each in _FOLDER.iterdir() if each.name.endswith(".toml")))


def shipped_title(name: str) -> str:
    """One line on a shipped comparison."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["title"]


def read_comparison(file: str, overrides: Iterable[str] = ()) -> Comparison:
    """The settings in a file (or of a shipped comparison), with "key=value" overrides.

    Raises ValueError naming the file and the key, or where it is not TOML; FileNotFoundError.
    """
    where, text = _text(file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not valid TOML: {error}") from error
    for override in overrides:
        apply_override(table, override)
    for family in table.get("problems", ()):
        if isinstance(family, dict) and isinstance(family.get("active"), list):
            family["active"] = tuple(family["active"])  # TOML has no tuples
    try:
        return Comparison.model_validate(table)
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error, table, Comparison)}") from error


def _text(file: str) -> tuple[str, str]:
    """(what to call it in errors, its text)."""
    path = Path(file)
    if file in shipped() and not path.is_file():
        return f"comparison {file!r}", (_FOLDER / f"{file}.toml").read_text(encoding="utf-8")
    if path.is_file():
        try:
            return file, path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    if path.suffix or len(path.parts) > 1:
        kind = "a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{file}: {kind}; give a TOML file, or one of {', '.join(shipped())}")
    raise unknown_name("comparison", file, (*shipped(), "list"))
