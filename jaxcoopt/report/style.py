"""What all pictures share: size, colours that colour-blind readers can tell apart, log axes that can show 0."""

import math
from typing import Any

import numpy as np

from jaxcoopt.errors import require

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"  # Okabe and Ito; Tol
INK, FAINT = "#222222", "#B8BEC4"
DPI = 150
DECADES = 7  # at most so many labels on a log axis


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches, without any global state. Raises ImportError naming the `report` extra."""
    figure = require("matplotlib.figure", extra="report").Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    require("matplotlib.backends.backend_agg", extra="report").FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    return figure


def plain_axes(axes: Any) -> None:
    """Light grid, no frame on top and right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, color=FAINT)
    axes.grid(True, color="#E6E9EC", linewidth=0.7)
    axes.set_axisbelow(True)


def zero_level(values: np.ndarray) -> float:
    """Where a log axis shows 0: a decade below the smallest positive value's decade; 1 when there is none."""
    positive = values[np.isfinite(values) & (values > 0)]
    return 1.0 if not positive.size else 10.0 ** (math.floor(math.log10(positive.min())) - 1)


def log_axis(axes: Any, values: np.ndarray) -> float:
    """A logarithmic y axis for values, with a level for 0 at its foot where there are zeros; returns that level."""
    finite = values[np.isfinite(values)]
    if not np.any(finite > 0):
        _flat_axis(axes, "0 throughout" if finite.size else "not finite")
        return 0.0
    floor, has_zero = zero_level(values), bool(np.any(finite <= 0))
    first = math.log10(floor) + (0 if has_zero else 1)
    last = math.ceil(math.log10(finite.max()))
    last = max(last, first + 2)
    stride = math.ceil((last - first + 1) / DECADES)
    exponents = [round(first) + step for step in range(0, round(last - first) + 1, stride)]
    axes.set_yscale("log")
    axes.set_ylim(10.0 ** (first - 0.15), 10.0 ** (last + 0.1))
    labels = ["0" if has_zero and e == round(first) else f"$10^{{{e}}}$" for e in exponents]
    axes.set_yticks([10.0**e for e in exponents], labels)
    axes.minorticks_off()
    if has_zero:
        axes.axhline(floor * 10**0.5, color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
    return floor


def _flat_axis(axes: Any, text: str) -> None:
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], ["0"])
    axes.text(0.5, 0.56, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=10, color=INK)
