"""Zarr stores that say that they hold more than there is room for, or than there is."""

import os

import numpy as np
import pytest
import zarr
from numcodecs.zstd import Zstd

from jaxcoopt.report.swept import open_store
from jaxcoopt.study.promised import HEAD, check_promised, unpacked


@pytest.fixture
def store(tmp_path):
    """A group with a small array of one chunk."""
    place = tmp_path / "some.zarr"
    status = zarr.open_group(place, mode="w").create_array("status", shape=(2, 3), chunks=(2, 3), dtype=np.int8)
    status[...] = 1
    return place


@pytest.mark.parametrize("size", [1, 255, 256, 300, 65_791, 65_792, 1 << 20, 1 << 25])
def test_what_a_frame_unpacks_to(size, rng):
    assert unpacked(Zstd().encode(bytes(size))[:HEAD]) == size
    noise = rng.bytes(min(size, 1000))
    assert unpacked(Zstd(checksum=True).encode(noise)[:HEAD]) == len(noise)


def test_what_is_no_frame_says_nothing(rng):
    assert unpacked(b"") is None
    assert unpacked(b"\x28\xb5\x2f\xfd") is None
    assert unpacked(b"\0" + rng.bytes(17)) is None


def test_a_plain_store_passes(store):
    check_promised(store)


@pytest.mark.parametrize(("shape", "chunks"), [((10**6, 10**7), (10, 10)), ((2, 3), (10**6, 10**7))])
def test_arrays_larger_than_the_memory(store, shape, chunks):
    zarr.open_group(store, mode="r+").create_array("training_gap", shape=shape, chunks=chunks, dtype=np.float32)
    with pytest.raises(MemoryError, match=r"training_gap alone, of shape .* GiB are free"):
        open_store(store)


def test_a_chunk_that_unpacks_to_more_than_its_array_has(store):
    (store / "status/c/0/0").write_bytes(Zstd().encode(bytes(1 << 25)))
    with pytest.raises(ValueError, match=r"status/c/0/0 says that it unpacks to 33,554,432 bytes, .* has 6 there"):
        open_store(store)


def test_what_is_no_plain_file(store):
    os.mkfifo(store / "status/c/0/1")  # a reader would wait for ever
    with pytest.raises(ValueError, match=r"status/c/0/1 is no plain file"):
        open_store(store)


def test_a_description_that_is_too_large(store):
    with (store / "zarr.json").open("r+b") as stream:
        stream.truncate(1 << 27)
    with pytest.raises(ValueError, match=r"zarr\.json is larger than 64 MiB"):
        open_store(store)


def test_brackets_without_end(store):
    (store / "zarr.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="it is not a Zarr store, or a broken one"):
        open_store(store)
