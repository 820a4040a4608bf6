"""Costs without curvature, told before a method that weighs by curvature runs on them."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.host import as_jax
from jaxcoopt.methods.curvature_estimate import flat
from jaxcoopt.methods.method import AllocationMethod
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import finite_box
from jaxcoopt.problem.costs import Cost, Quadratic, Sum, curvature, marginal
from jaxcoopt.problem.problem import Allocation

POINTS = 65  # of each node's box, at which its cost is looked at


def check_flat(method: AllocationMethod | None, allocation: Allocation | None, nodes: int, stacklevel: int = 4) -> None:
    """ValueError or RuntimeWarning, naming the cost, where the method divides by curvatures and some are 0.

    Looked at in float64, at `POINTS` points inside of each box: shorter stretches are not seen.
    """
    if method is None or allocation is None or curved(allocation.cost):
        return
    bounds = getattr(method, "bounds", None)
    needs = "refused" if getattr(bounds, "needs_curvature", False) else method.flat_costs
    if needs == "fine":
        return
    where = flat_stretches(allocation, nodes)
    if not where.any():
        return
    node, run = (int(i) for i in np.argwhere(where.any(axis=0))[0])
    everywhere = bool(where.all(axis=0).any())
    cost, name = type(allocation.cost).__name__, type(method).__name__
    found = (
        f"allocation.cost: {cost} is flat, its second derivative is 0 {'all over' if everywhere else 'in part of'} the "
        f"box of {int(where.any(axis=(0, 2)).sum())} nodes, the first of them node {node} (run {run})"
    )
    if needs == "refused" and everywhere:
        raise ValueError(f"{found}; {name} divides by it: use methods.DualFlow, or add a small Quadratic to the cost")
    if needs == "refused":
        advice = f"{name} divides by it and may stall or leave the optimum there; use methods.DualFlow instead"
    else:
        advice = f"{name} goes to the optimum there, too, but no rate is known; look at the gap, not only at the status"
    warnings.warn(f"{found}; {advice}", RuntimeWarning, stacklevel=stacklevel)


def curved(cost: Cost) -> bool:
    """Whether its second derivative is known to be above 0 everywhere."""
    return isinstance(cost, Quadratic) or (isinstance(cost, Sum) and any(map(curved, cost.terms)))


def flat_stretches(allocation: Allocation, nodes: int) -> Any:
    """[points, nodes, runs]: where the curvature is lost in the rounding of the marginal cost."""
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        low, high = finite_box(exact, nodes)
        inside = np.linspace(0, 1, POINTS + 2)[1:-1].reshape(-1, 1, 1)
        points = low[None] + (high - low)[None] * inside
        found = _look_at(*as_jax((exact.cost, points, high - low)))
        return np.asarray(found) & (high > low)


@jax.jit
def _look_at(cost: Cost, points: jax.Array, width: jax.Array) -> jax.Array:
    return jax.vmap(lambda x: flat(jnp.abs(curvature(cost, x)), width, marginal(cost, x)))(points)
