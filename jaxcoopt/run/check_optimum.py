"""Whether an optimum that the user gave is the problem's own: gaps to another problem's mean nothing."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcoopt.arrays import FAR, float_dtype
from jaxcoopt.compensated import compensated_sum
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.errors import traced
from jaxcoopt.host import as_jax
from jaxcoopt.problem.align import aligned_allocation, aligned_training, columns
from jaxcoopt.problem.box import box, domain, share_scale
from jaxcoopt.problem.costs import marginal
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.reference import Optimum

OFF = 1e-3  # relatively: what is further off than this is no rounding of any float type
SMALL, LITTLE = 1e-6, 1e-3  # shares that are all smaller, in the size they have, and parameters may be rounding


def check_optimum(optimum: Optimum, problem: Problem, nodes: int) -> None:
    """Raise ValueError where shares or parameters of the optimum are not the problem's own.

    Shares must meet budget, bounds and cost, and no two nodes save by an exchange of a thousandth of the largest share;
    parameters must meet the loss, and its slope there be a thousandth at most of what it is as far away as they are
    large. An optimum of costs alone is taken as it is.
    """
    if traced(problem, optimum):
        return
    for wrong in (*_of_shares(optimum, problem, nodes), *_of_params(optimum, problem)):
        raise ValueError(
            f"optimum.{wrong}: it is another problem's; pass what jaxcoopt.reference returns for this one, or leave it "
            "out"
        )


def _of_shares(optimum: Optimum, problem: Problem, nodes: int) -> Iterator[str]:
    if problem.allocation is None or optimum.allocation is None:
        return
    with jax.enable_x64(True):
        x = columns(optimum.allocation)
        allocation = aligned_allocation(problem.allocation)
        least = SMALL * np.asarray(share_scale(allocation, nodes))
        found = _measured(*as_jax((allocation, x, least)))
        total, outside, cost, costs, saved, spent = map(np.asarray, found)
        size, budget = np.abs(x).sum(axis=0), np.asarray(allocation.budget)
    yield from _apart("allocation: it adds up to {:.6g} where the budget is {:.6g}", total, budget, size)
    yield from _apart("allocation: it stands {:.3g} outside of the bounds", outside, 0.0, np.abs(x).max(axis=0))
    if optimum.allocation_cost is not None:
        yield from _apart(
            "allocation_cost: {1:.6g}, where the shares cost {0:.6g}", cost, optimum.allocation_cost, costs
        )
    yield from _apart(
        "allocation: the marginal cost is {:.6g} at a node that may have less, {:.6g} at one that may have more",
        saved,
        np.minimum(spent, saved),
        0.0,
    )


@compiled_soon
def _measured(allocation: Allocation, x: Float[Array, "nodes runs"], least: Array) -> tuple[Array, ...]:
    """[runs] each: the sum, how far outside of the box, the cost and its size; the largest marginal cost of nodes that
    may have less, and the least of those that may have more, by `OFF` of the largest share, which is at least `least`.
    """
    lower, upper = box(allocation)
    start, end = domain(allocation)
    values = allocation.cost.value(x)
    near = allocation.cost.value((1 - OFF) * x)  # where costs are not 0, if they are rounding at the optimum
    by = OFF * jnp.maximum(jnp.abs(x).max(axis=0, keepdims=True), least)
    less, more = (x - by > lower) & (x - by > start), (x + by < upper) & (x + by < end)
    saved = jnp.where(less, marginal(allocation.cost, jnp.where(less, x - by, x)), -FAR)
    spent = jnp.where(more, marginal(allocation.cost, jnp.where(more, x + by, x)), FAR)
    return (
        compensated_sum(x),
        jnp.maximum(jnp.maximum(lower - x, x - upper).max(axis=0), 0),
        compensated_sum(values),
        (jnp.abs(values) + jnp.abs(near)).sum(axis=0),
        saved.max(axis=0),
        spent.min(axis=0),
    )


def _of_params(optimum: Optimum, problem: Problem) -> Iterator[str]:
    training = problem.training
    if training is None or not training.loss.convex or optimum.params is None:
        return
    like = params_like(training.loss, training.one_sample)
    if jax.tree.structure(optimum.params) != jax.tree.structure(like):
        yield f"params: {jax.tree.structure(optimum.params)} where {jax.tree.structure(like)} is expected"
        return
    for (path, leaf), shape in zip(
        jax.tree_util.tree_leaves_with_path(optimum.params), jax.tree.leaves(like), strict=True
    ):
        found = np.shape(leaf)
        if found[: shape.ndim] != shape.shape or len(found) > shape.ndim + 1:
            yield f"params{jax.tree_util.keystr(path)}: shape {found} where {shape.shape} is expected"
            return
    ours = as_jax(aligned_training(training))
    params = jax.tree.map(
        lambda leaf, of: jnp.asarray(leaf, float_dtype()).reshape(1, *of.shape, -1), optimum.params, like
    )
    loss, idle, slope, aside = map(np.asarray, _pooled(ours, params))
    if optimum.training_loss is not None:
        yield from _apart(
            "training_loss: {1:.6g}, where the parameters' is {0:.6g}", loss, optimum.training_loss, abs(idle)
        )
    yield from _apart("params: the loss has a slope of {:.3g} there", slope, 0.0 * slope, aside)


@compiled_soon
def _pooled(training: Training, params: Params) -> tuple[Array, ...]:
    """[runs] each: the loss there and where all parameters are 0; its slope there, and as far off as they are large."""

    def size(tree: Params) -> Array:
        return jnp.sqrt(sum(jnp.sum(leaf**2, axis=tuple(range(leaf.ndim - 1))) for leaf in jax.tree.leaves(tree)))

    def away(leaf: Array) -> Array:
        count = leaf[..., 0].size
        way = jnp.sin(jnp.arange(1, count + 1, dtype=leaf.dtype)).reshape(*leaf.shape[:-1], 1)
        return leaf + way * jnp.maximum(jnp.sqrt(jnp.mean(leaf**2)), LITTLE)

    slope = jax.grad(lambda at: training.pooled_loss(at).sum())
    return (
        training.pooled_loss(params),
        training.pooled_loss(jax.tree.map(jnp.zeros_like, params)),
        size(slope(params)),
        size(slope(jax.tree.map(away, params))),
    )


def _apart(text: str, found: ArrayLike, expected: ArrayLike, size: ArrayLike) -> Iterator[str]:
    """The text with both numbers, of the first run in which they are further apart than OFF of them or of `size`."""
    found, expected, size = np.broadcast_arrays(*map(np.atleast_1d, (found, expected, size)))
    scale = np.maximum(np.maximum(np.abs(found), np.abs(expected)), size)
    wrong = np.flatnonzero(~(np.abs(found - expected) <= OFF * scale))
    if len(wrong):
        run = f" (run {wrong[0]})" if len(found) > 1 else ""
        yield text.format(found[wrong[0]], expected[wrong[0]]) + run
