"""Nodes of like degree in one bucket, so that a few hubs do not pad the table of all the others."""

from itertools import pairwise

import numpy as np
from jaxtyping import Int

PADDING = 1.5  # entries over the fewest possible: fewer buckets compile faster, more waste less


def plan(degree: Int[np.ndarray, "graphs nodes"], kernel: str) -> tuple[tuple[int, int], ...]:
    """(rows, slots) of each bucket, slots increasing: as few as PADDING allows; rows are the most over the graphs.

    kernel: "table" is one bucket in any case, "buckets" at least two where the degrees differ.
    """
    degree = np.maximum(degree, 1)
    slots = np.unique(degree)
    if kernel == "table" or len(slots) == 1:
        return ((degree.shape[1], int(slots[-1])),)
    below = np.stack([np.searchsorted(np.sort(d), slots, side="right") for d in degree], axis=1)
    below = np.concatenate([np.zeros((1, len(degree)), int), below])  # [slots + 1, graphs] nodes of a lower degree
    cuts = _cuts(slots, below, least=2 if kernel == "buckets" else 1)
    return tuple((int((below[b] - below[a]).max()), int(slots[b - 1])) for a, b in pairwise(cuts))


def _cuts(slots: np.ndarray, below: np.ndarray, least: int) -> list[int]:
    """Where to cut the degrees: the fewest buckets, but `least`, that need at most PADDING times the fewest entries.

    Dynamic programming: with k buckets the degrees below b cost min_a cost_{k-1}(a) + slots[b-1] max_g #(a .. b).
    """
    count = len(slots)
    cost = np.full((count + 1, count + 1), np.inf)
    for b in range(1, count + 1):
        cost[:b, b] = slots[b - 1] * (below[b] - below[:b]).max(axis=1)
    fewest = np.zeros(count + 1)  # with any number of buckets
    for b in range(1, count + 1):
        fewest[b] = (fewest[:b] + cost[:b, b]).min()
    total, came_from = cost[0], []
    while len(came_from) + 1 < least or total[count] > PADDING * fewest[count]:
        through = total[:, None] + cost
        came_from.append(through.argmin(axis=0))
        total = through.min(axis=0)
    cuts = [count]
    for step in reversed(came_from):
        cuts.append(int(step[cuts[-1]]))
    return [0, *reversed(cuts)]
