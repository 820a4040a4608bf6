"""The statistics of a run, a number for each run at each record."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcoopt.compensated import compensated_sum
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.problem.box import box, domain
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.reference import Optimum

UNITS = {
    "allocation_cost": "cost",
    "allocation_gap": "relative to the optimum",
    "budget_residual": "relative to max(|b|, sum |x|)",
    "box_violation": "CPU units",
    "training_loss": "loss",
    "training_gap": "relative to the optimum",
    "consensus_error": "root mean square over nodes",
    "bits": "bits sent by the mean node",
    "seconds": "simulated seconds",
}
"""The statistics by name, in the order of tables."""


OF_SAMPLES = ("training_loss", "training_gap")  # take a pass over all samples


def observe(problem: Problem, estimate: Estimate, optimum: Optimum) -> dict[str, Float[Array, " runs"]]:
    """Costs, gaps to the optimum (where one is known), feasibility and consensus of where the nodes stand."""
    record: dict[str, Array] = {}
    if problem.allocation is not None and estimate.allocation is not None:
        record |= _allocation(problem.allocation, estimate.allocation, optimum)
    if problem.training is not None and estimate.params is not None:
        record |= _training(problem.training, estimate.params, optimum)
    return record


def without_samples(problem: Problem, estimate: Estimate, optimum: Optimum) -> dict[str, Float[Array, " runs"]]:
    """What of it takes no pass over the samples."""
    record: dict[str, Array] = {}
    if problem.allocation is not None and estimate.allocation is not None:
        record |= _allocation(problem.allocation, estimate.allocation, optimum)
    if problem.training is not None and estimate.params is not None:
        record["consensus_error"] = _consensus_error(estimate.params, mean_params(estimate.params))
    return record


def relative_gap(value: Array, best: ArrayLike) -> Array:
    """(value - best) / |best|, or the plain difference where best is 0."""
    best = jnp.asarray(best, value.dtype)
    return (value - best) / jnp.where(best == 0, 1, jnp.abs(best))


def mean_params(params: Params) -> Params:
    """The mean over the nodes, leaves [1, *shape, runs]: the model that the network agrees on."""

    def mean(leaf: Array) -> Array:
        # As a matrix product, which XLA does not repeat for every sample that reads it.
        share = jnp.full((1, leaf.shape[0]), 1 / leaf.shape[0], leaf.dtype)
        product = jnp.matmul(share, leaf.reshape(leaf.shape[0], -1), precision="highest")
        return product.reshape(1, *leaf.shape[1:])

    return jax.tree.map(mean, params)


def _allocation(allocation: Allocation, x: Float[Array, "nodes runs"], optimum: Optimum) -> dict[str, Array]:
    start, end = domain(allocation)
    defined = jnp.all((x > start) & (x < end), axis=0)  # outside, a cost may be finite and yet mean nothing
    cost = jnp.where(defined, compensated_sum(allocation.cost.value(x)), jnp.nan)
    lower, upper = box(allocation)
    size = jnp.maximum(jnp.abs(allocation.budget), jnp.abs(x).sum(axis=0))
    record = {
        "allocation_cost": cost,
        "budget_residual": jnp.abs(compensated_sum(x) - allocation.budget) / jnp.where(size > 0, size, 1),
        "box_violation": jnp.maximum(jnp.maximum(lower - x, x - upper).max(axis=0), 0),
    }
    if optimum.allocation_cost is not None:
        record["allocation_gap"] = relative_gap(cost, optimum.allocation_cost)
    return record


def _training(training: Training, params: Params, optimum: Optimum) -> dict[str, Array]:
    mean = mean_params(params)
    loss = training.pooled_loss(mean)
    record = {"training_loss": loss, "consensus_error": _consensus_error(params, mean)}
    if optimum.training_loss is not None:
        record["training_gap"] = relative_gap(loss, optimum.training_loss)
    return record


def _consensus_error(params: Params, mean: Params) -> Float[Array, " runs"]:
    squares = [
        jnp.sum((leaf - middle) ** 2, axis=tuple(range(1, leaf.ndim - 1))).mean(axis=0)
        for leaf, middle in zip(jax.tree.leaves(params), jax.tree.leaves(mean), strict=True)
    ]
    square = sum(squares[1:], start=squares[0])
    apart = square > 0  # where not, the root has no derivative
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)
