"""The optimum that all gaps are measured against, in float64 whatever the run's precision."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxcoopt.arrays import Tree, float_dtype
from jaxcoopt.errors import at_least_one, traced
from jaxcoopt.host import evaluated_now
from jaxcoopt.problem.align import aligned_allocation, aligned_training, node_count
from jaxcoopt.problem.allocation_optimum import bound_price, dual_bisection
from jaxcoopt.problem.allocation_sensitivity import cleared, warn_of_kinks
from jaxcoopt.problem.answer_cache import kept
from jaxcoopt.problem.check import check_problem, received
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.training_optimum import fit_runs
from jaxcoopt.problem.training_sensitivity import fitted
from jaxcoopt.programs import bounded_programs
from jaxcoopt.pytrees import pytree

SCALARS = ("allocation_cost", "price", "bound_price", "training_loss")  # of the optimum, scalar or [runs]


@pytree
@dataclass(frozen=True)
class Optimum:
    """The reference optimum; what the problem lacks, or what has no reference (non-convex training), is None.

    allocation: [nodes], or [nodes, runs] where the problem's constants have a runs axis. allocation_cost: sum f_i.
    price: the common marginal cost. bound_price: sum |f_i' - price|, the sum of the bounds' multipliers, by which the
    optimal cost falls for each unit of room beyond every bound. params: one node's pytree, whose leaves end in [runs]
    where l2 does. training_loss: the pooled loss sum_i g_i / sum_i weights_i. Costs, prices and losses are scalars or
    [runs].
    """

    allocation: Any = None
    allocation_cost: Any = None
    price: Any = None
    bound_price: Any = None
    params: Any = None
    training_loss: Any = None


def reference(problem: Problem, nodes: int | None = None) -> Optimum:
    """The optimum: bisection on the price for the allocation, Newton's method for convex training.

    The allocation is exact to rounding; where linear costs leave it open, it is as even as the bounds allow. Training
    is solved until a Newton step gains less than 1e-9 of the loss, and then on to rounding, whatever the features'
    units. An optimal value that is only rounding is given as 0. `nodes` is needed where all numbers of the problem are
    scalars, or arrays of length 1. Raises ValueError or TypeError for a problem that is wrong or unbounded,
    RuntimeError where training has no finite optimum (then add l2 > 0). The first call for new shapes compiles, later
    ones take milliseconds (a `Custom` cost or loss must then be of the same function). The last sixteen answers are
    kept, so that the same numbers are not fitted again.

    Works inside jit on a problem that is known there. Outside of it, jax.grad, jvp and vjp differentiate the answer by
    any number of the problem, to any order, from the optimality conditions; it is then a JAX array of the session's
    float type. A share at an active bound moves with the bound. RuntimeWarning says where derivatives are one-sided: at
    a share whose bound is just about to let go, which is held there, and where all shares are at bounds. A non-convex
    loss has no optimum to differentiate.
    """
    problem = received(problem)
    nodes = node_count(problem) if nodes is None else at_least_one("nodes", nodes)
    if nodes is None:
        raise ValueError(
            "nodes: every number of the problem is a scalar or of length 1, so say how many nodes share it"
        )
    where = nullcontext() if traced(problem) else evaluated_now()
    with bounded_programs("reference", problem, nodes), where:
        check_problem(_known(problem), nodes, run_count(problem))
        return optimum_of(problem, nodes)


def optimum_of(problem: Problem, nodes: int) -> Optimum:
    """As `reference`, of a problem that is received and checked."""
    found = {} if problem.allocation is None else kept(_allocation, problem.allocation, nodes)
    if problem.training is not None and problem.training.loss.convex:
        found |= kept(_training, problem.training)
    return Optimum(**found)


def _known(problem: Problem) -> Problem:
    """The problem's numbers without their derivatives; ValueError inside jit or vmap, where there are no numbers."""
    values = jax.tree.map(lambda leaf: lax.stop_gradient(leaf) if traced(leaf) else leaf, problem)
    if traced(values):
        raise ValueError(
            "problem: reference needs its numbers, which jit and vmap hide; call reference, and jax.grad of it, "
            "outside of jit, and give several problems at once as arrays [nodes, runs] instead of vmap"
        )
    return values


def run_count(problem: Problem) -> int:
    """How many runs the problem's own arrays are laid out for; 1 when none has a runs axis."""
    allocation, training = problem.allocation, problem.training
    per_node = allocation and (allocation.cost, allocation.lower, allocation.upper)
    sizes = [np.shape(leaf)[1] for leaf in jax.tree.leaves(per_node) if np.ndim(leaf) == 2]
    per_run = (allocation and allocation.budget, training and training.loss)
    sizes += [np.shape(leaf)[0] for leaf in jax.tree.leaves(per_run) if np.ndim(leaf) == 1]
    return max(sizes, default=1)


def _allocation(allocation: Allocation, nodes: int) -> dict[str, Any]:
    with jax.enable_x64(True):
        aligned_one = aligned_allocation(allocation)
        if traced(allocation):
            found = cleared(nodes, aligned_one)
            warn_of_kinks(*lax.stop_gradient((aligned_one, *found[:2])))
            of_bounds = bound_price(aligned_one.cost, *found[:2])
        else:
            *found, of_bounds = dual_bisection(allocation, nodes)
    x, price, cost, of_bounds = _float_type((*found, of_bounds))
    if x.shape[1] == 1:
        x, price, cost, of_bounds = x[:, 0], price[0], cost[0], of_bounds[0]
    return {"allocation": x, "price": price, "bound_price": of_bounds, "allocation_cost": cost}


def _training(training: Training) -> dict[str, Any]:
    with jax.enable_x64(True):
        training = aligned_training(training)
        fit = fitted(training) if traced(training) else jax.tree.map(np.asarray, fit_runs(training))
    params, loss = _float_type(fit)
    return {"params": params, "training_loss": loss}


def _float_type(found: Tree) -> Tree:
    """What carries a derivative in the session's float type, as JAX goes on with it; all else as it is."""
    return jax.tree.map(lambda value: value.astype(float_dtype()) if traced(value) else value, found)
