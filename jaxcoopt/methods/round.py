"""What an iteration brings to every node."""

from dataclasses import dataclass

from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Round:
    """The links of this iteration, and what random numbers are drawn from."""

    links: Links
    draw: Draw
