"""Bytes that this process may still take of the host's memory, containers' limits included.

A container is a control group. Its files say how much all processes in it may take, and how much they have taken. A
group is also held to the limits of the groups that it is in. What is taken includes the page cache, which the kernel
gives back when asked, so that it counts as free here.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

MEMBERSHIP, MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")


class Files(NamedTuple):
    """What a version calls its files, and the lines of memory.stat that count what can be given back."""

    limits: tuple[str, ...]
    taken: str
    cache: tuple[str, ...]


VERSIONS = {
    "cgroup2": Files(
        ("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file", "slab_reclaimable")
    ),
    "cgroup": Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
}


def free_memory() -> int:
    """The least of what the host and each group that this process is in have left."""
    return max(0, min([psutil.virtual_memory().available, *(free for group in _groups() for free in _left(*group))]))


def _groups() -> Iterator[tuple[Path, Files]]:
    """Folders of the process's groups and of those around them, as far as they are mounted."""
    for line in _lines(MOUNTS):
        before, _, after = line.partition(" - ")
        kind, _, options = (*after.split(" "), "", "", "")[:3]
        if kind not in VERSIONS or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        root, mounted = (Path(_unescaped(field)) for field in before.split(" ")[3:5])
        own = _membership(kind)
        # In a container the mount may begin at its own group, which the membership names from outside.
        inside = own.relative_to(root) if own.is_relative_to(root) else Path()
        if ".." in inside.parts:
            inside = Path()
        folder = mounted / inside
        for group in (folder, *folder.parents):
            yield group, VERSIONS[kind]
            if group == mounted:
                break


def _membership(kind: str) -> Path:
    """The process's group below the root of its kind."""
    for line in _lines(MEMBERSHIP):
        number, names, path = (*line.split(":", 2), "", "", "")[:3]
        if (number == "0" and not names) if kind == "cgroup2" else "memory" in names.split(","):
            return Path(path)
    return Path("/")


def _left(group: Path, files: Files) -> Iterator[int]:
    """Limit less what is taken and cannot be given back, for each limit that is set."""
    taken = _number(group / files.taken)
    if taken is None:  # not to be read here: no less than this process has
        taken = psutil.Process().memory_info().rss
    counts = dict(line.split(maxsplit=1) for line in _lines(group / "memory.stat") if " " in line)
    cache = sum(int(counts[name]) for name in files.cache if counts.get(name, "").isdigit())
    for name in files.limits:
        limit = _number(group / name)
        if limit is not None:
            yield limit - max(0, taken - cache)


def _number(file: Path) -> int | None:
    """What a file says, None where it is not there or says "max"."""
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return os.fsdecode(file.read_bytes()).split("\n")  # paths need be no text, and may hold other ends of lines
    except OSError:
        return []


def _unescaped(field: str) -> str:
    """Spaces and the like are octal in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
