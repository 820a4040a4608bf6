"""The problem: minimise sum_i f_i(x_i) + g_i(y_i) with sum_i x_i = b, lo_i <= x_i <= hi_i and all y_i equal."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import float_dtype
from jaxcoopt.draws import Draw
from jaxcoopt.problem.batch import Batch, sum_over_samples
from jaxcoopt.problem.costs import Cost
from jaxcoopt.problem.losses import Loss
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.moments import Moments
from jaxcoopt.problem.samples import Sample, flattened, one_sample, shape_of
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

PER_NODE = ("nodes", "runs")


@pytree
@dataclass(frozen=True)
class Allocation:
    """Share `budget` units of CPU among the nodes at least total cost.

    cost: a `jaxcoopt.costs` family; budget: scalar or [runs]; lower, upper: scalar, [nodes] or [nodes, runs], in the
    budget's unit, None where there is no bound.
    """

    cost: Cost = setting(part=Cost, axes=PER_NODE, example="one of jaxcoopt.costs, such as Quadratic", doc="f_i.")
    budget: Scalar = setting(doc="CPU units in all.")
    lower: Scalar = setting(None, axes=PER_NODE, doc="The least share of a node.")
    upper: Scalar = setting(None, axes=PER_NODE, doc="The largest share of a node.")


@pytree
@dataclass(frozen=True)
class Training:
    """Fit one model to data that stays at the nodes: g_i = weights_i (mean loss over node i's samples + penalty).

    features: [nodes, samples, features]; for a loss that takes samples of any kind, such as `Custom`, an array [nodes,
    samples, *shape] or a dict of such arrays, in which whole numbers stay whole. targets: [nodes, samples], there
    [nodes, samples, *shape]; mask: [nodes, samples], False for padding; weights: [nodes], default 1. With weights
    proportional to the sample counts, sum_i g_i is the pooled loss. moments: filled in by `with_moments`.
    """

    loss: Loss = setting(part=Loss, example="one of jaxcoopt.losses, such as Logistic()", doc="What is minimised.")
    features: Any = setting(axes=("nodes", "samples", "features"))
    targets: Any = setting(axes=("nodes", "samples"))
    mask: Any = setting(None, axes=("nodes", "samples"))
    weights: Any = setting(None, axes=("nodes",), doc="Of a node's loss.")
    moments: Moments | None = None

    def batch(self) -> Batch:
        """All samples."""
        nodes, samples = shape_of(self.features)
        if self.mask is None:
            share = jnp.full((nodes, samples), 1 / samples, self._dtype)
        else:
            count = self.mask.sum(axis=1, keepdims=True)
            share = self.mask.astype(self._dtype) / count.astype(self._dtype)
        return Batch(self.features, self.targets, share)

    @property
    def _dtype(self) -> Any:
        """The float type of the samples, or the session's where all of them are whole numbers."""
        kinds = (leaf.dtype for leaf in jax.tree.leaves(self.features))
        return next((kind for kind in kinds if jnp.issubdtype(kind, jnp.floating)), float_dtype())

    @property
    def one_sample(self) -> Sample:
        """What `Loss.init` is told of a sample."""
        return one_sample(self.features)

    def sample(self, draw: Draw, size: int) -> Batch:
        """`size` samples drawn at each node with replacement, independently in each run."""
        nodes, samples = shape_of(self.features)
        uniform = draw.uniform(nodes, size).astype(self._dtype)
        if self.mask is None:
            index = (uniform * samples).astype(jnp.int32)
        else:  # the k-th valid sample of a node, whatever the mask's shape
            valid = jnp.argsort(~self.mask, axis=1, stable=True)
            count = self.mask.sum(axis=1, dtype=jnp.int32)[:, None, None]
            rank = jnp.minimum((uniform * count.astype(uniform.dtype)).astype(jnp.int32), count - 1)
            index = jnp.take_along_axis(valid[:, :, None], rank, axis=1)
        node = jnp.arange(nodes)[:, None, None]
        drawn = jax.tree.map(lambda leaf: jnp.moveaxis(leaf[node, index], 2, -1), (self.features, self.targets))
        return Batch(*drawn, share=jnp.full(index.shape, 1 / size, self._dtype))

    def with_moments(self) -> "Training":
        """The same with the sums over the samples that the full gradient needs, where those are less work."""
        return replace(self, moments=self.loss.moments(self.batch()))

    def losses(self, params: Params, batch: Batch) -> Float[Array, "nodes runs"]:
        """g_i(y_i) over a batch."""
        local = self._mean(params, batch) + self.loss.penalty(params)
        return local if self.weights is None else self.weights[:, None] * local

    def gradient(self, params: Params, batch: Batch | None = None) -> Params:
        """grad g_i(y_i) over a batch (default: all samples), leaves [nodes, *shape, runs].

        One reverse pass over all nodes and runs at once, as each has its own parameters; or no pass over the samples,
        with moments.
        """
        if batch is None and self.moments is not None:
            slope = self.loss.gradient_from(params, self.moments)
        else:
            batch = self.batch() if batch is None else batch
            slope = sum_over_samples(
                lambda part: jax.grad(lambda at: self._sum(at, part).sum())(params), batch, self._sample_bytes(params)
            )
        slope = jax.tree.map(jnp.add, slope, self.loss.penalty_gradient(params))
        if self.weights is None:
            return slope
        return jax.tree.map(lambda leaf: self.weights.reshape(-1, *(1,) * (leaf.ndim - 1)) * leaf, slope)

    def pooled_loss(self, params: Params) -> Float[Array, " runs"]:
        """sum_i g_i(y) / sum_i weights_i at one y, leaves [1, *shape, runs]: the loss over all the data."""
        batch = self.batch()
        nodes = batch.share.shape[0]
        weights = jnp.ones(nodes, batch.share.dtype) if self.weights is None else self.weights
        pooled = flattened(replace(batch, share=batch.share * (weights / weights.sum())[:, None]))
        return (self._mean(params, pooled) + self.loss.penalty(params))[0]

    def _mean(self, params: Params, batch: Batch) -> Float[Array, "nodes runs"]:
        """The mean of the batch's losses at each node."""
        return sum_over_samples(lambda part: self._sum(params, part), batch, self._sample_bytes(params))

    def _sum(self, params: Params, batch: Batch) -> Float[Array, "nodes runs"]:
        share = batch.share if batch.share.ndim == 3 else batch.share[..., None]
        return jnp.sum(share * self.loss.of_batch(params, batch), axis=1)

    def _sample_bytes(self, params: Params) -> int:
        """What the scores of one sample of every node take, in all runs."""
        leaf = jax.tree.leaves(params)[0]
        return leaf.shape[0] * leaf.shape[-1] * self.loss.outputs * leaf.dtype.itemsize


Half = Allocation | Training


@pytree
@dataclass(frozen=True)
class Problem:
    """Allocation and training over the same nodes; either half may be left out.

    work: scalar, [nodes] or [nodes, runs], CPU-seconds of an iteration at one unit of CPU, default 1: iteration k lasts
    max_i work_i / x_i(k).
    """

    allocation: Allocation | None = None
    training: Training | None = None
    work: Any = setting(None, above=0, axes=PER_NODE, doc="CPU-seconds of an iteration at one unit of CPU.")
