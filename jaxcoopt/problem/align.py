"""A user's problem as arrays that broadcast: constants [nodes, runs] or scalar, one float type, whole labels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import PyTree

from jaxcoopt.arrays import FAR, Given, Numbers, Tree, float_dtype
from jaxcoopt.errors import traced
from jaxcoopt.host import as_jax, in_type, numpy_for
from jaxcoopt.problem.losses import Loss
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.samples import type_of


def node_count(problem: Problem) -> int | None:
    """How many nodes the problem's arrays have, or None when every number is a scalar or stands for any node."""
    if problem.training is not None:
        return sample_axes(problem.training)[0]
    leading = [np.shape(leaf)[0] for leaf in jax.tree.leaves(_per_node(problem)) if np.ndim(leaf)]
    return max((size for size in leading if size != 1), default=None)  # a length of 1 broadcasts


def sample_axes(training: Training) -> tuple[int, int]:
    """(nodes, samples). Raises ValueError for features that are laid out otherwise."""
    features, dealt = training.features, "deal the samples to the nodes first, see jaxcoopt.datasets.split"
    if training.loss.rows:
        shape = np.shape(features) if jax.tree_util.all_leaves([features]) else None
        if shape is None or len(shape) != 3 or 0 in shape:
            given = "a pytree of arrays" if shape is None else shape
            raise ValueError(
                f"training.features: expected [nodes, samples, features], none of them 0, got {given}; {dealt}"
            )
        return shape[:2]
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(features)]
    if not shapes or any(len(shape) < 2 or 0 in shape for shape in shapes):
        raise ValueError(f"training.features: expected [nodes, samples, ...], none of them 0, got {shapes}; {dealt}")
    if len({shape[:2] for shape in shapes}) > 1:
        raise ValueError(f"training.features: expected as many nodes and samples in each array, got shapes {shapes}")
    return shapes[0][:2]


def aligned(problem: Problem, nodes: int) -> Problem:
    """The problem with every constant a JAX array: scalar, [nodes, 1] or [nodes, runs]; the budget scalar or [runs]."""
    return as_jax(laid_out(problem, nodes))


def laid_out(problem: Problem, nodes: int) -> Problem:
    """The same in NumPy, where numbers are known."""
    allocation, training = problem.allocation, problem.training
    return Problem(
        allocation=None if allocation is None else aligned_allocation(allocation),
        training=None if training is None else aligned_training(training),
        work=_work(problem, nodes),
    )


def columns(value: Given) -> Numbers:
    """A constant, scalar, [nodes] or [nodes, runs], as a scalar or [nodes, 1 or runs] array."""
    value = in_type(value, float_dtype())
    return value[:, None] if value.ndim == 1 else value


def floats(tree: Tree) -> Tree:
    """All leaves as arrays of the float type."""
    return jax.tree.map(lambda leaf: in_type(leaf, float_dtype()), tree)


def _per_node(problem: Problem) -> PyTree:
    allocation = problem.allocation
    return problem.work, allocation and (allocation.cost, allocation.lower, allocation.upper)


def aligned_allocation(allocation: Allocation) -> Allocation:
    """The allocation half alone, its constants in NumPy where they are known."""
    return Allocation(
        cost=jax.tree.map(columns, allocation.cost),
        budget=in_type(allocation.budget, float_dtype()),
        lower=None if allocation.lower is None else columns(within_reach(allocation.lower)),
        upper=None if allocation.upper is None else columns(within_reach(allocation.upper)),
    )


def within_reach(bound: Given) -> ArrayLike:
    """A bound, `FAR` away where it is not there."""
    if traced(bound):
        return jnp.clip(jnp.asarray(bound, float_dtype()), -FAR, FAR)
    return np.clip(np.asarray(bound, np.float64), -FAR, FAR)


def aligned_training(training: Training) -> Training:
    """The training half alone, in NumPy where it is known."""
    loss, mask = training.loss, None if training.mask is None else in_type(training.mask, bool)
    weights = None if training.weights is None else in_type(training.weights, float_dtype())
    features = jax.tree.map(
        lambda leaf: _sampled(leaf, float_dtype() if loss.rows else type_of(leaf), mask), training.features
    )
    targets = jax.tree.map(lambda leaf: _sampled(leaf, _target_type(loss, leaf), mask), training.targets)
    if loss.targets == "binary":
        xp = numpy_for(targets, mask)
        targets = xp.where(targets > 0, 1, -1).astype(float_dtype())
        targets = targets if mask is None else xp.where(mask, targets, 0)
    return replace(training, loss=floats(loss), features=features, targets=targets, mask=mask, weights=weights)


def _target_type(loss: Loss, targets: PyTree) -> DTypeLike:
    """Classes are whole numbers, and so is what a loss of any targets is given as such."""
    if loss.targets == "integer":
        return np.int32
    return type_of(targets) if loss.targets == "any" else float_dtype()


def _sampled(values: Numbers, dtype: DTypeLike, mask: Numbers | None) -> Numbers:
    """[nodes, samples, ...] in one type, 0 where a sample is padding: however large that is, it counts nothing."""
    if mask is None:
        return in_type(values, dtype)
    xp = numpy_for(values, mask)
    real = mask.reshape(*mask.shape, *(1,) * (np.ndim(values) - 2))
    return in_type(xp.where(real, values, xp.zeros((), values.dtype)), dtype)  # at once: on the way whole ones are cut


def _work(problem: Problem, nodes: int) -> Numbers:
    work = columns(1.0 if problem.work is None else problem.work)
    return numpy_for(work).broadcast_to(work, (nodes, work.shape[1] if work.ndim else 1))
