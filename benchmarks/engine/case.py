"""What is measured: one point of the grid, and the grids that come with the package."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.toml_text import read_text
from jaxcoopt.shown import briefly

GRAPHS, CHANNELS, PRECISIONS = ("regular", "barabasi-albert", "ring"), ("log", "ideal"), ("float32", "float64")
FULL = {
    "nodes": (20, 100, 1000, 10000),
    "degree": (4, 8, 32),
    "runs": (1, 16, 64, 256, 1024),
    "params": (10, 100, 7850),
    "channel": CHANNELS,
    "precision": PRECISIONS,
    "graph": GRAPHS,
}
SIZES = ("nodes", "degree", "runs", "params")
SAMPLES = 20  # a node
DECENT_NODES, DECENT_PARAMS = 100, 100  # beyond, decent-bench takes minutes


@briefly
@dataclass(frozen=True)
class Case:
    """nodes n, mean degree d, runs B, params m; channel "log" (rho = 0.5, message) or "ideal"; graph's family."""

    nodes: int = 1000
    degree: int = 8
    runs: int = 64
    params: int = 10
    channel: str = "log"
    precision: str = "float32"
    graph: str = "regular"

    @property
    def name(self) -> str:
        """Short and unique, for tables and test ids."""
        sizes = f"n{self.nodes}-d{self.degree}-B{self.runs}-m{self.params}"
        return f"{sizes}-{self.channel}-{self.precision}-{self.graph}"

    @property
    def float_bytes(self) -> int:
        """Bytes of one number."""
        return 4 if self.precision == "float32" else 8

    @property
    def values(self) -> int:
        """Numbers that a node update moves over all nodes and runs: y, z and the price."""
        return self.nodes * self.runs * (2 * self.params + 1)

    def settings(self) -> dict[str, Any]:
        """The fields, for the JSON."""
        return asdict(self)


HEADLINE = Case()
FEW = Case(nodes=20, runs=16)  # the centre of the axis over m: 7850 parameters at 20 nodes are quick
RINGS = tuple(Case(nodes=n, degree=2, runs=4, graph="ring") for n in (1000, 10000, 100000))
# What the figures asked for compare, and one more point on each axis.
SMALL = (
    HEADLINE,
    replace(HEADLINE, runs=1),
    replace(HEADLINE, channel="ideal"),
    Case(nodes=100, degree=10),
    replace(HEADLINE, nodes=100),
    replace(HEADLINE, degree=32),
    replace(HEADLINE, runs=16),
    *(replace(FEW, params=m) for m in (10, 100)),
    *(Case(nodes=10000, runs=16, graph=graph) for graph in ("regular", "barabasi-albert")),
    *RINGS,
)
# One axis at a time around the centres.
MEDIUM = (
    *SMALL,
    replace(HEADLINE, nodes=20),
    replace(HEADLINE, degree=4),
    replace(HEADLINE, runs=256),
    replace(FEW, params=7850),
    replace(HEADLINE, precision="float64"),
)


def read_axes(texts: Mapping[str, str | None]) -> dict[str, list[Any]]:
    """{"nodes": "100,1000"} as {"nodes": [100, 1000]}, without the axes that are None."""
    return {
        axis: [_number(axis, part) if axis in SIZES else part for part in text.split(",")]
        for axis, text in texts.items()
        if text is not None
    }


def _number(axis: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"--{axis}: expected whole numbers apart by commas, such as 100,1000; got {text!r:.80}"
        ) from None


def grid(name: str, axes: Mapping[str, Iterable[Any]]) -> list[Case]:
    """The cases of "small", "medium", "full" or a JSON file (a list of tables of fields), or of the axes given.

    Axes that are given span a grid with the headline's value on the others. Raises ValueError naming what is wrong.
    """
    if axes:
        return [replace(HEADLINE, **dict(zip(axes, point, strict=True))) for point in itertools.product(*axes.values())]
    if name in ("small", "medium"):
        return list(SMALL if name == "small" else MEDIUM)
    if name == "full":
        whole = [Case(**dict(zip(FULL, point, strict=True))) for point in itertools.product(*FULL.values())]
        return list(dict.fromkeys([*MEDIUM, *whole]))
    return _from_file(Path(name))


def _from_file(path: Path) -> list[Case]:
    if not path.exists() or path.is_dir():
        raise ValueError(f"--grid: {str(path)!r} is neither 'small', 'medium', 'full' nor a file; give one of them")
    try:
        return [Case(**table) for table in json.loads(read_text(path))]
    except (TypeError, ValueError, RecursionError) as error:
        fields = ", ".join(FULL)
        expected = f"expected a JSON list of tables with the keys {fields}"
        raise ValueError(f"--grid {path}: {expected}: {error!s:.200}") from error


def check_case(case: Case) -> None:
    """Raise ValueError naming the axis for a case that means nothing."""
    for axis, known in (("graph", GRAPHS), ("channel", CHANNELS), ("precision", PRECISIONS)):
        if getattr(case, axis) not in known:
            raise unknown_name(f"--{axis}", getattr(case, axis), known)
    for axis in SIZES:
        given = getattr(case, axis)
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ValueError(f"--{axis}: expected whole numbers of 1 or more, got {given!r:.80}")


def why_skipped(case: Case, memory: float) -> str | None:
    """The rule that leaves a case out, with its numbers, or None; memory: bytes of the device.

    Skipped is what has no such graph, and what needs more than half the memory: twelve arrays the size of y and z (the
    state, what was sent, the next one of each, and as much again for a rival), and the data with its Gram matrices.
    Longer than a few minutes does not come up: an iteration moves no more than what fits into memory.
    """
    if case.degree >= case.nodes:
        return f"no graph of {case.nodes} nodes has degree {case.degree}"
    if case.degree % 2 and (case.graph != "regular" or case.nodes % 2):
        return f"a {case.graph} graph of {case.nodes} nodes cannot have the odd degree {case.degree}"
    needed = (12 * case.values + 2 * case.nodes * case.params * min(2 * SAMPLES, case.params)) * case.float_bytes
    needed += 2 * 8 * case.nodes * SAMPLES * case.params
    if needed > memory / 2:
        return f"needs about {needed / 2**30:.1f} GiB, more than half of the {memory / 2**30:.1f} GiB there are"
    return None
