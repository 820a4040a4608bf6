"""What all pictures share: size, colours that colour-blind readers can tell apart, log axes that can show 0."""

import functools
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from jaxcoopt.errors import require
from jaxcoopt.escaping import picture, plain
from jaxcoopt.report.table import PREFIXES

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"  # Okabe and Ito; Tol
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#222222", "#999933")
BAD = "#C62828"
INK, QUIET, FAINT = "#222222", "#555555", "#B8BEC4"
GRID = "#E6E9EC"
STYLE = Path(__file__).with_name("pictures.mplstyle")
DPI = 150
DECADES = 7  # at most so many labels on a log axis
TITLE = 100  # characters of a line
LETTER = 0.56  # the mean width of a letter, in sizes of the font
# Values far off, one in 3, 4 or 50 at most, and what part of a scale is too small for all others.
FAR_OFF = ((3, 0.05), (4, 0.25), (50, 0.6))
TRIED = 60  # numbers of such values
MANY = 10  # of so many values, one may be far off whatever part of them that is
DASH = 5  # widths of a line
SAME_LINE = 0.004  # of the height of a picture


Draw = TypeVar("Draw", bound=Callable[..., Any])


def styled(draw: Draw) -> Draw:
    """The figures that a function draws in the style of pictures.mplstyle."""

    @functools.wraps(draw)
    def drawn(*arguments: object, **options: object) -> Any:
        with require("matplotlib", extra="report").rc_context(fname=STYLE):
            return draw(*arguments, **options)

    return cast(Draw, drawn)


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches, without any global state. Raises ImportError naming the `report` extra."""
    require("matplotlib", extra="report")
    from jaxcoopt.report.shown_figure import ShownFigure  # its base is Matplotlib's

    figure = ShownFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    require("matplotlib.backends.backend_agg", extra="report").FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    return figure


def heading(figure: Any, *lines: str, size: int = 12) -> None:
    """The title of a figure, text from users in it, in lines that are no wider than the figure."""
    width = int(figure.get_figwidth() * 72 / (LETTER * size))
    broken = [part for line in lines for part in textwrap.wrap(plain(line, 2 * width - 10), width) or [""]]
    figure.suptitle("\n".join(map(picture, broken)), fontsize=size, color=INK, x=0.01, ha="left")


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
    floor, exponents, labels = decades(values)
    has_zero = labels[0] == "0"
    axes.set_yscale("log")
    axes.set_ylim(10.0 ** (exponents[0] - 0.15), 10.0 ** (max(exponents[-1], _top(values, exponents[0])) + 0.1))
    axes.set_yticks([10.0**e for e in exponents], labels)
    axes.minorticks_off()
    if has_zero:
        line = floor * 10**0.5
        axes.axhline(line, color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
        where = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "top"}
        axes.text(0.995, line, "below the dotted line: exactly 0", fontsize=7, color=QUIET, **where)
    return floor


def suits_log(values: np.ndarray) -> bool:
    """True where none is negative and those that are positive span a decade or more."""
    positive = values[np.isfinite(values) & (values > 0)]
    return bool(positive.size) and not np.any(values < 0) and float(positive.max()) >= 10 * float(positive.min())


def robust_limits(values: np.ndarray) -> tuple[float, float]:
    """(least, largest) of a scale on which the values can be told apart; some of them must be finite.

    Where a few would take most of the scale from all others, they are left outside.
    """
    kept = np.sort(values[np.isfinite(values)])
    count, first, last = len(kept), 0, len(kept) - 1
    for part, least in FAR_OFF:
        spare = max(count // part, int(count >= MANY))
        for far in dict.fromkeys(int(spare**at) for at in np.linspace(0, 1, TRIED)) if spare else ():
            spans = kept[count - 1 - far :] - kept[: far + 1]  # without `low` at the foot, the rest at the top
            low = int(np.argmin(np.where(spans > 0, spans, np.inf)))
            if 0 < spans[low] < least * (kept[last] - kept[first]):
                first, last = low, count - 1 - far + low
    return float(kept[first]), float(kept[last])


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Ticks of a logarithmic axis from low to high: two or more, however little that is."""
    exponents = np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = 10.0**exponents
    finer = np.sort(np.outer(every, [1, 2, 5]).ravel())
    finest = np.sort(np.outer(every, np.arange(1, 10, 0.5)).ravel())
    inside = [ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))] for ticks in (every, finer, finest)]
    ticks = next((each for each in inside if len(each) > 1), np.array([low, high]))
    ticks = ticks[:: math.ceil(len(ticks) / DECADES)]
    told = ([f"{tick:,.{digits}g}" for tick in ticks] for digits in (4, 6, 9, 17))
    axis.set_ticks(ticks, next(each for each in told if len(set(each)) == len(ticks)))
    axis.set_ticks([], minor=True)


def strokes(curves: Sequence[np.ndarray] | np.ndarray, log: bool = False, x: np.ndarray | None = None) -> list[Any]:
    """Line styles with which curves [records] that lie on each other are all seen: the later ones are dashed, so that
    those below show in the gaps, with the wider gaps the later they are. x: [curves, records], where they differ.
    """
    lines = np.asarray(curves, np.float64).reshape(len(curves), -1)
    with np.errstate(all="ignore"):
        lines = np.log10(lines) if log else lines
    places = [lines] if x is None else [lines, np.asarray(x, np.float64)]
    same = np.all([np.abs(each[:, None] - each[None]) <= SAME_LINE * _span(each) for each in places], axis=0)
    known = np.isfinite(lines)[:, None] & np.isfinite(lines)[None]
    together = 2 * (same & known).sum(axis=-1) > np.maximum(known.sum(axis=-1), 1)
    below = [int(together[i, :i].sum()) for i in range(len(lines))]
    return [(0, (DASH, DASH * count)) if count else "-" for count in below]


def _span(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if finite.size else 1.0


def decades(values: np.ndarray) -> tuple[float, list[int], list[str]]:
    """(where 0 is shown, exponents of a log axis's ticks, their labels); some of the values must be positive.

    The first exponent is the level of 0, where there are zeros, or the smallest value's decade.
    """
    finite = values[np.isfinite(values)]
    floor, has_zero = zero_level(values), bool(np.any(finite <= 0))
    first = round(math.log10(floor)) + (0 if has_zero else 1)
    stride = math.ceil((_top(values, first) - first + 1) / DECADES)
    exponents = list(range(first, _top(values, first) + 1, stride))
    return floor, exponents, ["0" if has_zero and e == first else f"$10^{{{e}}}$" for e in exponents]


def prefixed_ticks(axes: Any, x: np.ndarray) -> None:
    """Ticks from 0 such as 500 or 2.5M, in one prefix over the whole axis."""
    finite = x[np.isfinite(x)]
    last = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    power = 0 if last < 100_000 else min(int(np.log10(last) // 3), len(PREFIXES) - 1)
    axes.set_xlim(0, last)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000**power:,g}{PREFIXES[power] if value else ''}")


def _top(values: np.ndarray, first: int) -> int:
    """The exponent at which a log axis ends, two decades above its start or more."""
    return max(math.ceil(math.log10(values[np.isfinite(values)].max())), first + 2)


def _flat_axis(axes: Any, text: str) -> None:
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], ["0"])
    axes.text(0.5, 0.56, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=10, color=INK)
