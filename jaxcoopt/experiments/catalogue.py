"""TOML files of one kind: those that come with the package, and a user's own, read and checked."""

import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.explain import explain
from jaxcoopt.experiments.overrides import apply_override
from jaxcoopt.experiments.toml_text import check_values, parsed, read_text
from jaxcoopt.files import located
from jaxcoopt.shown import briefly

OUT_OF_MEMORY = "not enough memory; ask for fewer nodes, runs, samples or parameters (run --dry-run says what it takes)"

Model = TypeVar("Model", bound=BaseModel)


@briefly
@dataclass(frozen=True)
class Catalogue(Generic[Model]):
    """Files of settings. noun: what errors call one; command: who runs them, and the folder that holds those of the
    package; model: what they set; ignored: tables that are for another command.
    """

    noun: str
    command: str
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
        table = parsed(where, text)
        if "sweep" in table and "sweep" not in self.model.model_fields:
            raise ValueError(f"{where}: it has a [sweep] table: use jaxcoopt sweep {file}")
        for name in self.ignored:
            table.pop(name, None)
        for override in overrides:
            apply_override(table, override)
        check_values("--set", table)
        try:
            return self.model.model_validate(table)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error, table, self.model)}") from error

    def _folder(self) -> Traversable:
        return files("jaxcoopt.experiments") / "files" / self.command

    def _found(self, file: str) -> tuple[str, str]:
        """(what to call it in errors, its text)."""
        path = located("FILE", file)
        if file in self.names() and (path.is_dir() or not path.exists()):
            return f"{self.noun} {file!r}", self.text(file)
        if path.exists() and not path.is_dir():  # a pipe, too, such as <(...)
            return file, read_text(path)
        if path.suffix or len(path.parts) > 1:
            kind = "a folder" if path.is_dir() else "no such file"
            raise FileNotFoundError(f"{file}: {kind}; give a TOML file, or one of {', '.join(self.names())}")
        raise unknown_name(self.noun, file, self.names())


@contextmanager
def asked_by(file: str) -> Iterator[None]:
    """What is wrong with the numbers of a file names it."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{file}: {str(error) or OUT_OF_MEMORY}") from error
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{file}: {error}") from error
