"""One HTML page about a sweep: plots to zoom and filter, with the data and plotly inside, so that it works offline."""

import base64
import gzip
import html
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcoopt.errors import require
from jaxcoopt.escaping import LONGEST, plain
from jaxcoopt.report.axis import SweptAxis
from jaxcoopt.report.bands import clocks
from jaxcoopt.report.best import SAME
from jaxcoopt.report.style import suits_log, zero_level
from jaxcoopt.report.sweep_table import progress
from jaxcoopt.report.swept import Swept
from jaxcoopt.run.status import Status
from jaxcoopt.study.statistics import Statistics, quartiles

MOST_NUMBERS = 1_300_000  # in the curves: about 4 MB of the page; of a larger sweep fewer records are kept
FRACTION_BITS = 12  # of a number in the page: four digits, so that it packs well
AT_END = ("median", "q1", "q3", "mean", "mean_low", "mean_high", "median_low", "median_high")
BANDS = {"q1": 0, "median": 1, "q3": 2}


def page(sweep: Swept, statistics: dict[str, Statistics], metrics: Sequence[str], x: str | None, y: str | None) -> str:
    """The page's text. metrics: those shown first; all of the sweep's can be picked; x, y: axes shown first."""
    order = list(dict.fromkeys([*metrics, *sweep.metrics]))
    records = _kept(sweep)
    arrays = _arrays(sweep, statistics, order, records)
    data = {
        "axes": [_axis(axis) for axis in sweep.axes],
        "x": _column(sweep, x),
        "y": _column(sweep, y),
        "where": sweep.where.tolist(),
        "seeds": sweep.status.shape[1],
        "last": int(sweep.iterations[-1]),
        "records": len(records),
        "allRecords": len(sweep.iterations),
        "clocks": list(clocks(sweep)),
        "metrics": [_metric(sweep, name, statistics[name]) for name in order],
        "counts": {name: count.tolist() for name, count in sweep.counts.items()},
        "left": _left(sweep),
        "sizes": {name: values.size for name, values in arrays.items()},
    }
    return _fill(
        _file("page.html"),
        title=html.escape(plain(sweep.title)),
        progress=html.escape(progress(sweep)),
        settings=html.escape(_text(sweep.attributes.get("settings"))),
        versions=html.escape(_text(sweep.attributes.get("versions"))),
        plotly=require("plotly.offline", extra="report").get_plotlyjs(),
        data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),  # a label cannot end the script
        numbers=_packed(list(arrays.values())),
        script=_file("page.js"),
    )


def _kept(sweep: Swept) -> np.ndarray:
    """The records whose curves are on the page: the first, the last, and as many between as there is room for."""
    bands = 3 if sweep.status.shape[1] > 1 else 1
    each = len(sweep.where) * (bands * len(sweep.metrics) + len(sweep.clocks))
    count = len(sweep.iterations)
    return np.unique(np.linspace(0, count - 1, min(count, max(2, MOST_NUMBERS // each))).round().astype(np.int64))


def _arrays(
    sweep: Swept, statistics: dict[str, Statistics], order: Sequence[str], records: np.ndarray
) -> dict[str, np.ndarray]:
    """All numbers, by the name under which the script finds them: [points] or [points, records]."""
    several = sweep.status.shape[1] > 1
    found: dict[str, np.ndarray] = {}
    for i, values in enumerate(clocks(sweep).values()):
        found[f"clock/{i}"] = values[:, records]
    for name in order:
        found |= {f"{name}/{field}": getattr(statistics[name], field) for field in (AT_END if several else ("median",))}
        found[f"{name}/runs"] = statistics[name].runs
        bands = quartiles(sweep.metrics[name][..., records], axis=1)
        kept = BANDS if several else {"median": BANDS["median"]}
        found |= {f"{name}/curve/{band}": bands[i] for band, i in kept.items()}
    return found


def _packed(arrays: list[np.ndarray]) -> str:
    """One after another as float32, compressed, in base64."""
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, and not drawn
        numbers = np.concatenate([each.astype(np.float32).ravel() for each in arrays])
    bits = numbers.view(np.uint32)
    rounded = (bits + np.uint32(1 << (22 - FRACTION_BITS))) & ~np.uint32((1 << (23 - FRACTION_BITS)) - 1)
    kept = np.where(np.isfinite(numbers), rounded, bits).astype("<u4")
    return base64.b64encode(gzip.compress(kept.tobytes(), compresslevel=6, mtime=0)).decode("ascii")


def _axis(axis: SweptAxis) -> dict[str, Any]:
    (places, labels), (round_places, round_labels) = axis.ticks(), axis.ticks(grid=False)
    return {
        "name": plain(axis.name, LONGEST),
        "numeric": axis.numeric,
        "labels": list(axis.labels),
        "places": axis.places.tolist(),
        "edges": axis.edges.tolist(),
        "ticks": places,
        "tickLabels": labels,
        "roundTicks": round_places,
        "roundLabels": round_labels,
    }


def _column(sweep: Swept, name: str | None) -> int:
    return -1 if name is None else sweep.axis(name)


def _metric(sweep: Swept, name: str, values: Statistics) -> dict[str, Any]:
    """How it is called and whether its axis is logarithmic; zero: where such an axis shows 0."""
    every = sweep.metrics[name]
    return {
        "name": name,
        "label": f"{name.replace('_', ' ')} ({plain(sweep.units[name])})",
        "log": suits_log(values.median),
        "logCurves": suits_log(every),
        "zero": zero_level(every) if suits_log(every) else 0.0,
        "diverged": sweep.diverged(name).tolist(),
        "settled": sweep.settled(name).tolist(),
        "same": SAME,
        "rounding": sweep.rounding_of(name),
    }


def _left(sweep: Swept) -> list[int]:
    """The median iteration at which the diverged runs of each point left, -1 where there are none."""
    gone = sweep.status == Status.DIVERGED
    return [int(np.median(left[runs])) if runs.any() else -1 for left, runs in zip(sweep.left, gone, strict=True)]


def _fill(template: str, **parts: str) -> str:
    """Replaces {{name}}; in one pass over the template, as a part may hold such marks itself."""
    pieces = template.split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def _file(name: str) -> str:
    return importlib.resources.files("jaxcoopt.report").joinpath(name).read_text(encoding="utf-8")


def _text(value: object) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value, indent=2)
