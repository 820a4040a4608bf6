"""What an iteration brings to every node."""

from dataclasses import dataclass
from typing import Any

from jaxcoopt.arrays import stored
from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Round:
    """The links of this iteration, and what random numbers are drawn from."""

    links: Links
    draw: Draw

    def stored(self, tree: Any) -> Any:
        """The same arrays, computed once, whoever reads them (see `jaxcoopt.arrays.stored`)."""
        return stored(tree, self.draw.runs[0] >= 0)
