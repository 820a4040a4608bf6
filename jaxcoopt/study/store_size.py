"""Whether a sweep's numbers have room, known from how many there are."""

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcoopt.arrays import is_sparse, plain, shown
from jaxcoopt.containers import free_memory
from jaxcoopt.errors import at_least_one, gib, one_number, positive

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SPARE = 1.1  # of the disk space that the numbers take uncompressed
CODES = 5  # bytes of a run's status and where it left


def points_in(grid: object) -> int:
    """How many points a grid, a list of points or a tuple of axes has, without making them.

    Raises TypeError for what is none of these.
    """
    if not isinstance(grid, Mapping | Sequence) or isinstance(grid, str | bytes):
        raise TypeError(f"grid: expected a dict name -> values, or a list of dicts name -> value, got {shown(grid)}")
    if isinstance(grid, Mapping):
        return math.prod(map(_length, grid.values()))
    return math.prod(map(len, grid)) if isinstance(grid, tuple) else _length(grid)


def seeds_in(seeds: object) -> int:
    """How many there are, whether it is that or a list of run numbers."""
    return at_least_one("seeds", seeds, 63) if is_count(seeds) else np.size(plain("seeds", seeds))


def is_count(seeds: object) -> bool:
    """Whether it says how many, or is a list of run numbers."""
    return not isinstance(seeds, list | tuple | range) and not getattr(seeds, "shape", ())


def bytes_of(runs: int, records: int, variables: int, itemsize: int) -> int:
    """What the numbers of all runs take, uncompressed."""
    return runs * (variables * records * itemsize + CODES)


def check_room(runs: int, size: int, store: Path | None) -> None:
    """Raise MemoryError, or OSError where they go to a store that is not there yet, when so many bytes do not fit."""
    advice = "sweep fewer points or seeds, record less often (record_every)"
    if store is None:
        free = free_memory()  # of the host, where the results are
        if size > free:
            raise MemoryError(f"sweep: {_needed(runs, size)}, of memory {gib(free)} are free; {advice} or give store=")
        return
    usage = shutil.disk_usage(next(each for each in (store.parent, *store.absolute().parents) if each.exists()))
    room = (
        usage.total if (store / "zarr.json").exists() else usage.free
    )  # what is done of a store lies on the disk already
    if size * SPARE > room:
        raise OSError(f"store {store}: {_needed(runs, size)}, the disk has {gib(room)}; {advice} or give another disk")


def size_in_bytes(name: str, given: object) -> int:
    """Bytes of a number or of "4GiB", "500 MB", "2e9". Raises ValueError for another text or nothing positive."""
    if not isinstance(given, str):
        one_number(name, given)
        return int(positive(name, given))
    found = re.fullmatch(r"\s*([0-9.e+]+)\s*([kmgt]?)(i?b)?\s*", given.lower())
    try:
        assert found is not None
        size = float(found[1]) * UNITS[found[2]]
    except (AssertionError, ValueError):
        raise ValueError(f"{name}: expected a size such as 4GiB, got {shown(given)}") from None
    return int(positive(name, size))


def _length(values: Any) -> int:
    return len(values) if hasattr(values, "__len__") and not is_sparse(values) and getattr(values, "shape", 1) else 1


def _needed(runs: int, size: int) -> str:
    return f"{runs:,} runs take up to {gib(size)}"
