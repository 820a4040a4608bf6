"""Samples that a gradient is taken over, and sums over them in pieces: memory stays bounded however many there are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from jaxcoopt.pytrees import pytree

MOST_BYTES = 2**27  # of one [nodes, samples, outputs, runs] array


@pytree
@dataclass(frozen=True)
class Batch:
    """Samples that a gradient is taken over; share[i, s] is the weight of sample s in node i's mean.

    features: [nodes, samples, *shape] or a dict of such arrays, labels and share: [nodes, samples]; all may end in a
    runs axis.
    """

    features: Any
    labels: Any
    share: Array


def sum_over_samples(fn: Callable[[Batch], PyTree], batch: Batch, bytes_per_sample: int) -> PyTree:
    """fn(batch), for an fn that is a sum over the samples (second axis): in pieces where it would take too much memory.

    bytes_per_sample: of one sample of every node in every run.
    """
    samples = batch.share.shape[1]
    size = min(samples, max(1, MOST_BYTES // bytes_per_sample))
    if size == samples:
        return fn(batch)
    pieces = -(-samples // size)
    size = -(-samples // pieces)

    def add(total: PyTree, piece: Array) -> tuple[Any, None]:
        start = jnp.minimum(piece * size, samples - size)  # the last piece reaches back; what it repeats counts nothing
        part = jax.tree.map(lambda array: lax.dynamic_slice_in_dim(array, start, size, axis=1), batch)
        new = (start + jnp.arange(size) >= piece * size).reshape(1, size, *(1,) * (part.share.ndim - 2))
        part = Batch(part.features, part.labels, jnp.where(new, part.share, 0))
        return jax.tree.map(jnp.add, total, fn(part)), None

    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(fn, batch))
    return lax.scan(add, zero, jnp.arange(pieces))[0]
