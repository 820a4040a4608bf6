"""A user's problem as arrays that broadcast: constants [nodes, runs] or scalar, one float type, whole labels."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.arrays import FAR, float_dtype
from jaxcoopt.errors import traced
from jaxcoopt.host import as_jax, in_type, numpy_for
from jaxcoopt.problem.problem import Allocation, Problem, Training


def node_count(problem: Problem) -> int | None:
    """How many nodes the problem's arrays have, or None when every number is a scalar or stands for any node."""
    if problem.training is not None:
        return sample_axes(problem.training)[0]
    leading = [np.shape(leaf)[0] for leaf in jax.tree.leaves(_per_node(problem)) if np.ndim(leaf)]
    return max((size for size in leading if size != 1), default=None)  # a length of 1 broadcasts


def sample_axes(training: Training) -> tuple[int, ...]:
    """(nodes, samples, features). Raises ValueError for features that are laid out otherwise."""
    shape = np.shape(training.features)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(
            f"training.features: expected [nodes, samples, features], none of them 0, got {shape}; deal the samples to "
            "the nodes first, see jaxcoopt.datasets.split"
        )
    return shape


def aligned(problem: Problem, nodes: int) -> Problem:
    """The problem with every constant a JAX array: scalar, [nodes, 1] or [nodes, runs]; the budget scalar or [runs]."""
    allocation, training = problem.allocation, problem.training
    found = Problem(
        allocation=None if allocation is None else aligned_allocation(allocation),
        training=None if training is None else aligned_training(training),
        work=_work(problem, nodes),
    )
    return as_jax(found)


def is_whole(targets: Any) -> bool:
    """Whether a custom loss is given the targets as whole numbers: where their type says so."""
    return not jnp.issubdtype(jnp.result_type(targets), jnp.floating)


def columns(value: Any) -> Any:
    """A constant, scalar, [nodes] or [nodes, runs], as a scalar or [nodes, 1 or runs] array."""
    value = in_type(value, float_dtype())
    return value[:, None] if value.ndim == 1 else value


def floats(tree: Any) -> Any:
    """All leaves as arrays of the float type."""
    return jax.tree.map(lambda leaf: in_type(leaf, float_dtype()), tree)


def _per_node(problem: Problem) -> Any:
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


def within_reach(bound: Any) -> Any:
    """A bound, `FAR` away where it is not there."""
    if traced(bound):
        return jnp.clip(jnp.asarray(bound, float_dtype()), -FAR, FAR)
    return np.clip(np.asarray(bound, np.float64), -FAR, FAR)


def aligned_training(training: Training) -> Training:
    """The training half alone, in NumPy where it is known."""
    targets, kind = training.targets, training.loss.targets
    mask = None if training.mask is None else in_type(training.mask, bool)
    if mask is not None:  # padding counts nothing, however large: 0 times infinity or NaN would
        targets = numpy_for(targets, mask).where(mask, targets, 0)
    whole = kind == "integer" or (kind == "any" and is_whole(targets))
    targets = in_type(targets, np.int32 if whole else float_dtype())  # at once: on the way whole numbers are cut
    features = in_type(training.features, float_dtype())
    xp = numpy_for(features, targets, mask)
    if kind == "binary":
        targets = xp.where(targets > 0, 1, -1).astype(float_dtype())
    if mask is not None:
        features, targets = xp.where(mask[..., None], features, 0), xp.where(mask, targets, 0)
    return replace(
        training,
        loss=floats(training.loss),
        features=features,
        targets=targets,
        mask=mask,
        weights=None if training.weights is None else in_type(training.weights, float_dtype()),
    )


def _work(problem: Problem, nodes: int) -> Any:
    work = columns(1.0 if problem.work is None else problem.work)
    return numpy_for(work).broadcast_to(work, (nodes, work.shape[1] if work.ndim else 1))
