"""A simulation in a file: where it stands, its records, and what it was made of."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.describe import SHOWN, deciding, differences
from jaxcoopt.files import advised, located, made_folder, whole
from jaxcoopt.host import as_jax
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.loop import Carry
from jaxcoopt.run.metric import TRAJECTORIES
from jaxcoopt.shown import briefly

FILE = "simulation.npz"
ABOUT = "about"  # a JSON text: format, settings, options
FORMAT = 1

Arrays = dict[str, np.ndarray]


@briefly
@dataclass(frozen=True)
class Checkpoint:
    """settings: what the simulation was made of, see `describe`; options: arguments that `load` gives again; arrays: of
    the carry, the records and the optimum, by dotted names.
    """

    settings: dict[str, str]
    options: dict[str, Any]
    arrays: Arrays

    @classmethod
    def of(
        cls, settings: dict[str, str], options: dict[str, Any], carry: Carry, optimum: Optimum, records: PyTree
    ) -> "Checkpoint":
        """From what a simulation holds."""
        return cls(
            settings | _versions(),
            options,
            named("carry", carry) | named("optimum", optimum) | named("records", {} if records is None else records),
        )

    def write(self, folder: str | Path) -> None:
        """Whole or not at all. Raises OSError for a folder that cannot be written."""
        place = located("folder", folder)
        about = json.dumps({"format": FORMAT, "settings": self.settings, "options": self.options})
        with advised(f"folder {place}", "writing the simulation"), made_folder(place), whole(place / FILE) as stream:
            np.savez(stream, **{ABOUT: np.array(about)}, **self.arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def read(cls, folder: str | Path) -> "Checkpoint":
        """Raises FileNotFoundError where there is none, ValueError for one that is not whole or of another format."""
        place = located("folder", folder) / FILE
        if not place.is_file():
            raise FileNotFoundError(f"folder {folder}: there is no {FILE} in it; give a folder that save has written")
        try:
            with place.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                if any(each.compress_type != zipfile.ZIP_STORED for each in file.zip.infolist()):
                    raise ValueError("it is compressed")  # as none is that save writes: it might hold anything
                about = json.loads(str(file[ABOUT]))
                arrays = {name: file[name] for name in file.files if name != ABOUT}
            known, settings, options = about["format"], dict(about["settings"]), dict(about["options"])
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            MemoryError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{place}: it is not a whole file of a simulation ({error}); save it again") from error
        if known != FORMAT:
            raise ValueError(
                f"{place}: it has format {known}, this version reads {FORMAT}; use the version that wrote it"
            )
        return cls(settings, options, arrays)

    def check(self, settings: Mapping[str, str]) -> None:
        """Raise ValueError, with what differs, where the simulation was made of other things or by other versions."""
        lines = differences(self.settings, {**settings, **_versions()})
        if lines:
            more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
            raise ValueError(
                f"folder: its simulation was made with other arguments or another version: "
                f"{'; '.join(lines[:SHOWN])}{more}; give what it was made with"
            )

    def carry(self, like: Carry) -> Carry:
        """That of the simulation, which has the shapes and types of `like`."""
        own = named("carry", like)
        for key, mine in own.items():
            theirs = self.arrays.get(key)
            if theirs is None or (theirs.shape, theirs.dtype) != (mine.shape, mine.dtype):
                raise ValueError(f"folder: {key} is not what this simulation has there; give what it was made with")
        return jax.tree.unflatten(jax.tree.structure(like), as_jax([self.arrays[key] for key in own]))

    def optimum(self, params: PyTree) -> Optimum:
        """That gaps are measured against; params: a pytree like one node's."""
        return Optimum(**self._filled("optimum", self._there("optimum", Optimum().__dict__ | {"params": params})))

    def records(self, params: PyTree) -> PyTree:
        """By name, None where there are none; params: a pytree like one node's."""
        names = {key.split(".")[1] for key in self.arrays if key.startswith("records.")}
        stands = self._there("records.trajectories", {"allocation": 0, "params": params})
        return self._filled("records", dict.fromkeys(sorted(names), 0) | stands_by(stands)) or None

    def _there(self, name: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Those of which there are arrays."""
        return {
            part: 0 if like is None else like
            for part, like in parts.items()
            if any(key == f"{name}.{part}" or key.startswith(f"{name}.{part}.") for key in self.arrays)
        }

    def _filled(self, name: str, like: PyTree) -> PyTree:
        """The same pytree with the arrays of that name."""
        found = [self.arrays[key] for key in keys_of(name, like)]
        return jax.tree.unflatten(jax.tree.structure(like), found)


def stands_by(trajectories: dict[str, Any]) -> dict[str, Any]:
    """As a record has them."""
    return {TRAJECTORIES: trajectories} if trajectories else {}


def keys_of(name: str, tree: PyTree) -> list[str]:
    """The dotted name of every leaf of a pytree."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [f"{name}.{jax.tree_util.keystr(path, simple=True, separator='.')}" for path, _ in paths]


def named(name: str, tree: PyTree) -> Arrays:
    """Every array of a pytree by its dotted name."""
    return dict(zip(keys_of(name, tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def _versions() -> dict[str, str]:
    return {f"version.{name}": text for name, text in deciding().items()}
