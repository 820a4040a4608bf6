"""The runs that diverged, listed by their settings."""

from typing import Any

import numpy as np

from jaxcoopt.run.result import NODE
from jaxcoopt.run.status import Status
from jaxcoopt.study.axes import ITERATION, POINT, SEED

SHOWN = 10


def diverged_points(table: Any) -> list[str]:
    """A heading and a line for each point with diverged runs, the worst first; nothing where there is none."""
    diverged = table["status"].values == Status.DIVERGED
    if not diverged.any():
        return []
    counts, seeds = diverged.sum(axis=-1), diverged.shape[-1]
    where = np.argwhere(counts)
    where = where[np.argsort(-counts[tuple(where.T)], kind="stable")]
    runs = f"{int(diverged.sum()):,} of {diverged.size:,} runs"
    lines = [f"{runs} diverged, at {len(where):,} of {counts.size:,} points:"]
    dims = table["status"].dims[:-1]
    for index in where[:SHOWN]:
        at = table.isel(dict(zip(dims, map(int, index), strict=True)))
        names = [name for name in at.coords if name not in (SEED, ITERATION, POINT, NODE)]
        settings = ", ".join(f"{name}={_short(at[name].item())}" for name in names)
        left = at["left"].values[diverged[tuple(index)]]
        lines.append(f"  {settings}: {int(counts[tuple(index)])} of {seeds}, the first before iteration {left.min()}")
    if len(where) > SHOWN:
        lines.append(f"  and {len(where) - SHOWN:,} more points")
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
