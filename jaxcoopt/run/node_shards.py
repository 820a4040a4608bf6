"""One network too large for a device: its nodes spread over the local devices, which exchange what links carry."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from jaxcoopt.arrays import float_dtype
from jaxcoopt.host import as_jax
from jaxcoopt.layout import WHOLE, along, axes_of
from jaxcoopt.network.blocks import Blocks, cut
from jaxcoopt.network.halo import AXIS
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.loop import Carry, Setup, compiled_for
from jaxcoopt.run.node_split import NodeSplit, node_specs
from jaxcoopt.run.shards import Spread


def in_host_memory() -> Any:
    """What is made in this context is made beside the CPU: the whole network may not fit on one device.

    With JAX_PLATFORMS=cuda JAX has no such place, and it is made on the first device.
    """
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return nullcontext()


def spread_nodes(setup: Setup, carry: Carry) -> Spread:
    """A block of nodes for each of the local devices, from where they stand in the host's memory."""
    devices = min(jax.local_device_count(), setup.network.nodes)
    network, blocks = cut(setup.network, devices)
    on_edges = jax.tree.map(lambda leaf, axes: along(leaf, axes, ("edges",)) is not None, carry, axes_of(carry))
    mesh = Mesh(np.array(jax.local_devices()[:devices]), (AXIS,))
    split, node_at = NodeSplit(setup.network.nodes, mesh), as_jax(np.asarray(blocks.node_at, np.int32))
    laid = replace(setup.for_devices(), problem=_padded(setup, blocks), network=network, split=split, node_at=node_at)
    laid = replace(laid, clock=_at_nodes(setup.clock, blocks))
    cut_setup, cut_carry = node_specs((laid, carry))

    def put(leaf: ArrayLike, spec: PartitionSpec) -> jax.Array:
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    def moved(leaf: ArrayLike, spec: PartitionSpec, of_edges: bool) -> ArrayLike:
        return leaf if spec == WHOLE else np.asarray(leaf)[blocks.edge if of_edges else blocks.node]

    def back(leaf: ArrayLike, spec: PartitionSpec, of_edges: bool) -> jax.Array:
        whole = np.asarray(leaf)
        return jnp.asarray(whole if spec == WHOLE else whole[blocks.edge_at if of_edges else blocks.node_at])

    carry = jax.tree.map(moved, carry, cut_carry, on_edges)
    return Spread(
        program=compiled_for(len(setup.runs)),
        setup=jax.tree.map(put, laid, cut_setup),
        carry=jax.tree.map(put, carry, cut_carry),
        gather=lambda carry: jax.tree.map(back, carry, cut_carry, on_edges),
    )


def _at_nodes(clock: Clock, blocks: Blocks) -> Clock:
    """The clock's numbers where their nodes are."""
    return jax.tree.map(
        lambda leaf, spec: leaf if spec == WHOLE else np.asarray(leaf)[blocks.node], clock, node_specs(clock)
    )


def _padded(setup: Setup, blocks: Blocks) -> Problem:
    """The problem's numbers where their nodes are; what is padded has no work, and its samples no weight."""
    problem, nodes = setup.problem, setup.network.nodes
    real = np.arange(len(blocks.node)) < nodes

    def laid(leaf: ArrayLike) -> ArrayLike:
        return np.asarray(leaf)[blocks.node] if np.ndim(leaf) and np.shape(leaf)[0] == nodes else leaf

    training = problem.training
    if training is not None:
        weights = jnp.ones(nodes, float_dtype()) if training.weights is None else training.weights
        weights = np.where(real, np.asarray(weights)[blocks.node], 0)
        moved = jax.tree.map(laid, replace(training, loss=None, weights=None))
        training = replace(moved, loss=training.loss, weights=weights)
    allocation = problem.allocation
    if allocation is not None:
        allocation = replace(jax.tree.map(laid, replace(allocation, budget=None)), budget=allocation.budget)
    return replace(
        problem, allocation=allocation, training=training, work=np.where(real[:, None], laid(problem.work), 0)
    )
