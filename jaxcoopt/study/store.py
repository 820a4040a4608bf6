"""The Zarr store of a sweep: written chunk by chunk, taken up where it stands, and mended where it is not whole."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from jaxcoopt.describe import SHOWN, differences
from jaxcoopt.errors import require
from jaxcoopt.files import held, located, made_folder, whole
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.run.status import Status
from jaxcoopt.study.axes import ITERATION
from jaxcoopt.study.batcher import Outcome
from jaxcoopt.study.chunks import Tiles
from jaxcoopt.study.promised import check_chunks, check_files
from jaxcoopt.study.store_layout import DONE, FILES, LAST, MANIFEST, ROOT, Layout, digest, empty_files, write_empty
from jaxcoopt.study.store_size import check_room

ATTRIBUTES = {"settings": str, "versions": str, "shape": list, "tile": list}
UNFINISHED = re.compile(r".*\.[0-9a-f]{32}\.(part|partial)")  # a file that was being written when a process was killed
NOTES = logging.getLogger(__name__)

Chunk = tuple[int, ...]


class Store:
    """A Zarr group that chunks are written to; path None keeps it in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = None if path is None else located("store", path)
        zarr = require("zarr", extra="sweep")
        self._place = zarr.storage.MemoryStore() if self.path is None else zarr.storage.LocalStore(self.path)

    @property
    def exists(self) -> bool:
        """Whether something is there; raises FileExistsError where it is no sweep's store."""
        if self.path is None or not self.path.exists():
            return False
        if self.path.is_dir():
            if (self.path / ROOT).is_file() or (self.path / MANIFEST).is_file():
                return True
            if all(each.is_dir() or UNFINISHED.fullmatch(each.name) for each in self.path.rglob("*")):
                return False
        raise FileExistsError(f"store {self.path}: there is something else; give another path")

    def create(self, layout: Layout) -> None:
        """An empty store, or nothing. Raises OSError where the disk is too small.

        What a process that is killed meanwhile leaves is a store that can be mended.
        """
        if self.path is None:
            write_empty(self._place, layout)
            return
        check_room(layout.runs, layout.bytes, self.path)
        files, path = empty_files(layout), self.path
        folders = {each for key in files for each in (path / key).parents if not each.exists()}
        written: list[str] = []
        try:
            for key, content in files.items():
                self._put(key, content)
                written.append(key)
        except BaseException:
            for key in written:
                (path / key).unlink(missing_ok=True)
            for each in sorted(folders, reverse=True):  # what lies inside comes first
                with suppress(OSError):
                    each.rmdir()
            raise

    def mend(self, layout: Layout) -> None:
        """Makes anew what is not whole of the files that have no runs in them; the store is that of this layout.

        Raises ValueError where such a file is not whole, and the libraries that wrote it are not those of today.
        """
        if self.path is None:
            return
        expected, known = empty_files(layout), self._known or {}
        changed = [key for key, content in expected.items() if self._read(key) != content]
        broken = [key for key in changed if not self._is_as(known.get(key), key)]
        if len(broken) < len(changed):  # the others are whole, so other libraries wrote them
            broken = [key for key in broken if key != MANIFEST]
            if broken:
                raise ValueError(
                    f"store {self.path}: {broken[0]} is not whole, and other versions of zarr or xarray wrote it; "
                    "go on with those, or give another path"
                )
        for key in broken:
            NOTES.warning("store %s: %s is not whole; it is written anew", self.path, key)
            self._put(key, expected[key])

    def tiles(self) -> Tiles:
        """How the store is cut: what goes on must keep to it."""
        return Tiles(tuple(self._attributes["shape"]), tuple(self._attributes["tile"]))

    def check(self, settings: Mapping[str, str], versions: Mapping[str, str]) -> None:
        """Raise ValueError, with what differs, where the store was made with other settings or versions."""
        if self.path is not None:
            check_files(self.path)
        attributes = self._attributes
        before = [json.loads(attributes[name]) for name in ("settings", "versions")]
        lines = [line for old, new in zip(before, (settings, versions), strict=True) for line in differences(old, new)]
        if lines:
            more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
            raise ValueError(
                f"store {self.path}: it was made with other settings or another version: "
                f"{'; '.join(lines[:SHOWN])}{more}; give another path, or run again what it was made with"
            )

    def missing(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """The chunks that are not done, or whose files are no longer as they were written."""
        if self.path is None:
            return list(chunks)
        marks, missing = self._marks(), []
        for chunk in chunks:
            done = bool(marks[chunk].all())
            lost = self._lost(chunk, marks[chunk]) if done else []
            for key in lost:
                NOTES.warning("store %s: %s is not whole; its chunk is computed again", self.path, key)
            missing += [chunk] if lost or not done else []
        return missing

    def damaged(self) -> list[str]:
        """The files that are no longer as they were written; none where the store does not say how that was."""
        if (known := self._known) is None:
            ours = ATTRIBUTES.keys() <= (self._attributes_in(ROOT) or {}).keys()
            return [MANIFEST] if ours and self._attributes_in(MANIFEST) is None else []
        if lost := [key for key, mark in known.items() if not self._is_as(mark, key)]:
            return lost
        marks = self._marks()
        return [key for chunk in self.tiles() if marks[chunk].all() for key in self._lost(chunk, marks[chunk])]

    def diverged(self, tiles: Tiles, chunks: Sequence[tuple[int, ...]]) -> int:
        """How many runs of some chunks have diverged."""
        status = self._arrays["status"]
        return sum(int(np.sum(status[tiles.region(chunk)] == Status.DIVERGED)) for chunk in chunks)

    def write(self, tiles: Tiles, chunk: Sequence[int], outcome: Outcome) -> None:
        """A chunk's numbers and then, when they are all on the disk, that it is done."""
        arrays, region, shape = self._arrays, tiles.region(chunk), tiles.tile
        valid = tuple(slice(0, part.stop - part.start) for part in region)
        numbers = {name: np.moveaxis(rows, -1, 0) for name, rows in outcome.traces.items()}
        numbers |= {"status": outcome.status, "left": outcome.left}
        try:
            for name in self._results:
                values = numbers.get(name)  # none of a half that the problem has not
                arrays[name][region] = np.nan if values is None else values.reshape(*shape, *values.shape[1:])[valid]
            arrays[DONE][tuple(slice(at, at + 1) for at in chunk)] = self._marks_of(tuple(chunk))
        except OSError as error:
            raise OSError(
                f"store {self.path}: cannot be written ({error.strerror or error}); the chunks that are done are kept: "
                "make room and start again"
            ) from error

    def dataset(self) -> Any:
        """As an xarray.Dataset, read when looked at; in memory where the store is."""
        xarray = require("xarray", extra="sweep")
        opened = xarray.open_zarr(self._place, consolidated=False, chunks=None)
        return opened.load() if self.path is None else opened

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps another sweep out of the same store; its folder is there inside.

        Raises FileExistsError where another is at work, OSError where it cannot be made.
        """
        if self.path is None:
            yield
            return
        _ = self.exists  # what is something else is left alone
        with ExitStack() as stack:
            try:
                stack.enter_context(made_folder(self.path))
            except OSError as error:
                raise OSError(
                    f"store {self.path}: {self.path.parent} cannot be written ({error.strerror}); "
                    "give a folder that can be written"
                ) from error
            stack.enter_context(held(self.path, f"store {self.path}", "sweep"))
            for each in self.path.rglob("*.part*"):
                if UNFINISHED.fullmatch(each.name):
                    each.unlink(missing_ok=True)
            yield

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        """Opened once: what is on the disk of them does not change."""
        with require("zarr", extra="sweep").config.set({"array.write_empty_chunks": True}):  # so that none is missing
            group = self._open()
            traces = {name for name, each in group.arrays() if each.ndim > 1 and ITERATION in _dims(each)}
            names = [*(name for name in UNITS if name in traces), *sorted(traces - set(UNITS)), *LAST, DONE]
            return {name: group[name] for name in names if name in group}

    @cached_property
    def _results(self) -> list[str]:
        """The arrays that every chunk has a part of, in the order in which they are written."""
        return [name for name in self._arrays if name != DONE]

    @property
    def _attributes(self) -> dict[str, Any]:
        """The sweep's, from the file that is whole. Raises ValueError where none has them."""
        if self.path is None:
            return dict(self._open().attrs)
        intact = self._known is None or self._is_as(self._known.get(ROOT), ROOT)
        for key in (ROOT, MANIFEST) if intact else (MANIFEST, ROOT):
            found = self._attributes_in(key) or {}
            if all(isinstance(found.get(name), kind) for name, kind in ATTRIBUTES.items()):
                return found
        raise ValueError(
            f"store {self.path}: it is not one that jaxcoopt.sweep made, or {ROOT} is not whole; give another path"
        )

    def _attributes_in(self, key: str) -> dict[str, Any] | None:
        """Of a group's file; None where it cannot be read."""
        try:
            found = json.loads(self._read(key) or b"")["attributes"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def _known(self) -> dict[str, str] | None:
        """The digest of each file that has no runs in it; None where the store does not have them."""
        found = (self._attributes_in(MANIFEST) or {}).get(FILES)
        return found if isinstance(found, dict) else None

    def _is_as(self, known: object, key: str) -> bool:
        """Whether a file has the digest that is known of it."""
        content = self._read(key)
        return content is not None and f"{digest(content):016x}" == known

    def _marks(self) -> np.ndarray:
        """[*chunks, arrays]: the digest of each chunk's file in each array, 0 where it is not done."""
        done = self._arrays[DONE]
        try:
            if self.path is not None:
                check_chunks(self.path, self.path / DONE, done.shape[-1] * done.dtype.itemsize)
            return done[:]
        except Exception:  # whatever a file that is not whole makes its readers raise
            marks = np.zeros(done.shape, np.uint64)
        for chunk in np.ndindex(*done.shape[:-1]):
            with suppress(Exception):
                if self.path is not None:
                    file = self.path / DONE / done.metadata.encode_chunk_key((*chunk, 0))
                    check_chunks(self.path, file.parent, done.shape[-1] * done.dtype.itemsize)
                marks[chunk] = done[chunk]
        return marks

    def _marks_of(self, chunk: Chunk) -> np.ndarray:
        """Of a chunk that has been written, laid out for `DONE`."""
        marks = [self._mark(key, self._read(key) or b"") for key in self._keys(chunk)]
        return np.array(marks, np.uint64).reshape(*[1] * len(chunk), -1)

    def _lost(self, chunk: Chunk, marks: np.ndarray) -> list[str]:
        """The files of a chunk that are no longer as they were written."""
        found = zip(self._keys(chunk), marks.tolist(), strict=True)
        return [key for key, mark in found if (content := self._read(key)) is None or self._mark(key, content) != mark]

    def _mark(self, key: str, content: bytes) -> int:
        """The digest of a file: of its bytes, its place, and the sweep that it belongs to."""
        return digest(key.encode() + b"\0" + content, key=self._identity)

    @cached_property
    def _identity(self) -> bytes:
        attributes = self._attributes
        return blake2b((attributes["settings"] + attributes["versions"]).encode(), digest_size=32).digest()

    def _keys(self, chunk: Chunk) -> list[str]:
        """Where the files of a chunk are, those of `_results`."""
        arrays = ((name, self._arrays[name]) for name in self._results)
        keys = ((name, each, (*chunk, *[0] * (each.ndim - len(chunk)))) for name, each in arrays)
        return [f"{name}/{each.metadata.encode_chunk_key(key)}" for name, each, key in keys]

    def _read(self, key: str) -> bytes | None:
        """A file's bytes; None where it cannot be read, and in memory, where nothing is lost."""
        try:
            return None if self.path is None else (self.path / key).read_bytes()
        except OSError:
            return None

    def _put(self, key: str, content: bytes) -> None:
        assert self.path is not None
        place = self.path / key
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole(place) as stream:
                stream.write(content)
        except OSError as error:
            raise OSError(
                f"store {self.path}: {key} cannot be written ({error.strerror or error}); make room, or give a folder "
                "that can be written"
            ) from error

    def _open(self) -> Any:
        return require("zarr", extra="sweep").open_group(self._place, mode="r+")


def _dims(array: Any) -> Sequence[str | None]:
    """The names of an array's dimensions."""
    return array.metadata.dimension_names or ()
