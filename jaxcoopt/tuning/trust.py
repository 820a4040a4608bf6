"""Whether the derivative by a setting is the slope of the objective: both along an interval around where it starts.

Rounded numbers, and flows cut at a bound, make an objective of steps and kinks. A derivative rule gives its slope a
value, which may be right in the mean, too small, too large, or of the wrong sign. No list says for which settings; so
it is looked at, on the very runs that are learned from.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxcoopt.shown import briefly
from jaxcoopt.tuning.parameters import Free, starts_of

WINDOW = 0.2  # to either side, in free numbers: two of Adam's steps, about a fifth of the setting
AT = np.arange(-3, 4) / 3  # where the objective is looked at, in windows; its slope at both ends and in the middle
BIAS = 0.3  # of what the objective changes: a slope further off leads astray
UNSEEN = 0.7  # likewise: of all its movement that the derivative does not foresee
SAME = 1e-4  # relatively: changes of the objective that are none

Look = Callable[[Free], np.ndarray]
Slopes = Callable[[Free], Free]


@briefly
@dataclass(frozen=True)
class Compared:
    """objective: at AT, from its value in the middle; foreseen: the integral of its derivative, from there, too."""

    objective: np.ndarray
    foreseen: np.ndarray

    @property
    def moves(self) -> float:
        """By how much either of them changes, root mean square."""
        return float(max(np.std(self.objective), np.std(self.foreseen)))

    @property
    def rises(self) -> tuple[float, float]:
        """From one end to the other, along the least-squares line: of the objective, and as its derivative says."""
        objective, foreseen = (2 * np.polyfit(AT, values, 1)[0] for values in (self.objective, self.foreseen))
        return float(objective), float(foreseen)

    @property
    def useful(self) -> bool:
        """Whether descent along the derivative goes down, and about as far as it seems to."""
        objective, foreseen = self.rises
        bias, unseen = 0.5 * abs(foreseen - objective) * np.std(AT), np.std(self.objective - self.foreseen)
        moves = np.std(self.objective)
        return bool(bias <= BIAS * moves and unseen <= UNSEEN * moves)


def compared(free: Free, name: str, slope: Free, slopes: Slopes, look: Look) -> Compared:
    """Of one parameter of the first start, or of all its numbers together, each up or down as its slope says.

    slope: there; slopes, look: the slope, and the objective, of as many starts as `free` has.
    """
    way = np.sign(np.asarray(slope[name])[0])
    way = np.where(way == 0, 1.0, way)
    values, along = {}, {0.0: np.sum(np.asarray(slope[name])[0] * way)}
    for at, moved in _moved(free, name, way, AT):
        values |= dict(zip(at, look(moved), strict=False))
    for at, moved in _moved(free, name, way, AT[[0, -1]]):
        by = np.asarray(slopes(moved)[name])
        along |= {each: np.sum(own * way) for each, own in zip(at, by, strict=False)}
    curve = np.polynomial.Polynomial.fit(list(along), [WINDOW * each for each in along.values()], 2).integ()
    return Compared(np.array([values[at] - values[0.0] for at in AT]), curve(AT) - curve(0.0))


def _moved(free: Free, name: str, way: np.ndarray, at: np.ndarray) -> Iterator[tuple[list[float], Free]]:
    """(some of `at`, free numbers of which each start is the first one moved so far), until all were there."""
    starts = starts_of(free)
    for first in range(0, len(at), starts):
        part = at[first : first + starts]
        far = np.concatenate([part, np.full(starts - len(part), part[-1])]).reshape(-1, *(1,) * way.ndim)
        own = {key: jnp.repeat(leaf[:1], starts, axis=0) for key, leaf in free.items()}
        yield part.tolist(), own | {name: own[name] + jnp.asarray(WINDOW * far * way, own[name].dtype)}


def warn_of_slopes(free: Free, values: np.ndarray, slope: Free, slopes: Slopes, look: Look) -> None:
    """Tell (RuntimeWarning) of parameters without effect, and with both figures of those whose derivative is no slope.

    values, slope: the objective of each start and its slope; slopes, look: the slope, and the objective, elsewhere.
    """
    for name, of_starts in slope.items():
        still = np.all(np.asarray(of_starts) == 0, axis=0)
        found = compared(free, name, slope, slopes, look)
        if not np.isfinite([*found.objective, *found.foreseen]).all():
            continue
        if still.all() and found.moves > SAME * abs(values[0]):
            _warn(f"{name} has no derivative, though it matters{_figures(found)}")
        elif still.all() or (still.ndim == 1 and still.any()):
            which = name if still.all() else f"{name}{np.flatnonzero(still).tolist()}"
            _warn(f"{which} has no effect on the objective: its slope is 0 at the start")
        elif found.moves > SAME * abs(values[0]) and not found.useful:
            _warn(f"{name} has no useful derivative at the start{_figures(found)}")


def _figures(found: Compared) -> str:
    objective, foreseen = found.rises
    rough = np.std(found.objective - np.polyval(np.polyfit(AT, found.objective, 2), AT))
    return (
        f": within a fifth around it the objective changes by {objective:+.2g} (and is {rough:.1g} off a smooth "
        f"curve), by {foreseen:+.2g} as the derivative says; sweep it instead, with jaxcoopt.sweep, or tune the others"
    )


def _warn(message: str) -> None:
    warnings.warn(f"parameters: {message}", RuntimeWarning, stacklevel=5)
