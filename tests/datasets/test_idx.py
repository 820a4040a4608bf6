import gzip
import struct
import tracemalloc
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from jaxcoopt.datasets import idx_folder, read_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5)).astype(np.uint8)
IMAGES[0, 0, 0], IMAGES[0, 0, 1] = 0, 255
LABELS = np.array([3, 0, 9, 1, 1, 7], np.uint8)


def encode(array: np.ndarray, magic: int | None = None) -> bytes:
    header = struct.pack(">I", 0x0800 + array.ndim if magic is None else magic)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, images: bytes, labels: bytes, prefix: str = "train", packed: bool = False):
    for name, content in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "prefix"), [("train", "train"), ("test", "t10k")])
def test_a_pair_is_read(tmp_path, packed, kind, prefix):
    write(tmp_path, encode(IMAGES), encode(LABELS), prefix, packed)
    data = idx_folder(tmp_path, kind)
    assert data.features.dtype == np.float32
    assert data.features.shape == (6, 20)
    assert (data.features.min(), data.features.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(np.rint(data.features * 255), IMAGES.reshape(6, 20))
    np.testing.assert_array_equal(data.targets, LABELS)
    assert data.targets.dtype == np.int64
    assert data.name == f"{tmp_path.name}-{kind}"


def test_read_idx_keeps_the_shape_and_takes_text_paths(tmp_path):
    (tmp_path / "some-idx3").write_bytes(encode(IMAGES))
    np.testing.assert_array_equal(read_idx(str(tmp_path / "some-idx3"), axes=3), IMAGES)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_short_is_refused(tmp_path, packed):
    write(tmp_path, encode(IMAGES)[:-7], encode(LABELS), packed=packed)
    with pytest.raises(ValueError, match=r"train-images.*promises \(6, 4, 5\), 120 bytes, and 113 are there"):
        idx_folder(tmp_path)


def test_a_file_that_is_too_long_is_refused(tmp_path):
    write(tmp_path, encode(IMAGES), encode(LABELS) + b"x")
    with pytest.raises(ValueError, match="6 bytes, and 7 are there"):
        idx_folder(tmp_path)


def test_a_header_cut_short_is_refused(tmp_path):
    write(tmp_path, encode(IMAGES)[:9], encode(LABELS))
    with pytest.raises(ValueError, match="header has 9 of 16 bytes"):
        idx_folder(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    write(tmp_path, b"", encode(LABELS))
    with pytest.raises(ValueError, match="magic number is 0x, expected 0x00000803"):
        idx_folder(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_wrong_magic_number_is_refused(tmp_path, packed):
    write(tmp_path, encode(IMAGES), encode(LABELS, magic=0x0D01), packed=packed)
    with pytest.raises(ValueError, match="magic number is 0x00000d01, expected 0x00000801"):
        idx_folder(tmp_path)


def test_images_in_the_place_of_labels_are_refused(tmp_path):
    write(tmp_path, encode(IMAGES), encode(IMAGES))
    with pytest.raises(ValueError, match=r"train-labels.*not an IDX file of 1 axes"):
        idx_folder(tmp_path)


@pytest.mark.parametrize("damage", [lambda content: content[:-12], lambda content: b"no gzip" + content])
def test_a_broken_gzip_file_is_refused(tmp_path, damage):
    write(tmp_path, encode(IMAGES), encode(LABELS), packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: not a whole gzip file"):
        idx_folder(tmp_path)


def test_a_gzip_file_with_damaged_contents_is_refused(tmp_path):
    write(tmp_path, encode(IMAGES), encode(LABELS), packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[10:40] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a whole gzip file"):
        idx_folder(tmp_path)


def test_labels_must_match_images(tmp_path):
    write(tmp_path, encode(IMAGES), encode(LABELS[:5]))
    with pytest.raises(ValueError, match="6 train images but 5 labels"):
        idx_folder(tmp_path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"):
        idx_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        idx_folder(tmp_path / "nowhere")


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'train'"):
        idx_folder(tmp_path, "trian")


def bomb(folder, start: bytes, size: int):
    """A gzip file that begins as told, and goes on with so many zeros."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as stream:
        stream.write(start)
        for _ in range(size // 2**20):
            stream.write(bytes(2**20))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"not an IDX file", "magic number is 0x6e6f7420"),
        (struct.pack(">4I", 0x0803, 1, 2, 3), "promises .1, 2, 3., 6 bytes, and 6 and more are there"),
        (struct.pack(">4I", 0x0803, 2**31, 2**31, 2**31), "packed ones are there, too few for that"),
    ],
)
def test_no_more_is_unpacked_than_the_header_promises(tmp_path, start, message):
    bomb(tmp_path, start, 2**28)
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        idx_folder(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_header_that_promises_more_than_there_is_room_for(tmp_path, monkeypatch):
    write(tmp_path, encode(IMAGES), encode(LABELS), packed=True)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100))
    with pytest.raises(
        MemoryError, match=r"train-images.*promises \(6, 4, 5\), 120 bytes, and 100 of the 600 that they"
    ):
        idx_folder(tmp_path)
    with pytest.raises(MemoryError, match=r"120 bytes, and 100 are free"):
        read_idx(tmp_path / "train-images-idx3-ubyte.gz", axes=3)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=600))
    assert len(idx_folder(tmp_path).targets) == 6


def test_an_empty_set_is_read(tmp_path):
    (tmp_path / "none").write_bytes(encode(IMAGES[:0]))
    assert read_idx(tmp_path / "none", axes=3).shape == (0, 4, 5)


def test_no_path_and_no_file_are_refused(tmp_path):
    for path in (tmp_path, "/dev/zero", tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="is no file"):
            read_idx(path, axes=3)
    with pytest.raises(ValueError, match="axes: expected 1 to 255, got 256"):
        read_idx(tmp_path / "nowhere", axes=256)
