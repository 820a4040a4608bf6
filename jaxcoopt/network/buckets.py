"""A table of the first neighbours of all nodes, and buckets of like length for the further ones that hubs have."""

from itertools import pairwise

import numpy as np
from jaxtyping import Int

PADDING = 1.5  # entries of one table over the fewest possible, up to which it needs no buckets
WASTE = 2.0  # the same of buckets: fewer compile faster, and each costs some microseconds
ROW = 8  # entries that a row of a bucket costs beside its own: its node's value fetched, its sum put back


def plan(degree: Int[np.ndarray, "graphs nodes"], kernel: str) -> tuple[tuple[int, int], ...]:
    """(rows, slots) of the table of all nodes, then of each bucket, slots increasing, for the neighbours beyond it.

    As few buckets as WASTE allows; rows are the most over the graphs. kernel: "table" has no buckets in any case,
    "buckets" at least one where the degrees differ.
    """
    degree = np.maximum(degree, 1)
    nodes, most = degree.shape[1], int(degree.max())
    enough = nodes * most <= PADDING * degree.sum(axis=1).max()
    if kernel == "table" or degree.min() == most or (kernel != "buckets" and enough):
        return ((nodes, most),)
    first = _first(degree, most)
    beyond = np.maximum(degree - first, 0)
    slots = np.unique(beyond[beyond > 0])
    below = np.stack([np.searchsorted(np.sort(b[b > 0]), slots, side="right") for b in beyond], axis=1)
    below = np.concatenate([np.zeros((1, len(degree)), int), below])  # [slots + 1, graphs] hubs with fewer left
    cuts = _cuts(slots, below)
    return (nodes, first), *((int((below[b] - below[a]).max()), int(slots[b - 1])) for a, b in pairwise(cuts))


def _first(degree: np.ndarray, most: int) -> int:
    """How many neighbours of every node the table holds: what costs the fewest entries, ROW for each hub beside."""

    def cost(first: int) -> int:
        beyond = np.maximum(degree - first, 0)
        return degree.shape[1] * first + int((beyond.sum(axis=1) + ROW * (beyond > 0).sum(axis=1)).max())

    return min((int(slots) for slots in np.unique(degree) if slots < most), key=cost)


def _cuts(slots: np.ndarray, below: np.ndarray) -> list[int]:
    """Where to cut the lengths: the fewest buckets that need at most WASTE times the fewest entries.

    Dynamic programming: with k buckets the lengths below b cost min_a cost_{k-1}(a) + slots[b-1] max_g #(a .. b).
    """
    count = len(slots)
    cost = np.full((count + 1, count + 1), np.inf)
    for b in range(1, count + 1):
        cost[:b, b] = slots[b - 1] * (below[b] - below[:b]).max(axis=1)
    fewest = np.zeros(count + 1)  # with any number of buckets
    for b in range(1, count + 1):
        fewest[b] = (fewest[:b] + cost[:b, b]).min()
    total, came_from = cost[0], []
    while total[count] > WASTE * fewest[count]:
        through = total[:, None] + cost
        came_from.append(through.argmin(axis=0))
        total = through.min(axis=0)
    cuts = [count]
    for step in reversed(came_from):
        cuts.append(int(step[cuts[-1]]))
    return [0, *reversed(cuts)]
