"""The nodes axis split over devices: which axis of what, and what the blocks must agree on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
from jax import lax
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree

from jaxcoopt.layout import ALONG_NODES, WHOLE, Axes, along, axes_of, specs
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.network.halo import AXIS
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.shown import briefly

Tree = TypeVar("Tree")


@briefly
@dataclass(frozen=True)
class NodeSplit:
    """nodes: how many there are, without the padding that comes after them; mesh: the devices of the blocks."""

    nodes: int
    mesh: Mesh

    def over_blocks(self, iterations: Callable[..., Any]) -> Callable[..., Any]:
        """iterations(setup, carry, length) -> carry, each device on its block."""

        def split(setup: PyTree, carry: Tree, length: ArrayLike) -> Tree:
            cut = node_specs((setup, carry))
            blockwise = jax.shard_map(
                iterations, mesh=self.mesh, in_specs=(*cut, WHOLE), out_specs=cut[1], check_vma=False
            )
            return blockwise(setup, carry, length)

        return split

    def here(self, network: Network) -> Int[Array, " nodes"] | None:
        """The numbers of the nodes of this block."""
        return None if network.halo is None else network.halo.number[: network.nodes]

    def slowest(self, duration: Float[Array, " runs"]) -> Float[Array, " runs"]:
        """The longest over all blocks."""
        return lax.pmax(duration, AXIS)

    def total(self, values: Float[Array, " runs"]) -> Float[Array, " runs"]:
        """The sum over all blocks."""
        return lax.psum(values, AXIS)

    def without_padding(self, problem: Problem, estimate: Estimate) -> tuple[Problem, Estimate]:
        """What there is of the nodes; padded samples have no weight, and stay."""

        def real(leaf: Array, axes: Axes) -> Array:
            return leaf if along(leaf, axes, ("nodes",)) is None else leaf[: self.nodes]

        allocation = jax.tree.map(real, problem.allocation, axes_of(problem.allocation))
        return replace(problem, allocation=allocation), jax.tree.map(real, estimate, axes_of(estimate))

    def in_order(self, tree: Tree, at: Int[Array, " given"]) -> Tree:
        """The nodes as the network has them, without padding; at: the place of each."""

        def ordered(leaf: Array, axes: Axes) -> Array:
            return leaf if along(leaf, axes, ("nodes",)) is None else leaf[at]

        return jax.tree.map(ordered, tree, axes_of(tree))


def node_specs(tree: PyTree) -> PyTree:
    """How each array is cut along its nodes, or its edges, where it is not broadcast over them."""
    return specs(tree, ALONG_NODES, AXIS)
