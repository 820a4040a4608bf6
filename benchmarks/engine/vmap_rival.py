"""What a good user of JAX would write first: one run's iteration in the paper's order, then jax.vmap over the runs."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.engine.engine import State
from benchmarks.engine.instance import (
    FLOW_STEP,
    LOWER,
    PENALTY,
    RHO,
    RIDGE,
    SHARPNESS,
    TRAINING_STEP,
    UPPER,
    Instance,
)

DENSE_NODES = 200  # up to here the dense Laplacian is tried beside the neighbour table
HIGHEST = lax.Precision.HIGHEST  # as the engine: by default a GPU multiplies 10 bits of each number
GATHERED = 1e9  # bytes of the neighbours' messages of all runs: beyond, an iteration takes a second or more


class Data(NamedTuple):
    """One node's numbers a row; mixing: (neighbours, weights) [graphs, n, slots], or Laplacians [graphs, n, n]."""

    features: Any
    targets: Any
    curvature: Any
    center: Any
    mixing: Any


class One(NamedTuple):
    """One run: x [n], y, z and the gradient [n, m]."""

    x: Any
    y: Any
    z: Any
    gradient: Any


class VmapRival:
    """The plain step under vmap and lax.fori_loop, jitted."""

    def __init__(self, instance: Instance, start: State, dense: bool) -> None:
        dtype = start.x.dtype
        mixing = dense_laplacians(instance, dtype) if dense else neighbour_tables(instance, dtype)
        self.data = Data(
            jnp.asarray(instance.features, dtype),
            jnp.asarray(instance.targets, dtype),
            jnp.asarray(instance.curvature, dtype),
            jnp.asarray(instance.center, dtype),
            mixing,
        )
        self.log, self.iteration = instance.case.channel == "log", 0
        x, y = jnp.asarray(start.x.T), jnp.asarray(np.moveaxis(start.y, -1, 0))
        gradient = jax.jit(jax.vmap(_gradient, in_axes=(None, 0)))(self.data, y)
        self.runs = One(x, y, gradient, jnp.copy(gradient))

    def advance(self, iterations: int) -> None:
        """So many iterations, until the device is done."""
        begin, end = (jnp.asarray(k, jnp.int32) for k in (self.iteration, self.iteration + iterations))
        self.runs = jax.block_until_ready(_advance(self.data, self.runs, begin, end, self.log))
        self.iteration += iterations

    def state(self) -> State:
        """In the engine's layout."""
        return State(np.array(self.runs.x).T, np.moveaxis(np.array(self.runs.y), 0, -1))


@partial(jax.jit, static_argnames="log", donate_argnames="runs")
def _advance(data: Data, runs: One, begin: Any, end: Any, log: bool) -> One:
    step = jax.vmap(partial(_step, log=log), in_axes=(None, 0, None))
    return lax.fori_loop(begin, end, lambda k, at: step(data, at, k), runs)


def _step(data: Data, at: One, k: Any, log: bool) -> One:
    send = _quantize if log else lambda u: u
    x = at.x + FLOW_STEP * _mix(data.mixing, k, send(_price(data, at.x))[:, None])[:, 0]
    y = at.y + _mix(data.mixing, k, send(at.y)) - TRAINING_STEP * at.z
    gradient = _gradient(data, y)
    z = at.z + _mix(data.mixing, k, send(at.z)) + gradient - at.gradient
    return One(x, y, z, gradient)


def _mix(mixing: Any, k: Any, u: Any) -> Any:
    """sum_j w_ij (u_j - u_i), u [n, columns]."""
    if isinstance(mixing, tuple):
        neighbours, weights = (table[k % len(table)] for table in mixing)
        return jnp.sum(weights[:, :, None] * (u[neighbours] - u[:, None, :]), axis=1)
    return jnp.matmul(mixing[k % len(mixing)], u, precision=HIGHEST)


def _quantize(u: Any) -> Any:
    level = jnp.exp(RHO * jnp.round(jnp.log(jnp.abs(u)) / RHO))
    return jnp.where(u == 0, 0, jnp.sign(u) * level)


def _gradient(data: Data, y: Any) -> Any:
    error = jnp.einsum("nsm,nm->ns", data.features, y, precision=HIGHEST) - data.targets
    return jnp.einsum("nsm,ns->nm", data.features, error, precision=HIGHEST) / error.shape[1] + RIDGE * y


def _price(data: Data, x: Any) -> Any:
    push = jax.nn.sigmoid(SHARPNESS * (x - UPPER)) - jax.nn.sigmoid(SHARPNESS * (LOWER - x))
    return data.curvature * (x - data.center) + PENALTY * push


def neighbour_tables(instance: Instance, dtype: Any) -> tuple[Any, Any]:
    """Neighbours and weights [graphs, n, slots], padded with the node itself at weight 0."""
    n = instance.case.nodes
    most = slots(instance)
    neighbours = np.tile(np.arange(n)[:, None], (len(instance.laplacians), 1, most))
    weights = np.zeros(neighbours.shape)
    for g, matrix in enumerate(instance.laplacians):
        entries = matrix.tocoo()
        row, column = entries.coords
        off = row != column
        row, column, data = row[off], column[off], entries.data[off]
        order = np.argsort(row, kind="stable")
        row, column, data = row[order], column[order], data[order]
        slot = np.arange(len(row)) - np.searchsorted(row, row)
        neighbours[g, row, slot], weights[g, row, slot] = column, data
    return jnp.asarray(neighbours, jnp.int32), jnp.asarray(weights, dtype)


def dense_laplacians(instance: Instance, dtype: Any) -> Any:
    """[graphs, n, n]."""
    return jnp.asarray(np.stack([matrix.toarray() for matrix in instance.laplacians]), dtype)


def slots(instance: Instance) -> int:
    """The largest degree."""
    return max(int(np.diff(matrix.indptr).max()) for matrix in instance.laplacians) - 1


def why_not(instance: Instance) -> str | None:
    """The rule that leaves this rival out, or None."""
    case = instance.case
    gathered = case.values * slots(instance) * case.float_bytes
    if gathered > GATHERED:
        limit = f"more than {GATHERED / 1e9:.0f}"
        return f"would gather {gathered / 1e9:.0f} GB of neighbours' messages an iteration, {limit}"
    return None
