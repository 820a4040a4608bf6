"""What a block of nodes hears from the blocks on other devices."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from jaxcoopt.network.tables import take
from jaxcoopt.pytrees import pytree

AXIS = "nodes"  # of the devices that the blocks are on


@pytree(static=("offsets", "devices"))
@dataclass(frozen=True)
class Halo:
    """Device d sends rows of its block to device d + offset (around the end), for each of the offsets that any needs.

    sent: for each offset the rows that go there, [rows], as many on every device, padded with the first. number: the
    nodes of the block, then what is received, offset by offset, by their numbers in the network.
    """

    offsets: tuple[int, ...]
    devices: int
    sent: tuple[Int[Array, " rows"], ...]
    number: Int[Array, " reached"]

    def heard(self, u: Array) -> Array:
        """u of the block [nodes, ...], then of what others sent; one exchange between neighbours for each offset."""
        received = [
            lax.ppermute(take(u, rows), AXIS, [(d, (d + offset) % self.devices) for d in range(self.devices)])
            for offset, rows in zip(self.offsets, self.sent, strict=True)
        ]
        return jnp.concatenate([u, *received])


def most(values: Array, halo: Halo | None) -> Array:
    """max_i |u_i| over all nodes, those on other devices included: [1, runs]; two passes that write nothing."""
    here = jnp.maximum(values.max(axis=0, keepdims=True), -values.min(axis=0, keepdims=True))
    return here if halo is None else lax.pmax(here, AXIS)
