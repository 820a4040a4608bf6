"""A data set laid out over nodes: what the training methods read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Shards:
    """Every sample of a data set at exactly one node; a node's valid samples come first, then padding.

    Attributes:
        features: [nodes, samples, features], 0 in the padding; samples is the size of the largest node.
        targets: [nodes, samples], 0 in the padding.
        mask: [nodes, samples], True where there is a sample.
        weights: [nodes], nodes * counts / (all samples), of mean 1: the mean over the nodes of weight * (mean loss over
            the node's own samples) is the mean loss over all samples.
        counts: [nodes], samples held by each node.
        assignment: [nodes, samples], which row of the original features lies here, -1 in the padding.
    """

    features: Real[np.ndarray, "nodes samples features"]
    targets: Shaped[np.ndarray, "nodes samples"]
    mask: Bool[np.ndarray, "nodes samples"]
    weights: Float[np.ndarray, " nodes"]
    counts: Int[np.ndarray, " nodes"]
    assignment: Int[np.ndarray, "nodes samples"]


def pack(
    features: Real[np.ndarray, "samples features"],
    targets: Shaped[np.ndarray, " samples"],
    owner: Int[np.ndarray, " samples"],
    nodes: int,
) -> Shards:
    """Samples laid out by the node that owns each, in their original order, padded to the largest node."""
    counts = np.bincount(owner, minlength=nodes)
    mask = np.arange(counts.max()) < counts[:, None]
    assignment = np.full(mask.shape, -1, dtype=np.int64)
    assignment[mask] = np.argsort(owner, kind="stable")
    packed_features = np.zeros((*mask.shape, features.shape[1]), dtype=features.dtype)
    packed_targets = np.zeros(mask.shape, dtype=targets.dtype)
    packed_features[mask], packed_targets[mask] = features[assignment[mask]], targets[assignment[mask]]
    return Shards(packed_features, packed_targets, mask, nodes * counts / len(targets), counts, assignment)
