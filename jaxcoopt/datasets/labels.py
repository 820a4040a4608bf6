"""Whether targets are class labels or values to regress on."""

import warnings

import numpy as np
from jaxtyping import Shaped

from jaxcoopt.errors import a_flag, plain

FEW = 20
"""Different whole numbers that are classes however few samples there are."""
PER_CLASS = 3
"""Samples of a class, in the mean, from which on more different whole numbers are classes, too."""


def are_classes(targets: Shaped[np.ndarray, " samples"], classes: bool | None = None) -> bool:
    """What `classes` says; where that is None, what the targets' values say, whatever their type.

    Whole numbers are classes where there are few different ones: at most `FEW`, or one for every `PER_CLASS` samples.
    All else are values. Warns (RuntimeWarning) of targets whose type is whole, but of which there are too many.
    """
    if classes is not None:
        return a_flag("classes", classes)
    targets = np.asarray(plain("targets", targets))
    if targets.ndim != 1:
        raise ValueError(f"targets: expected shape [samples], got {targets.shape}")
    if targets.dtype.kind == "f" and not np.array_equal(targets, np.round(targets)):
        return False
    different = len(np.unique(targets))
    few = different <= max(FEW, len(targets) // PER_CLASS)
    if not few and targets.dtype.kind in "iu":
        warnings.warn(
            f"targets: {different} different whole numbers in {len(targets)} samples are taken as values to regress "
            "on; say classes=True where they are class labels, classes=False where they are not",
            RuntimeWarning,
            stacklevel=3,
        )
    return few
