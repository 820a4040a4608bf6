"""Which point of a sweep is the best, if any may be called so."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jaxcoopt.report.swept import Swept
from jaxcoopt.shown import briefly
from jaxcoopt.study.statistics import best_first

SAME = 5e-4  # relatively: medians that are written alike
NONE = "no point converged, or ended better than it began"


@briefly
@dataclass(frozen=True)
class Ranking:
    """order: the points with a median, the best first, those that may not be called so last; best: the points that
    share the least median, none where no point may be called the best.
    """

    order: Int[np.ndarray, " ranked"]
    best: Int[np.ndarray, " tied"]

    @property
    def only(self) -> int | None:
        """The best point, None where there is none, or several."""
        return int(self.best[0]) if len(self.best) == 1 else None

    @property
    def note(self) -> str:
        """What is framed, or why nothing is."""
        return "frame: the best" if self.only is not None else f"no frame: {self.why}" if self.why else ""

    @property
    def why(self) -> str:
        """Why no point alone is the best; nothing where one is, or where there is no number."""
        if len(self.best) > 1:
            return f"{len(self.best)} points share the least value"
        return NONE if len(self.order) and not len(self.best) else ""


def ranking(sweep: Swept, metric: str, median: Float[np.ndarray, " points"]) -> Ranking:
    """Of the points by a metric's median at the end."""
    settled = sweep.settled(metric)
    order = best_first(median, ~settled)
    good = order[settled[order]]
    if not len(good):
        return Ranking(order, good)
    least = float(median[good[0]])
    reach = SAME * abs(least) + sweep.rounding_of(metric)
    return Ranking(order, good[median[good] <= least + reach])
