"""The problem: minimise sum_i f_i(x_i) + g_i(y_i) with sum_i x_i = b, lo_i <= x_i <= hi_i and all y_i equal."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.costs import Cost, marginal
from jaxcoopt.problem.losses import Loss
from jaxcoopt.problem.models import Params
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Allocation:
    """Share `budget` units of CPU among the nodes at least total cost.

    cost: a `jaxcoopt.costs` family; budget: scalar or [runs]; lower, upper: scalar, [nodes] or [nodes, runs], in the
    budget's unit, None where there is no bound.
    """

    cost: Cost
    budget: Any
    lower: Any = None
    upper: Any = None

    def price(self, x: Float[Array, "nodes runs"], bounds: Penalty) -> Float[Array, "nodes runs"]:
        """p_i = df_i/dx + the slope of the bound handling, at x."""
        return marginal(self.cost, x) + bounds.slope(x, self.lower, self.upper)


@pytree
@dataclass(frozen=True)
class Batch:
    """Samples that a gradient is taken over; share[i, s] is the weight of sample s in node i's mean.

    features: [nodes, samples, features], labels and share: [nodes, samples]; all may end in a runs axis.
    """

    features: Array
    labels: Array
    share: Array


@pytree
@dataclass(frozen=True)
class Training:
    """Fit one model to data that stays at the nodes: g_i = weights_i (mean loss over node i's samples + penalty).

    features: [nodes, samples, features]; targets: [nodes, samples]; mask: [nodes, samples], False for padding;
    weights: [nodes], default 1. With weights proportional to the sample counts, sum_i g_i is the pooled loss.
    """

    loss: Loss
    features: Any
    targets: Any
    mask: Any = None
    weights: Any = None

    def batch(self) -> Batch:
        """All samples."""
        if self.mask is None:
            share = jnp.full(self.features.shape[:2], 1 / self.features.shape[1], self.features.dtype)
        else:
            count = self.mask.sum(axis=1, keepdims=True)
            share = self.mask.astype(self.features.dtype) / count.astype(self.features.dtype)
        return Batch(self.features, self.targets, share)

    def sample(self, key: Array, size: int, runs: Int[Array, " runs"]) -> Batch:
        """`size` samples drawn at each node with replacement, independently in each run (numbered by `runs`)."""
        nodes, samples, _ = self.features.shape
        uniform = jax.vmap(
            lambda run: jax.random.uniform(jax.random.fold_in(key, run), (nodes, size), self.features.dtype),
            out_axes=-1,
        )(runs)
        if self.mask is None:
            index = (uniform * samples).astype(jnp.int32)
        else:  # the k-th valid sample of a node, whatever the mask's shape
            valid = jnp.argsort(~self.mask, axis=1, stable=True)
            count = self.mask.sum(axis=1, dtype=jnp.int32)[:, None, None]
            rank = jnp.minimum((uniform * count.astype(uniform.dtype)).astype(jnp.int32), count - 1)
            index = jnp.take_along_axis(valid[:, :, None], rank, axis=1)
        node = jnp.arange(nodes)[:, None, None]
        features = jnp.moveaxis(self.features[node, index], -1, 2)
        share = jnp.full(index.shape, 1 / size, self.features.dtype)
        return Batch(features, self.targets[node, index], share)

    def losses(self, params: Params, batch: Batch) -> Float[Array, "nodes runs"]:
        """g_i(y_i) over a batch."""
        share = batch.share if batch.share.ndim == 3 else batch.share[..., None]
        mean = jnp.sum(share * self.loss.samples(params, batch.features, batch.labels), axis=1)
        local = mean + self.loss.penalty(params)
        return local if self.weights is None else self.weights[:, None] * local

    def gradient(self, params: Params, batch: Batch) -> Params:
        """grad g_i(y_i) over a batch, leaves [nodes, *shape, runs]: one reverse pass, as nodes and runs are apart."""
        return jax.grad(lambda at: self.losses(at, batch).sum())(params)

    def pooled_loss(self, params: Params) -> Float[Array, " runs"]:
        """sum_i g_i(y_i) / sum_i weights_i: the loss over all the data when all y_i are equal."""
        total = self.losses(params, self.batch()).sum(axis=0)
        return total / (self.features.shape[0] if self.weights is None else self.weights.sum())


@pytree
@dataclass(frozen=True)
class Problem:
    """Allocation and training over the same nodes; either half may be left out.

    work: scalar, [nodes] or [nodes, runs], CPU-seconds of an iteration at one unit of CPU, default 1: iteration k lasts
    max_i work_i / x_i(k).
    """

    allocation: Allocation | None = None
    training: Training | None = None
    work: Any = None
