"""What a sweep's Zarr store holds, and its files before any run is done."""

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxcoopt.errors import require
from jaxcoopt.run.result import NODE, node_coordinate
from jaxcoopt.run.status import Status
from jaxcoopt.shown import briefly
from jaxcoopt.study.axes import ITERATION, SEED, Axis
from jaxcoopt.study.chunks import Tiles
from jaxcoopt.study.store_size import bytes_of
from jaxcoopt.study.trajectories import NONE, Trajectories

NOT_DONE = -1
DONE = "chunks/done"  # of each chunk and array the digest of its file, 0 where it is not done; no result, so apart
ROOT, MANIFEST = "zarr.json", "chunks/zarr.json"  # both have the sweep's attributes, so that either can be mended
FILES = "files"  # of the manifest: the digest of every other file that has no runs in it
LAST = ("left", "status")  # of a chunk, written when its traces are


@briefly
@dataclass(frozen=True)
class Layout:
    """What a store holds. variables: names of traces to their units; settings, versions: as `describe` gives them."""

    axes: tuple[Axis, ...]
    seeds: np.ndarray
    iterations: np.ndarray
    variables: dict[str, str]
    dtype: np.dtype
    tiles: Tiles
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    trajectories: Trajectories = NONE
    title: str = "sweep"

    @property
    def dims(self) -> tuple[str, ...]:
        """Of status; traces have the iteration after them."""
        return (*(axis.dim for axis in self.axes), SEED)

    @property
    def bytes(self) -> int:
        """Uncompressed."""
        numbers = len(self.variables) + self.trajectories.numbers
        return bytes_of(self.runs, len(self.iterations), numbers, self.dtype.itemsize)

    @property
    def runs(self) -> int:
        """Of all points and seeds."""
        return math.prod(self.tiles.shape)

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the dataset."""
        return {
            "title": self.title,
            "settings": json.dumps(dict(self.settings)),
            "versions": json.dumps(dict(self.versions)),
            "shape": list(self.tiles.shape),
            "tile": list(self.tiles.tile),
        }


def digest(content: bytes, key: bytes = b"") -> int:
    """Of 64 bits, never 0."""
    return int.from_bytes(blake2b(content, digest_size=8, key=key).digest(), "little") or 1


def empty_files(layout: Layout) -> dict[str, bytes]:
    """The files of a store without any run, by their place in it, the manifest first."""
    zarr, made = require("zarr", extra="sweep"), {}
    place = zarr.storage.MemoryStore(made)
    write_empty(place, layout)
    # Sorted: xarray makes the coordinates in an order that differs from process to process.
    known = {key: f"{digest(made[key].to_bytes()):016x}" for key in sorted(made) if key != MANIFEST}
    zarr.open_group(place, mode="r+")["chunks"].attrs.update(layout.attributes | {FILES: known})
    return {key: made[key].to_bytes() for key in (MANIFEST, *known)}


def write_empty(place: Any, layout: Layout) -> None:
    """The arrays without any run, into a Zarr store."""
    zarr, xarray = require("zarr", extra="sweep"), require("xarray", extra="sweep")
    coordinates: dict[str, Any] = {SEED: layout.seeds, ITERATION: layout.iterations}
    for axis in layout.axes:
        coordinates |= {name: (axis.dim, _storable(labels)) for name, labels in axis.labels.items()}
        coordinates.setdefault(axis.dim, np.arange(len(axis)))
    if layout.trajectories.shapes:
        coordinates[NODE] = node_coordinate(layout.trajectories.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts as coordinates have no final Zarr 3 specification
        dataset = xarray.Dataset(coords=coordinates, attrs=layout.attributes)
        encoding = {name: {"compressors": _compressors()} for name in dataset.coords}
        dataset.to_zarr(place, mode="w", consolidated=False, encoding=encoding)
    group = zarr.open_group(place, mode="r+")
    make = partial(group.create_array, compressors=_compressors())
    dims, shape, tile, records = layout.dims, layout.tiles.shape, layout.tiles.tile, len(layout.iterations)
    trace = {"shape": (*shape, records), "chunks": (*tile, records), "dtype": layout.dtype, "fill_value": np.nan}
    for name, units in layout.variables.items():
        make(name, **trace, dimension_names=(*dims, ITERATION), attributes={"units": units})
    for name, inner in (layout.trajectories.shapes or {}).items():
        units = {"units": "CPU units"} if name.startswith("allocation") else {}
        along = {"shape": (*shape, records, *inner), "chunks": (*tile, records, *inner)}
        make(
            name,
            **(trace | along),
            dimension_names=(*dims, ITERATION, *layout.trajectories.dims(name)),
            attributes=units,
        )
    run = {"shape": shape, "chunks": tile, "fill_value": NOT_DONE, "dimension_names": dims}
    flags = {"flag_values": [int(code) for code in Status], "flag_meanings": " ".join(c.name for c in Status)}
    make("status", **run, dtype=np.int8, attributes=flags)
    make("left", **run, dtype=np.int32, attributes={"units": "iterations"})
    arrays = len(layout.variables) + len(layout.trajectories.shapes or {}) + len(LAST)
    shape, chunks = (*layout.tiles.counts, arrays), (*[1] * len(tile), arrays)
    make(DONE, shape=shape, chunks=chunks, dtype=np.uint64, fill_value=0)


def _compressors() -> tuple[Any, ...]:
    """With a checksum, so that no reader takes an altered file for a whole one."""
    codecs = require("zarr.codecs", extra="sweep")
    return codecs.ZstdCodec(), codecs.Crc32cCodec()


def _storable(labels: np.ndarray) -> np.ndarray:
    return labels.astype(str) if labels.dtype == object else labels
