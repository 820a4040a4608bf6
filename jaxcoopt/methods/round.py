"""What an iteration brings to every node."""

from dataclasses import dataclass

from jaxtyping import Array, Int

from jaxcoopt.network.links import Links
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Round:
    """The links of this iteration, its random key, and the numbers of the runs in the batch: [runs]."""

    links: Links
    key: Array
    runs: Int[Array, " runs"]
