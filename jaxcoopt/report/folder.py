"""The folder that an experiment leaves behind."""

import fcntl
import os
from collections.abc import Callable, Iterator
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
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    with lock.open("w") as handle:
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

    `finish` gives the summary once the rest is written, so that it can tell how long that took.
    """
    (folder / "summary.json").unlink(missing_ok=True)
    write_text(folder / "settings.toml", settings)
    write_text(folder / "trace.csv", trace_csv(result))
    write_text(folder / "nodes.csv", nodes.to_csv())
    save(network_figure(nodes, title), folder / "network.png")
    save(gaps_figure(result, title), folder / "gaps.png")
    save(feasibility_figure(result, title), folder / "feasibility.png")
    write_json(folder / "summary.json", finish())


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
