"""The folder that an experiment leaves behind."""

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from jaxcoopt.errors import require
from jaxcoopt.files import advised, check_disk, held, made_folder, whole, write_text
from jaxcoopt.report.network_plot import network_figure
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.plots import feasibility_figure, gaps_figure, metrics_figure
from jaxcoopt.report.summary import write_json
from jaxcoopt.run.result import Result

PICTURE = 2**19  # bytes of a picture, or less
PICTURES = ("network.png", "gaps.png", "feasibility.png", "metrics.png")  # of a run


@contextmanager
def reserved_folder(folder: Path, overwrite: bool, sizes: Mapping[str, int] | None = None) -> Iterator[None]:
    """Make the folder before anything is computed, and keep other runs out of it meanwhile.

    sizes: the bytes that each file may take, for which there must be room. Raises FileExistsError where the folder
    holds something (and not `overwrite`), is a file or is another run's, OSError where it cannot be made or has no
    room, ImportError naming the extra where what draws and writes is not installed. What this made and left empty is
    removed; a folder that was there stays.
    """
    for module in ("matplotlib", "xarray"):
        require(module, extra="report")
    where = f"--out {folder}"
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{where}: it is a file; give a folder")
    with ExitStack() as stack:
        with advised(where, "making the folder"):
            stack.enter_context(made_folder(folder))
        stack.enter_context(held(folder, where, "run"))
        if not overwrite and not all(map(_is_old_lock, folder.iterdir())):
            raise FileExistsError(f"{where}: the folder is not empty; give another, or add --overwrite")
        with advised(where, "looking for room"):
            check_disk(folder, sizes or {})
        yield


def _is_old_lock(file: Path) -> bool:
    """Whether it is the empty file that earlier versions left in a folder when they were killed; it stays."""
    found = file.lstat()
    return file.name == ".lock" and stat.S_ISREG(found.st_mode) and not found.st_size


def write_folder(
    folder: Path, result: Result, nodes: Nodes, title: str, settings: str, finish: Callable[[], dict[str, Any]]
) -> None:
    """settings.toml, trace.csv, nodes.csv, pictures and, last, summary.json: where that is, all is there.

    Raises OSError naming the file that cannot be written. `finish` gives the summary once the rest is written, so that
    it can tell how long that took.
    """
    writers: dict[str, Callable[[Path], None]] = {
        "settings.toml": lambda path: write_text(path, settings),
        "trace.csv": lambda path: write_text(path, trace_csv(result)),
        "nodes.csv": lambda path: write_text(path, nodes.to_csv()),
        "network.png": lambda path: save(network_figure(nodes, title), path),
        "gaps.png": lambda path: save(gaps_figure(result, title), path),
        "feasibility.png": lambda path: save(feasibility_figure(result, title), path),
    }
    if result.own_metrics:
        writers["metrics.png"] = lambda path: save(metrics_figure(result, title), path)
    writers["summary.json"] = lambda path: write_json(path, finish())
    write_all(folder, writers, last="summary.json")


def write_all(folder: Path, writers: Mapping[str, Callable[[Path], None]], last: str | None = None) -> None:
    """Every file by its writer, in order; an older one called `last` goes first, so that where that is, all is there.

    Raises OSError naming the file that cannot be written.
    """
    if last is not None:
        with advised(f"--out {folder}", f"removing the old {last}"):
            (folder / last).unlink(missing_ok=True)
    for name, write in writers.items():
        with advised(f"--out {folder}", f"writing {name}"):
            write(folder / name)


def trace_csv(result: Result) -> str:
    """The trace, one line for each iteration recorded and run."""
    return result.to_pandas().to_csv(lineterminator="\n")


def save(figure: Any, path: Path) -> None:
    """As PNG, written whole or not at all."""
    with whole(path) as stream:
        figure.savefig(stream, format="png", metadata={"Software": "jaxcoopt"})


def save_both(figure: Any, path: Path) -> None:
    """As PNG, and as SVG that is the same every time."""
    save(figure, path.with_suffix(".png"))
    settings = require("matplotlib", extra="report").rc_context({"svg.hashsalt": "jaxcoopt"})
    with settings, whole(path.with_suffix(".svg")) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "jaxcoopt"})
