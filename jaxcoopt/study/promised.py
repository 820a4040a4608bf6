"""What a Zarr store says that it holds, looked at before anything of it is read."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxcoopt.containers import free_memory
from jaxcoopt.errors import gib, require

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
MOST = 2**26  # bytes of such a file: a sweep's has its settings in it
ZSTD = b"\x28\xb5\x2f\xfd"  # how a compressed frame begins
HEAD = 18  # bytes of a frame's header, at most
NUMBER = 8  # bytes of a number in a report, whatever its type in the store


def check_promised(store: Path) -> None:
    """Raise MemoryError where a store's arrays say that they are larger than what memory is free, ValueError where a
    part is no plain file, its description is too large, or it unpacks to more than its array has room for.
    """
    check_files(store)
    try:
        group = require("zarr", extra="report").open_group(store, mode="r")
        arrays = [(name, each) for name, each in group.members(max_depth=None) if hasattr(each, "shape")]
    except ImportError:
        raise
    except Exception:  # whatever a store that is none makes the library raise: who reads it says so
        return
    sizes = {name: _numbers(each) * NUMBER for name, each in arrays}
    free = free_memory()
    if sum(sizes.values()) > free:
        largest = max(sizes, key=lambda name: sizes[name])
        shape = dict(arrays)[largest].shape
        raise MemoryError(
            f"{store}: its arrays take at least {gib(sum(sizes.values()))} of memory, {largest} alone, of shape "
            f"{shape}, {gib(sizes[largest])}, and {gib(free)} are free; give a smaller store, or use a larger machine"
        )
    for name, each in arrays:
        check_chunks(store, store / name, math.prod(each.chunks) * each.dtype.itemsize)


def unpacked(head: bytes) -> int | None:
    """Bytes that a zstd frame says it unpacks to, from how it begins; None where it is none, or does not say."""
    if head[:4] != ZSTD or len(head) < 6:
        return None
    flags = head[4]
    alone, width = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
    width = width or alone  # the format has one byte for it where a frame is one segment
    start = 5 + (1 - alone) + (0, 1, 2, 4)[flags & 3]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0) if width else None


def _numbers(array: Any) -> int:
    """In all of an array, or in one of its chunks, which a reader unpacks whole."""
    return max(math.prod(array.shape), math.prod(array.chunks))


def check_files(store: Path) -> None:
    """Raise ValueError where a part of a store is no plain file, or its description is too large."""
    for each in store.rglob("*"):
        if each.is_dir():
            continue
        if not each.is_file():
            raise ValueError(f"{store}: {each.relative_to(store)} is no plain file; give the folder that a sweep wrote")
        if each.name in METADATA and each.stat().st_size > MOST:
            raise ValueError(
                f"{store}: {each.relative_to(store)} is larger than {MOST >> 20} MiB, which no description of an array "
                "is; give the folder that a sweep wrote"
            )


def check_chunks(store: Path, folder: Path, size: int) -> None:
    """Raise ValueError where a chunk in the folder unpacks to more than size, the bytes of one that is not packed."""
    for each in _chunks(folder):
        with each.open("rb") as stream:
            promised = unpacked(stream.read(HEAD))
        if promised is not None and promised > size:
            raise ValueError(
                f"{store}: {each.relative_to(store)} says that it unpacks to {promised:,} bytes, and its array has "
                f"{size:,} there; run the sweep again (jaxcoopt sweep --resume), which makes it anew"
            )


def _chunks(folder: Path) -> Iterator[Path]:
    """The files of an array's chunks."""
    return (each for each in folder.rglob("*") if each.name not in METADATA and each.is_file())
