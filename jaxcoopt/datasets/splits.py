"""Samples dealt to nodes: evenly, with skewed labels, or with skewed sizes."""

import numpy as np
from numpy.typing import ArrayLike

from jaxcoopt.datasets.apportion import apportion
from jaxcoopt.datasets.dataset import check_samples
from jaxcoopt.datasets.labels import are_classes
from jaxcoopt.datasets.shards import Shards, pack
from jaxcoopt.errors import a_flag, at_least_one, check_name, generator, one_number, positive

SPLITS = ("iid", "dirichlet", "size_skew", "shards")
"""The ways to deal that `split` knows."""
BY_CLASS = ("dirichlet", "shards")
"""Those that look at the targets."""


def split(
    features: ArrayLike,
    targets: ArrayLike,
    nodes: int,
    how: str = "iid",
    alpha: float = 0.5,
    shards_per_node: int = 2,
    bins: int = 10,
    min_samples: int = 1,
    seed: int = 0,
    classes: bool | None = None,
) -> Shards:
    """Deal all samples to the nodes, each to exactly one.

    - "iid": at random, sizes equal to within one sample.
    - "dirichlet": each class is shared out in proportions ~ Dirichlet(alpha), rounded so that nothing is lost
      (Hsu, Qi, Brown, arXiv:1909.06335; Yurochkin et al., ICML 2019). Small alpha: few classes a node.
    - "size_skew": at random, sizes ~ Dirichlet(alpha). Small alpha: a few nodes hold nearly all.
    - "shards": sorted by class, cut into nodes * shards_per_node equal pieces, dealt at random (McMahan et al., 2017).

    Targets are class labels where they are whole numbers of which there are few (`are_classes` says how few), whatever
    their type; all others are grouped into `bins` quantile bins, which take the place of classes. Where a node has
    fewer than `min_samples`, random samples of the largest nodes move to it.

    Args:
        features: [samples, features].
        targets: [samples], class labels or values.
        nodes: how many nodes.
        how: one of `SPLITS`.
        alpha: concentration, above 0, for "dirichlet" and "size_skew".
        shards_per_node: pieces per node, for "shards".
        bins: quantile bins of targets that are no class labels, for "dirichlet" and "shards".
        min_samples: the least that every node gets, at least 1.
        seed: same seed, same split.
        classes: whether the targets are class labels; None: as their values look.

    Raises:
        ValueError: fewer samples than the nodes need, alpha not above 0, an unknown `how`, NaN or infinite data.
        TypeError: data that are not numbers, counts that are not whole.
    """
    features, targets = check_samples(features, targets)
    nodes, min_samples = at_least_one("nodes", nodes), at_least_one("min_samples", min_samples)
    shards_per_node, bins = at_least_one("shards_per_node", shards_per_node), at_least_one("bins", bins)
    one_number("alpha", alpha)
    alpha, rng = float(positive("alpha", alpha)), generator(seed)
    check_name("how", how, SPLITS)
    classes = None if classes is None else a_flag("classes", classes)
    stratified = how in BY_CLASS and are_classes(targets, classes)
    needed = nodes * (max(min_samples, shards_per_node) if how == "shards" else min_samples)
    if needed > len(targets):
        raise ValueError(
            f"nodes: {nodes} nodes need at least {needed} samples for how={how!r}, got {len(targets)}; use fewer nodes"
        )
    kinds = targets if stratified or how not in BY_CLASS else _binned(targets, bins)
    owner = _deal(rng, how, kinds, nodes, alpha, shards_per_node)
    return pack(features, targets, _top_up(rng, owner, nodes, min_samples), nodes)


def _deal(
    rng: np.random.Generator, how: str, kinds: np.ndarray, nodes: int, alpha: float, shards_per_node: int
) -> np.ndarray:
    """The node of every sample, [samples]; kinds: its class, or the number of its bin."""
    samples = len(kinds)
    match how:
        case "iid":
            return rng.permutation(np.arange(samples) % nodes)
        case "size_skew":
            sizes = apportion(samples, rng.dirichlet(np.full(nodes, alpha)))
            return rng.permutation(np.repeat(np.arange(nodes), sizes))
        case "dirichlet":
            return _dirichlet(rng, kinds, nodes, alpha)
        case _:
            return _shards(rng, kinds, nodes, shards_per_node)


def _binned(targets: np.ndarray, bins: int) -> np.ndarray:
    """The number of each target's quantile bin."""
    edges = np.quantile(targets, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return np.searchsorted(edges, targets, side="left")


def _dirichlet(rng: np.random.Generator, classes: np.ndarray, nodes: int, alpha: float) -> np.ndarray:
    """The node of every sample: the members of each class shared out in proportions ~ Dirichlet(alpha)."""
    owner = np.empty(len(classes), dtype=np.int64)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        sizes = apportion(len(members), rng.dirichlet(np.full(nodes, alpha)))
        owner[rng.permutation(members)] = np.repeat(np.arange(nodes), sizes)
    return owner


def _shards(rng: np.random.Generator, classes: np.ndarray, nodes: int, shards_per_node: int) -> np.ndarray:
    """The node of every sample: sorted by class (random inside a class), cut in pieces, dealt at random."""
    shuffled = rng.permutation(len(classes))
    ordered = shuffled[np.argsort(classes[shuffled], kind="stable")]
    owner = np.empty(len(classes), dtype=np.int64)
    pieces = np.array_split(ordered, nodes * shards_per_node)
    for node, piece in zip(rng.permutation(len(pieces)) % nodes, pieces, strict=True):
        owner[piece] = node
    return owner


def _top_up(rng: np.random.Generator, owner: np.ndarray, nodes: int, min_samples: int) -> np.ndarray:
    """Move random samples, one at a time, from the node that is largest then to nodes below `min_samples`."""
    counts = np.bincount(owner, minlength=nodes)
    for node in np.flatnonzero(counts < min_samples):
        while counts[node] < min_samples:
            donor = counts.argmax()
            owner[rng.choice(np.flatnonzero(owner == donor))] = node
            counts[[donor, node]] += (-1, 1)
    return owner
