"""Values of settings in few words."""

import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.methods.schedule import Schedule

MOST_TOLD = 4  # numbers of a setting, one by one


def told(value: ArrayLike | Schedule) -> str:
    """A number, the phases' one by one, of many the smallest and the largest."""
    numbers = np.ravel(value.values if isinstance(value, Schedule) else value)
    if len(numbers) > MOST_TOLD:
        there = numbers[numbers > 0]
        return f"{there.min():.4g} to {there.max():.4g}"
    return ", ".join(f"{number:.4g}" for number in numbers)
