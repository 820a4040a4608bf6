"""TOML files of one kind: those that come with the package, and a user's own, read and checked."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.explain import explain
from jaxcoopt.experiments.overrides import apply_override
from jaxcoopt.shown import briefly

Model = TypeVar("Model", bound=BaseModel)


@briefly
@dataclass(frozen=True)
class Catalogue(Generic[Model]):
    """Files of settings. noun: what errors call one; package: whose folder `files` holds them; model: what they set;
    ignored: tables that are for another command.
    """

    noun: str
    package: str
    model: type[Model]
    default: str
    ignored: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Of those that come with the package, the default first."""
        found = (Path(each.name) for each in self._folder().iterdir())
        names = sorted(path.stem for path in found if path.suffix == ".toml")
        return tuple(sorted(names, key=lambda name: name != self.default))

    def text(self, name: str) -> str:
        """The TOML text of a shipped one; raises ValueError with the nearest names for an unknown one."""
        if name not in self.names():
            raise unknown_name(self.noun, name, self.names())
        return (self._folder() / f"{name}.toml").read_text(encoding="utf-8")

    def title(self, name: str) -> str:
        """One line on a shipped one."""
        return tomllib.loads(self.text(name))["title"]

    def read(self, file: str, overrides: Iterable[str] = ()) -> Model:
        """The settings in a file, or of a shipped one, with "key=value" overrides.

        Raises ValueError naming the file and the key, or the line where it is not TOML; FileNotFoundError.
        """
        where, text = self._found(file)
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{where}: not valid TOML: {error}{_quoted_line(text, error)}") from error
        if "sweep" in table and "sweep" not in self.model.model_fields:
            raise ValueError(f"{where}: it has a [sweep] table: use jaxcoopt sweep {file}")
        for name in self.ignored:
            table.pop(name, None)
        for override in overrides:
            apply_override(table, override)
        try:
            return self.model.model_validate(table)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error, table, self.model)}") from error

    def _folder(self) -> Traversable:
        return files(self.package) / "files"

    def _found(self, file: str) -> tuple[str, str]:
        """(what to call it in errors, its text)."""
        path = Path(file)
        if file in self.names() and not path.is_file():
            return f"{self.noun} {file!r}", self.text(file)
        if path.is_file():
            try:
                return file, path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValueError(f"{file}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
        if path.suffix or len(path.parts) > 1:
            kind = "a folder" if path.is_dir() else "no such file"
            raise FileNotFoundError(f"{file}: {kind}; give a TOML file, or one of {', '.join(self.names())}")
        raise unknown_name(self.noun, file, self.names())


def _quoted_line(text: str, error: tomllib.TOMLDecodeError) -> str:
    """The line that the parser stumbled over."""
    words = str(error).replace(",", " ").replace(")", " ").split()
    number = int(words[words.index("line") + 1]) if "line" in words else None
    lines = text.splitlines()
    return f": {lines[number - 1].strip()!r}" if number and number <= len(lines) else ""
