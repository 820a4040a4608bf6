"""Curves with bands around them against one or several clocks, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.escaping import picture
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.shown import briefly

CLOCKS = {"iterations": "iterations", "bits": UNITS["bits"], "seconds": UNITS["seconds"]}


@briefly
@dataclass(frozen=True)
class Curve:
    """clocks: its places along each clock; band: its lower end, the line, its upper end; strokes: the line's style
    on each panel.
    """

    name: str
    clocks: Sequence[Float[np.ndarray, " records"]]
    band: Float[np.ndarray, "3 records"]
    color: Any
    strokes: Sequence[Any]
    width: float = 1.7
    order: float = 2.5


def clock_panels(figure: Any, labels: Sequence[str], curves: Sequence[Curve]) -> Any:
    """The curves on one panel for each clock, all panels of the same heights."""
    panels = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for i, (axes, label) in enumerate(zip(panels, labels, strict=True)):
        axes.set_xlabel(label)
        for curve in curves:
            draw_curve(axes, curve, i)
    return panels


def draw_curve(axes: Any, curve: Curve, clock: int = 0) -> None:
    """A line with its band, where both are known."""
    x = curve.clocks[clock]
    known = np.isfinite(x) & np.isfinite(curve.band[1])
    low, middle, high = curve.band[:, known]
    looks = {"color": curve.color, "linewidth": curve.width, "zorder": curve.order}
    axes.plot(x[known], middle, linestyle=curve.strokes[clock], label=picture(curve.name), **looks)
    if not np.array_equal(low, high):
        axes.fill_between(x[known], low, high, color=curve.color, alpha=0.16, linewidth=0)


def legend_beside(figure: Any, axes: Any, title: str | None = None) -> None:
    """What the lines of a panel are called, on the right of all panels."""
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, title=title, loc="outside right center", handlelength=3.5, fontsize=8, title_fontsize=9)
