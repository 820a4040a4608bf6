import gzip
import struct

import numpy as np
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
