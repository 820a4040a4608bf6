"""Image sets in MNIST's own IDX files, plain or gzipped."""

import gzip
import math
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxcoopt.containers import free_memory
from jaxcoopt.datasets.dataset import Dataset
from jaxcoopt.errors import a_path, at_least_one, check_name, shown

PREFIXES = {"train": "train", "test": "t10k"}
MOST_PACKED = 1100  # bytes that come out of one byte of a gzip file, at most: deflate cannot do more than 1032
IMAGE, LABEL = 5, 9  # bytes of memory that one of a file takes: itself, and as float32 or int64
PIECE = 2**24  # bytes that are read at once
MOST_AXES = 255  # the format has one byte for it


def idx_folder(path: str | Path, kind: str = "train") -> Dataset:
    """Images and labels of a folder in MNIST's layout: full MNIST, Fashion-MNIST and their like.

    Features are [samples, rows * columns] float32 in 0..1, targets [samples] int64. The files are
    train-images-idx3-ubyte and train-labels-idx1-ubyte (t10k-... for `kind="test"`), with or without .gz.
    Debian's package dataset-fashion-mnist puts Fashion-MNIST in /usr/share/datasets/fashion-mnist.

    Args:
        path: the folder.
        kind: "train" or "test".

    Raises:
        FileNotFoundError: the folder or one of the two files is missing.
        ValueError: an unknown kind; a file with the wrong magic number, cut short, too long or not a gzip file;
            as many labels as images are expected.
        MemoryError: the headers promise more than there is room for.

    Source: format and MNIST: Y. LeCun, C. Cortes, C. J. C. Burges, 1998, http://yann.lecun.com/exdb/mnist/;
    Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017.
    """
    check_name("kind", kind, list(PREFIXES))
    folder = a_path("path", path)
    images = _read(_find(folder, f"{PREFIXES[kind]}-images-idx3-ubyte"), 3, IMAGE)
    labels = _read(_find(folder, f"{PREFIXES[kind]}-labels-idx1-ubyte"), 1, LABEL)
    if len(images) != len(labels):
        raise ValueError(
            f"path: {folder} holds {len(images)} {kind} images but {len(labels)} labels; fetch both files again"
        )
    features = images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32)
    features /= np.float32(255)
    return Dataset(features, labels.astype(np.int64), f"{folder.resolve().name}-{kind}", f"IDX files in {folder}", True)


def read_idx(path: str | Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """The unsigned bytes of one IDX file, in the shape that its header gives.

    Args:
        path: the file; a name that ends in .gz is unpacked.
        axes: how many axes the file must have: 3 for images, 1 for labels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the wrong magic number, fewer or more bytes than the header says, a broken gzip file. No more is
            unpacked than the header promises.
        MemoryError: the header promises more than there is room for.
    """
    path, axes = a_path("path", path), at_least_one("axes", axes)
    if axes > MOST_AXES:
        raise ValueError(f"axes: expected 1 to {MOST_AXES}, got {shown(axes)}")
    return _read(path, axes, 1)


def _read(path: Path, axes: int, each: int) -> UInt8[np.ndarray, "..."]:
    """each: bytes of memory that one of the file takes in the end."""
    try:
        if not path.is_file():
            raise FileNotFoundError(f"path: {path} is no file")
        with _opened(path) as stream:
            shape = _shape(path, stream, axes)
            return _content(path, stream, shape, each)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error}); fetch the file again") from error
    except OSError as error:
        if not error.strerror:
            raise
        raise type(error)(f"path: {path!s:.200}: {error.strerror}; give a file that can be read") from error


def _shape(path: Path, stream: BufferedIOBase, axes: int) -> tuple[int, ...]:
    """What the header promises; nothing behind it is read."""
    start = 4 + 4 * axes
    header = stream.read(start)
    magic, expected = header[:4], bytes([0, 0, 0x08, axes])
    if magic != expected:
        raise ValueError(
            f"{path}: magic number is 0x{magic.hex()}, expected 0x{expected.hex()}; not an IDX file of {axes} axes"
        )
    if len(header) < start:
        raise ValueError(f"{path}: the header has {len(header)} of {start} bytes; fetch the file again")
    return tuple(int(size) for size in np.frombuffer(header, dtype=">u4", offset=4))


def _content(path: Path, stream: BufferedIOBase, shape: tuple[int, ...], each: int) -> UInt8[np.ndarray, "..."]:
    """As many bytes as were promised, and a look whether one more is there."""
    promised, packed = math.prod(shape), path.suffix == ".gz"
    size, room = path.stat().st_size - (0 if packed else 4 + 4 * len(shape)), free_memory()
    wrong = f"{path}: the header promises {shape}, {promised} bytes, and "
    if not packed and size != promised:
        raise ValueError(f"{wrong}{size} are there; fetch the file again")
    if promised > MOST_PACKED * size:
        raise ValueError(f"{wrong}{size} packed ones are there, too few for that; fetch the file again")
    if each * promised > room:
        known = f" of the {each * promised} that they take in memory" if each > 1 else ""
        raise MemoryError(f"{wrong}{room}{known} are free; use a machine with more memory, or a part of the data")
    content = bytearray()
    while part := stream.read(min(PIECE, promised + 1 - len(content))):
        content += part
    if len(content) != promised:
        there = f"{promised} and more" if len(content) > promised else f"{len(content)}"
        raise ValueError(f"{wrong}{there} are there; fetch the file again")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _find(folder: Path, name: str) -> Path:
    """The file `name` or `name`.gz in the folder."""
    try:
        there = folder.is_dir()
    except OSError as error:
        raise type(error)(f"path: {folder!s:.200}: {error.strerror}; give another folder") from error
    if not there:
        raise FileNotFoundError(f"path: {folder} is not a folder; give the folder that holds {name}[.gz]")
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"path: {folder} holds neither {name} nor {name}.gz; put the IDX files there under these names"
    )


def _opened(path: Path) -> BufferedIOBase:
    """A plain or gzipped file, told apart by the name."""
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")
