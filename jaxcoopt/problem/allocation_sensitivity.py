"""How the optimal allocation moves with the problem, from its optimality conditions, in either mode and any order."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.arrays import there
from jaxcoopt.problem.allocation_optimum import dual_bisection
from jaxcoopt.problem.box import box, domain
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation

NEAR = 1e-9  # relative: a share this near to its bound, or a marginal cost to the price, is as good as there
AT_A_KINK = (
    "there a share is at its bound with a marginal cost equal to the price, and the derivatives hold it there: they "
    "are those of changes that press it against the bound, not of changes that free it"
)
ALL_HELD = (
    "every node of the run is at a bound, so the price is not unique, and the derivatives are those of a budget that "
    "moves the named shares away from their bounds: growing from a lower one, shrinking from an upper one"
)

Answer = tuple[Float[Array, "nodes runs"], Float[Array, " runs"], Float[Array, " runs"]]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def cleared(nodes: int, allocation: Allocation) -> Answer:
    """(x*, price, cost) of an aligned allocation: f_i'(x_i) = p at free nodes, x_i = a bound at others, sum x = b."""
    x, price, cost = (jnp.asarray(value) for value in dual_bisection(allocation, nodes)[:3])
    return x, price, cost


@cleared.defjvp
def _cleared_jvp(nodes: int, primals: tuple[Allocation], tangents: tuple[Allocation]) -> tuple[Answer, Answer]:
    (allocation,), (moved,) = primals, tangents
    x, price, _ = answer = cleared(nodes, allocation)
    low, high, _ = standing(*lax.stop_gradient((allocation, x, price)))
    return answer, _moves(allocation, moved, x, low, high)


@jax.jit
def _moves(allocation: Allocation, moved: Allocation, x: Array, low: Array, high: Array) -> Answer:
    """(dx, dp, dcost). Free: f_i'' dx_i + d(f_i') = dp; held: dx_i = d(bound); sum dx = db.

    A free node with a linear cost sets the price and takes what the others leave.
    """
    bend = curvature(allocation.cost, x)
    flat = ~(low | high) & (bend == 0)
    curved = ~(low | high | flat)
    slope = jax.jvp(lambda at: marginal(at.cost, x), (allocation,), (moved,))[1]
    first, last = jax.jvp(_edges, (allocation,), (moved,))[1]
    held = jnp.where(low, first, 0) + jnp.where(high, last, 0)
    give = jnp.where(curved, 1 / jnp.where(curved, bend, 1), 0)
    part = flat.astype(x.dtype) / jnp.maximum(flat.sum(axis=0, keepdims=True), 1).astype(x.dtype)
    dp = moved.budget - held.sum(axis=0) + (give * slope).sum(axis=0)
    some = curved.any(axis=0)
    dp = jnp.where(some, dp / jnp.where(some, give.sum(axis=0), 1), 0)
    dp = jnp.where(flat.any(axis=0), (part * slope).sum(axis=0), dp)
    dx = held + give * (dp[None] - slope)
    dx = dx + part * (moved.budget - dx.sum(axis=0))[None]
    dcost = jax.jvp(lambda at, x: at.cost.value(x).sum(axis=0), (allocation, x), (moved, dx))[1]
    return dx, dp, dcost


@jax.jit
def _edges(allocation: Allocation) -> tuple[Array, Array]:
    """Where a share must stop: at its bound, or at the end of the cost's domain where that comes first."""
    lower, upper = box(allocation)
    start, end = domain(allocation)
    return jnp.where(lower >= start, lower, start), jnp.where(upper <= end, upper, end)


def standing(allocation: Allocation, x: Array, price: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which nodes are held at their lower and at their upper end, and which have a kink there: all [nodes, runs].

    Held means at an end, kink or not. Where that is every node of a run, the price is that of the node which leaves its
    end first, and that node is free.
    """
    share, p, (slope, bend) = (np.asarray(x), np.asarray(price), jax.tree.map(np.asarray, _slopes(allocation, x)))
    at_low, at_high = (_near(share, np.asarray(edge)) for edge in _edges(allocation))
    force = slope - p
    kink = np.abs(force) <= NEAR * (np.abs(slope) + np.abs(p) + bend * np.abs(share))
    low, high = at_low & ~(at_high & (force < 0)), at_high & ~(at_low & (force >= 0))
    kink &= low | high
    leaves = kink & (low | high).all(axis=0) & ~(at_low & at_high)
    return low & ~leaves, high & ~leaves, kink


@jax.jit
def _slopes(allocation: Allocation, x: Array) -> tuple[Array, Array]:
    return marginal(allocation.cost, x), curvature(allocation.cost, x)


def _near(share: np.ndarray, edge: np.ndarray) -> np.ndarray:
    is_there = there(edge)
    edge = np.where(is_there, edge, 0)
    room = NEAR * np.maximum(np.abs(share), np.abs(edge)) + 1e-3 * NEAR * np.abs(share).mean(axis=0)
    return is_there & (np.abs(share - edge) <= room)


def warn_of_kinks(allocation: Allocation, x: Array, price: Array) -> None:
    """Say where the derivative to one side differs from that to the other, and which one is given."""
    low, high, kink = standing(allocation, x, price)
    full = kink & ~(low | high)
    for where, why in ((kink & (low | high), AT_A_KINK), (full, ALL_HELD)):
        if where.any():
            places = [f"node {node} (run {run})" for node, run in np.argwhere(where)]
            named = ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
            warnings.warn(f"one-sided derivatives at {named}: {why}", RuntimeWarning, stacklevel=4)
