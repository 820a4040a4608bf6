"""The folder that an experiment leaves behind."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxcoopt.errors import require
from jaxcoopt.report.network_plot import network_figure
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.plots import feasibility_figure, gaps_figure
from jaxcoopt.report.summary import write_json, write_text
from jaxcoopt.run.result import Result

LOCK = ".lock"
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def reserved_folder(folder: Path, overwrite: bool) -> Iterator[None]:
    """Make the folder before anything is computed, and keep other runs out of it meanwhile.

    Raises FileExistsError where it holds something (and not `overwrite`), is a file or is another run's, ImportError
    naming the extra where what draws and writes is not installed. Left empty, the folder is removed again.
    """
    for module in ("matplotlib", "xarray"):
        require(module, extra="report")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder}: it is a file; give a folder")
    if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()) and not overwrite:
        raise FileExistsError(f"--out {folder}: the folder is not empty; give another, or add --overwrite")
    lock = folder / LOCK
    with _advised(folder, "making the folder"):
        folder.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of by the system if this process is killed
        except BlockingIOError as error:
            raise FileExistsError(f"--out {folder}: another run is writing there; wait, or give another") from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()


def write_folder(
    folder: Path, result: Result, nodes: Nodes, title: str, settings: str, finish: Callable[[], dict[str, Any]]
) -> None:
    """settings.toml, trace.csv, nodes.csv, three pictures and, last, summary.json: where that is, all is there.

    Raises OSError naming the file that cannot be written. `finish` gives the summary once the rest is written, so that
    it can tell how long that took.
    """
    (folder / "summary.json").unlink(missing_ok=True)
    writers: dict[str, Callable[[Path], None]] = {
        "settings.toml": lambda path: write_text(path, settings),
        "trace.csv": lambda path: write_text(path, trace_csv(result)),
        "nodes.csv": lambda path: write_text(path, nodes.to_csv()),
        "network.png": lambda path: save(network_figure(nodes, title), path),
        "gaps.png": lambda path: save(gaps_figure(result, title), path),
        "feasibility.png": lambda path: save(feasibility_figure(result, title), path),
        "summary.json": lambda path: write_json(path, finish()),
    }
    write_all(folder, writers)


def write_all(folder: Path, writers: Mapping[str, Callable[[Path], None]]) -> None:
    """Every file by its writer, in order. Raises OSError naming the file that cannot be written."""
    for name, write in writers.items():
        with _advised(folder, f"writing {name}"):
            write(folder / name)


@contextmanager
def _advised(folder: Path, doing: str) -> Iterator[None]:
    """The system's errors name the folder, what could not be done, and what to do."""
    try:
        yield
    except OSError as error:
        advice = "make room or give another folder" if error.errno in FULL else "give another folder"
        raise OSError(f"--out {folder}: {error.strerror or error} while {doing}; {advice}") from error


def trace_csv(result: Result) -> str:
    """The trace, one line for each iteration recorded and run."""
    labelled = result.to_xarray()
    trace = labelled[list(result.trace)].drop_vars(["status", "left"])
    return trace.to_dataframe()[list(result.trace)].to_csv(lineterminator="\n")


def save(figure: Any, path: Path) -> None:
    """As PNG, written whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", metadata={"Software": "jaxcoopt"})
    os.replace(temporary, path)


def save_both(figure: Any, path: Path) -> None:
    """As PNG, and as SVG that is the same every time."""
    save(figure, path.with_suffix(".png"))
    with require("matplotlib", extra="report").rc_context({"svg.hashsalt": "jaxcoopt"}):
        figure.savefig(path.with_suffix(".svg"), format="svg", metadata={"Date": None, "Creator": "jaxcoopt"})
