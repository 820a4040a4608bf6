"""Image sets in MNIST's own IDX files, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxcoopt.datasets.dataset import Dataset
from jaxcoopt.errors import unknown_name

PREFIXES = {"train": "train", "test": "t10k"}


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

    Source: format and MNIST: Y. LeCun, C. Cortes, C. J. C. Burges, 1998, http://yann.lecun.com/exdb/mnist/;
    Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017.
    """
    if kind not in PREFIXES:
        raise unknown_name("kind", kind, list(PREFIXES))
    folder = Path(path)
    images = read_idx(_find(folder, f"{PREFIXES[kind]}-images-idx3-ubyte"), axes=3)
    labels = read_idx(_find(folder, f"{PREFIXES[kind]}-labels-idx1-ubyte"), axes=1)
    if len(images) != len(labels):
        raise ValueError(
            f"path: {folder} holds {len(images)} {kind} images but {len(labels)} labels; fetch both files again"
        )
    features = images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32) / np.float32(255)
    return Dataset(features, labels.astype(np.int64), f"{folder.resolve().name}-{kind}", f"IDX files in {folder}", True)


def read_idx(path: str | Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """The unsigned bytes of one IDX file, in the shape that its header gives.

    Args:
        path: the file; a name that ends in .gz is unpacked.
        axes: how many axes the file must have: 3 for images, 1 for labels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the wrong magic number, fewer or more bytes than the header says, a broken gzip file.
    """
    path = Path(path)
    content = _read_bytes(path)
    magic, expected = content[:4], bytes([0, 0, 0x08, axes])
    if magic != expected:
        raise ValueError(
            f"{path}: magic number is 0x{magic.hex()}, expected 0x{expected.hex()}; not an IDX file of {axes} axes"
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{path}: the header has {len(content)} of {start} bytes; fetch the file again")
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=axes, offset=4))
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path}: the header promises {shape}, {math.prod(shape)} bytes, and {len(content) - start} are there; "
            "fetch the file again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _find(folder: Path, name: str) -> Path:
    """The file `name` or `name`.gz in the folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"path: {folder} is not a folder; give the folder that holds {name}[.gz]")
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"path: {folder} holds neither {name} nor {name}.gz; put the IDX files there under these names"
    )


def _read_bytes(path: Path) -> bytes:
    """All bytes of a plain or gzipped file."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error}); fetch the file again") from error
