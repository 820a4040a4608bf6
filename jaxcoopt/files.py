"""Files that the package writes: whole or not at all, through no link, and nothing else is touched."""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from jaxcoopt.errors import a_path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def located(option: str, path: str | Path) -> Path:
    """A path that the user gave, "~" at its start being their home folder.

    Raises FileExistsError for a link to nothing, TypeError or ValueError for what can be no path.
    """
    found = a_path(option, path)
    try:
        dangling = found.is_symlink() and not found.exists()
    except OSError as error:
        raise type(error)(f"{option} {path!s:.200}: {error.strerror}; give another path") from error
    if dangling:
        raise FileExistsError(
            f"{option} {path}: it is a link to {os.readlink(found)}, which is not there; make that, or give another"
        )
    return found


def write_text(path: Path, text: str) -> None:
    """In UTF-8, whole or not at all."""
    with whole(path) as stream:
        stream.write(text.encode())


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its place when the block ends, and is removed where that fails.

    A link is replaced, never followed. Permissions of a file that is replaced are kept.
    """
    temporary = path.with_name(f".{uuid4().hex}.part")  # short: the name itself may be as long as names can be
    with temporary.open("xb") as stream:  # x: never one that is there, nor through a link
        try:
            with suppress(FileNotFoundError):
                before = path.lstat()
                if stat.S_ISREG(before.st_mode):
                    os.fchmod(stream.fileno(), stat.S_IMODE(before.st_mode))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def advised(where: str, doing: str, advice: str = "give another folder") -> Iterator[None]:
    """The system's errors name the place, what could not be done, and what to do."""
    try:
        yield
    except OSError as error:
        more = "make room or " if error.errno in FULL else ""
        raise OSError(f"{where}: {error.strerror or error} while {doing}; {more}{advice}") from error


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """The folder and those above it are there inside; of those that were not there before, the empty ones go again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    made: list[Path] = []
    try:
        for each in reversed(missing):
            with suppress(FileExistsError):  # another process was faster, so it is not ours
                each.mkdir()
                made.append(each)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in reversed(made):
                each.rmdir()


@contextmanager
def held(folder: Path, where: str, who: str) -> Iterator[None]:
    """No other process of this machine holds the folder inside. Raises FileExistsError where another `who` does.

    The folder itself is locked, not a file in it; the system lets go of it when this process ends, however it ends.
    """
    busy = f"{where}: another {who} is writing there; wait for it, or give another"
    with advised(where, "opening the folder"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not (folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())):  # its maker has removed it
            raise FileExistsError(busy)
        yield
    except BlockingIOError as error:
        raise FileExistsError(busy) from error
    finally:
        os.close(handle)


def check_disk(folder: Path, sizes: Mapping[str, int]) -> None:
    """Raise OSError where files of these sizes (name to bytes) have no room in the folder, by a quota either.

    They are laid out for a moment without a name; a disk that cannot do so is taken to have room.
    """
    with ExitStack() as files:
        for name, size in sizes.items():
            file = files.enter_context(tempfile.TemporaryFile(dir=folder))
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, size))
            except OSError as error:
                if error.errno not in FULL:
                    return
                known = f"{name} may take {size / 2**20:,.3g} MiB, all files {sum(sizes.values()) / 2**20:,.3g} MiB"
                raise OSError(error.errno, f"{error.strerror} ({known})") from error
