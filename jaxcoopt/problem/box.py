"""The box of each node: as given, cut to where the cost is defined, and a point inside that meets the budget."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import FAR, float_dtype, there
from jaxcoopt.problem.align import columns, within_reach
from jaxcoopt.problem.problem import Allocation


def summed(dtype: Any, terms: int) -> float:
    """How far a sum of so many numbers of a float type may be off, relative to the sum of their sizes.

    Added one after the other they are off by about sqrt(terms) / 6 units in the last place; this is 24 times that.
    """
    return 4 * terms**0.5 * float(jnp.finfo(dtype).eps)


def box(allocation: Allocation) -> tuple[Array, Array]:
    """Lower and upper bounds, `FAR` away where there are none; each scalar, [nodes, 1] or [nodes, runs]."""
    return _side(allocation.lower, -FAR), _side(allocation.upper, FAR)


def _side(bound: Any, absent: float) -> Array:
    return columns(absent if bound is None else within_reach(bound))


@partial(jax.jit, static_argnames="nodes")
def finite_box(allocation: Allocation, nodes: int, radius: Any = None, inside: Any = None) -> tuple[Array, Array]:
    """The box inside the cost's open domain, infinite sides cut `radius` from the equal share: both [nodes, runs].

    The allocation's cost must be aligned. The default radius is ten times `share_scale` times the nodes. inside: the
    step from an end of the domain, in distances of the equal share from it; by default what the float type tells apart.
    """
    share = jnp.atleast_1d(jnp.asarray(allocation.budget, float_dtype()))[None] / nodes
    radius = 10 * nodes * share_scale(allocation, nodes) if radius is None else radius
    lower, upper = box(allocation)
    start, end = domain(allocation)
    first, last = jnp.maximum(lower, start), jnp.minimum(upper, end)
    constants = (leaf.shape for leaf in jax.tree.leaves(allocation.cost))
    shape = jnp.broadcast_shapes((nodes, 1), first.shape, last.shape, share.shape, *constants)
    first, last, share = (jnp.broadcast_to(array, shape) for array in (first, last, share))
    low = jnp.where(there(first), first, jnp.minimum(share, jnp.where(there(last), last, share)) - radius)
    high = jnp.where(there(last), last, jnp.maximum(share, low) + radius)
    # The domain is open: its ends have no finite price. The step inside is small beside the equal share's distance.
    least = 4 * jnp.finfo(float_dtype()).eps
    part, edge = (jnp.maximum(1e-13, least),) * 2 if inside is None else (inside, least)
    near_low, near_high = (jnp.minimum(high - low, jnp.abs(share - side) + 1e-30) for side in (low, high))
    inside_low = jnp.maximum(part * near_low, edge * _finite_size(start))
    inside_high = jnp.maximum(part * near_high, edge * _finite_size(end))
    return jnp.where(low <= start, low + inside_low, low), jnp.where(high >= end, high - inside_high, high)


def _finite_size(edge: Array) -> Array:
    """|edge| where it is there, else 0: what a step away from it must be seen against."""
    return jnp.where(there(edge), jnp.abs(edge), 0)


def domain(allocation: Allocation) -> tuple[Array, Array]:
    """The ends of the cost's open domain, `FAR` away where it has none."""
    start, end = (jnp.asarray(within_reach(edge), float_dtype()) for edge in allocation.cost.domain())
    return start, end


def share_scale(allocation: Allocation, nodes: int) -> Float[Array, ""]:
    """The size that shares have: the largest of |b| / nodes and the finite bounds, 1 where all are 0."""
    share = jnp.abs(jnp.asarray(allocation.budget, float_dtype())).max() / nodes
    bounds = (jnp.where(there(side), jnp.abs(side), 0).max() for side in box(allocation))
    largest = jnp.maximum(share, jnp.maximum(*bounds))
    return jnp.where(largest > 0, largest, 1)


@partial(jax.jit, static_argnames="nodes")
def feasible_point(allocation: Allocation, nodes: int) -> Float[Array, "nodes runs"]:
    """The allocation that stands equally far, as a fraction of its box, at every node and meets the budget; NaN where
    there is none.
    """
    first, last = finite_box(allocation, nodes)
    least, most = first.sum(axis=0), last.sum(axis=0)
    room = jnp.where(most > least, most - least, 1)
    fraction = jnp.where(most > least, (allocation.budget - least) / room, 0)
    slack = max(1e-5, summed(jnp.float32, nodes)) * (jnp.abs(allocation.budget) + jnp.abs(least) + jnp.abs(most))
    met = (allocation.budget >= least - slack) & (allocation.budget <= most + slack)
    return jnp.where(met, jnp.clip(first + fraction[None] * (last - first), first, last), jnp.nan)
