"""The nodes axis split over devices: which axis of what, and what the blocks must agree on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.network.halo import AXIS
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.shown import briefly

WHOLE: Any = PartitionSpec()
BLOCKS: Any = PartitionSpec(AXIS)
OF_GRAPHS: Any = PartitionSpec(None, AXIS)


@briefly
@dataclass(frozen=True)
class NodeSplit:
    """nodes: how many there are, without the padding that comes after them; mesh: the devices of the blocks."""

    nodes: int
    mesh: Mesh

    def over_blocks(self, iterations: Callable[..., Any]) -> Callable[..., Any]:
        """iterations(setup, carry, length) -> carry, each device on its block."""

        def split(setup: Any, carry: Any, length: Any) -> Any:
            specs = node_setup_specs(setup), node_carry_specs(carry)
            blockwise = jax.shard_map(
                iterations, mesh=self.mesh, in_specs=(*specs, WHOLE), out_specs=specs[1], check_vma=False
            )
            return blockwise(setup, carry, length)

        return split

    def here(self, network: Network) -> Int[Array, " nodes"] | None:
        """The numbers of the nodes of this block."""
        return None if network.halo is None else network.halo.number[: network.nodes]

    def slowest(self, duration: Float[Array, " runs"]) -> Float[Array, " runs"]:
        """The longest over all blocks."""
        return lax.pmax(duration, AXIS)

    def without_padding(self, problem: Problem, estimate: Estimate) -> tuple[Problem, Estimate]:
        """What there is of the nodes; padded samples have no weight, and stay."""

        def real(leaf: Array) -> Array:
            return leaf[: self.nodes] if is_split(leaf) else leaf

        return replace(problem, allocation=jax.tree.map(real, problem.allocation)), jax.tree.map(real, estimate)


def is_split(leaf: Any) -> bool:
    """Whether an array of problem or state has an axis of nodes or edges: settings, and what runs have, do not."""
    return leaf.ndim >= 2 and leaf.shape[0] > 1


def node_setup_specs(setup: Any) -> Any:
    """Which axis of each leaf the nodes are on."""
    problem, training, network = setup.problem, setup.problem.training, setup.network
    return replace(
        _whole(setup),
        problem=Problem(
            allocation=nodes_first(problem.allocation),
            training=training and replace(jax.tree.map(lambda _: BLOCKS, training), loss=_whole(training.loss)),
            work=nodes_first(problem.work),
        ),
        network=replace(
            _whole(network),
            tables=jax.tree.map(lambda _: OF_GRAPHS, network.tables),
            edges=replace(network.edges, tail=BLOCKS, head=BLOCKS, number=BLOCKS, weights=OF_GRAPHS),
            halo=jax.tree.map(lambda _: BLOCKS, network.halo),
        ),
    )


def node_carry_specs(carry: Any) -> Any:
    """The same of the carry."""
    return replace(_whole(carry), state=nodes_first(carry.state))


def nodes_first(tree: Any) -> Any:
    """The nodes (or edges) are the first axis, where there are any."""
    return jax.tree.map(lambda leaf: BLOCKS if is_split(leaf) else WHOLE, tree)


def _whole(tree: Any) -> Any:
    return jax.tree.map(lambda _: WHOLE, tree)
