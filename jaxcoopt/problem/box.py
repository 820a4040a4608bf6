"""The box of each node: as given, cut to where the cost is defined, and a point inside that meets the budget."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float

from jaxcoopt.arrays import FAR, float_dtype, there
from jaxcoopt.host import Numbers, in_type, numpy_for
from jaxcoopt.problem.align import columns, within_reach
from jaxcoopt.problem.problem import Allocation


def summed(dtype: DTypeLike, terms: int) -> float:
    """How far a sum of so many numbers of a float type may be off, relative to the sum of their sizes.

    Added one after the other they are off by about sqrt(terms) / 6 units in the last place; this is 24 times that.
    """
    return 4 * terms**0.5 * float(jnp.finfo(dtype).eps)


def box(allocation: Allocation) -> tuple[Numbers, Numbers]:
    """Lower and upper bounds, `FAR` away where there are none; each scalar, [nodes, 1] or [nodes, runs]."""
    return _side(allocation.lower, -FAR), _side(allocation.upper, FAR)


def _side(bound: ArrayLike | None, absent: float) -> Numbers:
    return columns(absent if bound is None else within_reach(bound))


@np.errstate(all="ignore")
def finite_box(
    allocation: Allocation, nodes: int, radius: ArrayLike | None = None, inside: ArrayLike | None = None
) -> tuple[Numbers, Numbers]:
    """The box inside the cost's open domain, infinite sides cut `radius` from the equal share: both [nodes, runs].

    The allocation's cost must be aligned. The default radius is ten times `share_scale` times the nodes. inside: the
    step from an end of the domain, in distances of the equal share from it; by default what the float type tells apart.
    """
    xp = numpy_for(allocation, radius, inside)
    share = xp.atleast_1d(in_type(allocation.budget, float_dtype()))[None] / nodes
    radius = 10 * nodes * share_scale(allocation, nodes) if radius is None else radius
    lower, upper = box(allocation)
    start, end = domain(allocation)
    first, last = xp.maximum(lower, start), xp.minimum(upper, end)
    constants = (leaf.shape for leaf in jax.tree.leaves(allocation.cost))
    shape = np.broadcast_shapes((nodes, 1), first.shape, last.shape, share.shape, *constants)
    first, last, share = (xp.broadcast_to(array, shape) for array in (first, last, share))
    low = xp.where(there(first), first, xp.minimum(share, xp.where(there(last), last, share)) - radius)
    high = xp.where(there(last), last, xp.maximum(share, low) + radius)
    # The domain is open: its ends have no finite price. The step inside is small beside the equal share's distance.
    least = 4 * jnp.finfo(float_dtype()).eps
    part, edge = (max(1e-13, float(least)),) * 2 if inside is None else (inside, least)
    near_low, near_high = (xp.minimum(high - low, xp.abs(share - side) + 1e-30) for side in (low, high))
    inside_low = xp.maximum(part * near_low, edge * _finite_size(start))
    inside_high = xp.maximum(part * near_high, edge * _finite_size(end))
    return xp.where(low <= start, low + inside_low, low), xp.where(high >= end, high - inside_high, high)


def hard_box(allocation: Allocation, like: Float[jax.Array, "nodes runs"]) -> tuple[jax.Array, jax.Array]:
    """The box inside the cost's open domain, both [nodes, runs], `FAR` away where neither ends."""
    sides = zip(box(allocation), domain(allocation), finite_box(allocation, like.shape[0]), (-FAR, FAR), strict=True)
    return tuple(  # pyright: ignore[reportReturnType]
        jnp.broadcast_to(jnp.where(there(given) | there(edge), inside, absent), like.shape)
        for given, edge, inside, absent in sides
    )


def _finite_size(edge: Numbers) -> Numbers:
    """|edge| where it is there, else 0: what a step away from it must be seen against."""
    xp = numpy_for(edge)
    return xp.where(there(edge), xp.abs(edge), 0)


def domain(allocation: Allocation) -> tuple[Numbers, Numbers]:
    """The ends of the cost's open domain, `FAR` away where it has none."""
    start, end = (in_type(within_reach(edge), float_dtype()) for edge in allocation.cost.domain())
    return start, end


def share_scale(allocation: Allocation, nodes: int) -> Float[Numbers, ""]:
    """The size that shares have: the largest of |b| / nodes and the finite bounds, 1 where all are 0."""
    xp = numpy_for(allocation)
    share = xp.abs(in_type(allocation.budget, float_dtype())).max() / nodes
    bounds = (_finite_size(side).max() for side in box(allocation))
    largest = xp.maximum(share, xp.maximum(*bounds))
    return xp.where(largest > 0, largest, 1)


@np.errstate(all="ignore")
def feasible_point(allocation: Allocation, nodes: int) -> Float[Numbers, "nodes runs"]:
    """The allocation that stands equally far, as a fraction of its box, at every node and meets the budget; NaN where
    there is none.
    """
    first, last = finite_box(allocation, nodes)
    least, most = first.sum(axis=0), last.sum(axis=0)
    xp, budget = numpy_for(allocation), allocation.budget
    room = xp.where(most > least, most - least, 1)
    fraction = xp.where(most > least, (budget - least) / room, 0)
    slack = max(1e-5, summed(jnp.float32, nodes)) * (xp.abs(budget) + xp.abs(least) + xp.abs(most))
    met = (budget >= least - slack) & (budget <= most + slack)
    return xp.where(met, xp.clip(first + fraction[None] * (last - first), first, last), np.nan)
