"""A swept name with its values, and where they stand on a picture's axis."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxcoopt.escaping import labels
from jaxcoopt.shown import briefly

TICKS, NAMES = 9, 40  # at most so many labels on an axis of numbers, and of names
SLIVER = 0.04  # of an axis: a step that is too small to be seen


@briefly
@dataclass(frozen=True)
class SweptAxis:
    """values: the distinct ones, numbers ascending or labels in the order in which they came."""

    name: str
    values: tuple[int | float | str, ...]

    @cached_property
    def numeric(self) -> bool:
        """False where the values are labels."""
        return not any(isinstance(value, str) for value in self.values)

    @cached_property
    def log(self) -> bool:
        """True for numbers spaced more evenly by their ratios than by their differences; two need a decade.

        A first number of 0 counts where the others would be too close to it to be told apart.
        """
        if not self.numeric or len(self.values) < 2 or float(self.values[0]) < 0:
            return False
        numbers = np.array(self.values, np.float64)
        if numbers[0] == 0:
            return len(numbers) > 2 and bool(numbers[1] < SLIVER * numbers[-1]) and _by_ratios(numbers[1:])
        return _by_ratios(numbers)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The values as short text, numbers with as few digits as tell them apart, three or more."""
        for digits in (3, 6, 10):
            found = [value if isinstance(value, str) else _number(value, digits) for value in self.values]
            if len(set(found)) == len(found):
                return tuple(labels(found))
        return tuple(labels(self.values))

    @cached_property
    def places(self) -> Float[np.ndarray, " values"]:
        """Where the values stand: their logarithm, the number itself, or 0, 1, ... for labels.

        On a logarithmic axis 0 is as far below the next as the others are apart.
        """
        if not self.numeric:
            return np.arange(len(self.values), dtype=np.float64)
        numbers = np.array(self.values, np.float64)
        if not self.log:
            return numbers
        if numbers[0] > 0:
            return np.log10(numbers)
        above = np.log10(numbers[1:])
        step = float(np.diff(above).mean()) if len(above) > 1 else 1.0
        return np.concatenate([[above[0] - step], above])

    @cached_property
    def edges(self) -> Float[np.ndarray, " edges"]:
        """Where a heat map's cells meet: halfway between neighbours, and as far outside at both ends."""
        if len(self.places) == 1:
            half = 0.5 * max(abs(float(self.places[0])), 1.0)
            return self.places + np.array([-half, half])
        middle = (self.places[1:] + self.places[:-1]) / 2
        first, last = 2 * self.places[0] - middle[0], 2 * self.places[-1] - middle[-1]
        return np.concatenate([[first], middle, [last]])

    def ticks(self, grid: bool = True) -> tuple[list[float], list[str]]:
        """(places, labels): of the values, as many as there is room for; round numbers where they fill no grid."""
        if len(self.values) <= (TICKS if self.numeric else NAMES):
            return self.places.tolist(), list(self.labels)
        if not self.numeric:
            shown = np.unique(np.linspace(0, len(self.values) - 1, NAMES).round().astype(int))
            return self.places[shown].tolist(), [self.labels[i] for i in shown]
        if grid or (self.log and self.values[0] == 0):
            kept = [0]
            for i, place in enumerate(self.places):
                if place - self.places[kept[-1]] >= (1 - 1e-9) * np.ptp(self.places) / (TICKS - 1):
                    kept.append(i)
            return self.places[kept].tolist(), [self.labels[i] for i in kept]
        low, high = float(self.places[0]), float(self.places[-1])
        if self.log and high - low >= 2:
            stride = int(np.ceil((high - low) / TICKS))
            exponents = np.arange(np.ceil(low - 1e-9), high + 1e-9, stride)
            return exponents.tolist(), [_number(10.0**exponent, 3) for exponent in exponents]
        step = 10.0 ** np.floor(np.log10((high - low) / TICKS * 2))
        step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= TICKS)
        places = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step + 0.0  # never -0
        return places.tolist(), [_number(10**place if self.log else place, 3) for place in places]


def axis_of(name: str, given: Shaped[np.ndarray, " entries"]) -> tuple[SweptAxis, Int[np.ndarray, " entries"]]:
    """(axis, which of its values each entry is); what is no finite number is a label."""
    if given.dtype.kind in "iuf" and np.isfinite(given).all():
        values, which = np.unique(given, return_inverse=True)
        return SweptAxis(name, tuple(values.tolist())), which.reshape(given.shape)
    texts = [str(value) for value in given.tolist()]
    labels = list(dict.fromkeys(texts))
    return SweptAxis(name, tuple(labels)), np.array([labels.index(text) for text in texts], np.int64)


def _number(value: int | float, digits: int) -> str:
    """Whole numbers in full, up to a million."""
    whole = float(value).is_integer() and abs(value) < 1e6
    return f"{value:.0f}" if whole else f"{value:.{digits}g}"


def _by_ratios(numbers: np.ndarray) -> bool:
    """Whether positive numbers are spaced more evenly by their ratios than by their differences."""
    if len(numbers) == 2:
        return bool(numbers[1] >= 10 * numbers[0])
    return _unevenness(np.log(numbers)) < _unevenness(numbers) - 1e-9


def _unevenness(places: np.ndarray) -> float:
    """How much the steps between neighbours differ: their standard deviation over their mean."""
    steps = np.diff(places)
    return float(steps.std() / steps.mean())
