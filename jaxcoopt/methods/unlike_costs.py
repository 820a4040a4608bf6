"""Curvatures of many decades over links that are seldom up, told before dual flow runs on them."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.host import as_jax
from jaxcoopt.methods.dual_flow import DualFlow
from jaxcoopt.methods.method import AllocationMethod
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import finite_box
from jaxcoopt.problem.costs import curvature
from jaxcoopt.problem.problem import Allocation

DECADES = 6  # of curvatures: up to 4 no run failed of those that benchmarks/NOTES.md tells of
SELDOM = 0.5  # of all links: so many are up at once on the average


def check_unlike(
    method: AllocationMethod | None, allocation: Allocation | None, network: Network, stacklevel: int = 4
) -> None:
    """RuntimeWarning where curvatures differ by `DECADES` or more and at most half of the links are up at once.

    Curvatures are those in the middle of each box that has room, in float64.
    """
    if not isinstance(method, DualFlow) or allocation is None or network.graphs == 1:
        return
    up = float((np.asarray(network.edges.weights) > 0).mean())
    if up > SELDOM:
        return
    with jax.enable_x64(True):
        exact = as_jax(aligned_allocation(allocation))
        low, high = finite_box(exact, network.nodes)
        bend = np.asarray(curvature(exact.cost, jnp.asarray(0.5 * (low + high))))
    seen = (bend > 0) & np.asarray(high > low)
    size = np.log10(np.where(seen, bend, 1))
    most, least = np.where(seen, size, -np.inf).max(axis=0), np.where(seen, size, np.inf).min(axis=0)
    decades = float((most - least).max())  # -inf where nothing is seen
    if decades >= DECADES:
        warnings.warn(
            f"allocation.cost: its curvatures differ by {decades:.0f} decades, and {up:.0%} of the network's links are "
            f"up at once; some of such runs of {type(method).__name__} are slow or diverge: look at the gap, not only "
            "at the status. DualFlow(relaxation=0.6) fails less often",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
