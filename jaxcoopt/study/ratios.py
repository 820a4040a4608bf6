"""Errors of a method over those of the best of others, instance by instance."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from jaxcoopt.study.contest import ContenderScores, Contest

CLAIM = 0.5
"""The paper's claim: a gap below half of the best existing method's."""
ALL, ANYTIME = "best existing", "best existing that keeps the budget at every iteration"
"""Whom ours are measured against, instance by instance."""


def ratios(
    ours: Float[np.ndarray, "*horizons instances"], best: Float[np.ndarray, "*horizons instances"], floor: float
) -> Float[np.ndarray, "*horizons instances"]:
    """ours / best with both at least `floor`; 1 where both diverged, infinite where only ours did."""
    ours, best = np.maximum(ours, floor), np.maximum(best, floor)
    both = np.isinf(ours) & np.isinf(best)
    return np.where(both, 1.0, ours / np.where(both, 1.0, best))


def case_ratios(
    contest: Contest, label: str, against: str, quantity: str, horizon: int, floor: float
) -> Float[np.ndarray, " instances"]:
    """A method's over the best of its rivals on every instance of a case; empty where it or they are not there."""
    ours = [each.at[horizon][quantity] for each in contest.scores if each.contender.label == label]
    rivals = [each.at[horizon][quantity] for each in contest.scores if is_rival(each, against)]
    return ratios(ours[0], np.min(rivals, axis=0), floor) if ours and rivals else np.zeros(0)


def is_rival(scores: ContenderScores, against: str = ALL) -> bool:
    """Whether it is one of the existing methods that ours are measured against."""
    return not scores.contender.ours and (against == ALL or scores.contender.keeps_budget)


def winners(rivals: Mapping[str, Float[np.ndarray, " instances"]]) -> dict[str, int]:
    """On how many instances each rival is the best; the first where several are."""
    first = np.bincount(np.argmin(list(rivals.values()), axis=0), minlength=len(rivals))
    return {name: int(count) for name, count in zip(rivals, first, strict=True) if count}
