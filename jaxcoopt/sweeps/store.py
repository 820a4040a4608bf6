"""The Zarr store of a sweep: dimensions named after what is swept, written chunk by chunk, taken up where it stands."""

import fcntl
import json
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from jaxcoopt.errors import require
from jaxcoopt.run.result import UNITS
from jaxcoopt.run.status import Status
from jaxcoopt.shown import briefly
from jaxcoopt.sweeps.axes import ITERATION, SEED, Axis
from jaxcoopt.sweeps.chunk import Outcome
from jaxcoopt.sweeps.describe import SHOWN, differences
from jaxcoopt.sweeps.room import bytes_of, check_room
from jaxcoopt.sweeps.tiles import Tiles

NOT_DONE = -1
DONE = "chunks/done"  # in a group of its own: it is no result


@briefly
@dataclass(frozen=True)
class Layout:
    """What a store holds. variables: names of traces; settings, versions: as `describe` gives them."""

    axes: tuple[Axis, ...]
    seeds: np.ndarray
    iterations: np.ndarray
    variables: tuple[str, ...]
    dtype: np.dtype
    tiles: Tiles
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    title: str = "sweep"

    @property
    def dims(self) -> tuple[str, ...]:
        """Of status; traces have the iteration after them."""
        return (*(axis.dim for axis in self.axes), SEED)

    @property
    def bytes(self) -> int:
        """Uncompressed."""
        return bytes_of(self.runs, len(self.iterations), len(self.variables), self.dtype.itemsize)

    @property
    def runs(self) -> int:
        """Of all points and seeds."""
        return math.prod(self.tiles.shape)


class Store:
    """A Zarr group that chunks are written to; path None keeps it in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        zarr = require("zarr", extra="sweep")
        self._place = zarr.storage.MemoryStore() if path is None else zarr.storage.LocalStore(path)

    @property
    def exists(self) -> bool:
        """Whether something is there; raises FileExistsError where it is no sweep's store."""
        if self.path is None or not self.path.exists():
            return False
        if self.path.is_dir() and not any(self.path.iterdir()):
            return False
        if not self.path.is_dir() or not (self.path / "zarr.json").is_file():
            raise FileExistsError(f"store {self.path}: there is something else; give another path")
        return True

    def create(self, layout: Layout) -> None:
        """An empty store, made beside its place and moved there whole. Raises OSError where the disk is too small."""
        if self.path is None:
            self._write_empty(self._place, layout)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        check_room(layout.runs, layout.bytes, self.path)
        zarr = require("zarr", extra="sweep")
        temporary = self.path.with_name(f".{self.path.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        self._write_empty(zarr.storage.LocalStore(temporary), layout)
        if self.path.is_dir():
            self.path.rmdir()
        temporary.rename(self.path)

    def tiles(self) -> Tiles:
        """How the store is cut: what goes on must keep to it."""
        attributes = self._open().attrs
        return Tiles(tuple(attributes["shape"]), tuple(attributes["tile"]))

    def check(self, settings: Mapping[str, str], versions: Mapping[str, str]) -> None:
        """Raise ValueError, with what differs, where the store was made with other settings or versions."""
        attributes = self._open().attrs
        try:
            before = [json.loads(attributes[name]) for name in ("settings", "versions")]
        except (KeyError, ValueError) as error:
            raise ValueError(f"store {self.path}: it is not one that jaxcoopt.sweep made; give another path") from error
        lines = [line for old, new in zip(before, (settings, versions), strict=True) for line in differences(old, new)]
        if lines:
            more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
            raise ValueError(
                f"store {self.path}: it was made with other settings or another version: "
                f"{'; '.join(lines[:SHOWN])}{more}; give another path, or run again what it was made with"
            )

    def missing(self, tiles: Tiles) -> list[tuple[int, ...]]:
        """The chunks that are not done, or were and have lost some of their numbers since."""
        done = self._open()[DONE][:]
        return [chunk for chunk in tiles if not (done[chunk] and self._is_whole(chunk))]

    def diverged(self, tiles: Tiles, chunks: Sequence[tuple[int, ...]]) -> int:
        """How many runs of some chunks have diverged."""
        status = self._arrays["status"]
        return sum(int(np.sum(status[tiles.region(chunk)] == Status.DIVERGED)) for chunk in chunks)

    def write(self, tiles: Tiles, chunk: Sequence[int], outcome: Outcome) -> None:
        """A chunk's numbers and then, when they are all on the disk, that it is done."""
        arrays, region, shape = self._arrays, tiles.region(chunk), tiles.tile
        valid = tuple(slice(0, part.stop - part.start) for part in region)
        numbers = {name: np.moveaxis(rows, 0, -1) for name, rows in outcome.traces.items()}
        numbers |= {"status": outcome.status, "left": outcome.left}
        try:
            for name in self._results:
                values = numbers.get(name)  # none of a half that the problem has not
                arrays[name][region] = np.nan if values is None else values.reshape(*shape, *values.shape[1:])[valid]
            arrays[DONE][tuple(slice(at, at + 1) for at in chunk)] = True
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
        """Keeps another sweep out of the same store. Raises FileExistsError where one is at work."""
        if self.path is None:
            yield
            return
        lock = self.path.with_name(f".{self.path.name}.lock")
        with self._opened(lock) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of by the system if this process is killed
            except BlockingIOError as error:
                raise FileExistsError(f"store {self.path}: another sweep is writing there; wait for it") from error
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        """Opened once: what is on the disk of them does not change."""
        with require("zarr", extra="sweep").config.set({"array.write_empty_chunks": True}):  # so that none is missing
            group = self._open()
            return dict(group.arrays()) | {DONE: group[DONE]}

    @cached_property
    def _results(self) -> list[str]:
        """The arrays that every chunk has a part of."""
        return [name for name in self._arrays if name in (*UNITS, "status", "left")]

    def _is_whole(self, chunk: tuple[int, ...]) -> bool:
        """Whether the files of a chunk that is done are all there; what is in memory is not lost."""
        if self.path is None:
            return True
        arrays = {name: self._arrays[name] for name in self._results}
        keys = ((name, each.metadata, (*chunk, *[0] * (each.ndim - len(chunk)))) for name, each in arrays.items())
        return all((self.path / name / metadata.encode_chunk_key(key)).is_file() for name, metadata, key in keys)

    def _opened(self, lock: Path) -> TextIO:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            return lock.open("w")
        except OSError as error:
            raise OSError(
                f"store {self.path}: {lock.parent} cannot be written ({error.strerror}); "
                "give a folder that can be written"
            ) from error

    def _open(self) -> Any:
        return require("zarr", extra="sweep").open_group(self._place, mode="r+")

    def _write_empty(self, place: Any, layout: Layout) -> None:
        zarr, xarray = require("zarr", extra="sweep"), require("xarray", extra="sweep")
        coordinates: dict[str, Any] = {SEED: layout.seeds, ITERATION: layout.iterations}
        for axis in layout.axes:
            coordinates |= {name: (axis.dim, _storable(labels)) for name, labels in axis.labels.items()}
            coordinates.setdefault(axis.dim, np.arange(len(axis)))
        attributes = {
            "title": layout.title,
            "settings": json.dumps(dict(layout.settings)),
            "versions": json.dumps(dict(layout.versions)),
            "shape": list(layout.tiles.shape),
            "tile": list(layout.tiles.tile),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # texts as coordinates have no final Zarr 3 specification
            xarray.Dataset(coords=coordinates, attrs=attributes).to_zarr(place, mode="w", consolidated=False)
        group = zarr.open_group(place, mode="r+")
        records = len(layout.iterations)
        for name in layout.variables:
            _array(group, name, layout, (records,), layout.dtype, np.nan, {"units": UNITS[name]})
        flags = {"flag_values": [int(code) for code in Status], "flag_meanings": " ".join(c.name for c in Status)}
        _array(group, "status", layout, (), np.dtype(np.int8), NOT_DONE, flags)
        _array(group, "left", layout, (), np.dtype(np.int32), NOT_DONE, {"units": "iterations"})
        group.create_array(DONE, shape=layout.tiles.counts, chunks=(1,) * len(layout.tiles.counts), dtype=bool)


def _array(
    group: Any, name: str, layout: Layout, last: tuple[int, ...], dtype: np.dtype, fill: Any, attributes: dict[str, Any]
) -> None:
    dims = (*layout.dims, ITERATION) if last else layout.dims
    group.create_array(
        name,
        shape=(*layout.tiles.shape, *last),
        chunks=(*layout.tiles.tile, *last),
        dtype=dtype,
        fill_value=fill,
        dimension_names=dims,
        attributes=attributes,
    )


def _storable(labels: np.ndarray) -> np.ndarray:
    return labels.astype(str) if labels.dtype == object else labels
