"""What an iteration brings to every node."""

from dataclasses import dataclass
from typing import Any

from jaxcoopt.arrays import stored
from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links
from jaxcoopt.pytrees import pytree


@pytree(static=("nodes",))
@dataclass(frozen=True)
class Round:
    """The links of this iteration, and what random numbers are drawn from.

    nodes: how many there are in the whole network. An array here may hold only the nodes of one device, so its length
    is no count of them, and a sum over its first axis is no sum over the network.
    """

    links: Links
    draw: Draw
    nodes: int

    def stored(self, tree: Any) -> Any:
        """The same arrays, computed once, whoever reads them (see `jaxcoopt.arrays.stored`)."""
        return stored(tree, self.draw.runs[0] >= 0)
