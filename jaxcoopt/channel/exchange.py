"""Where a quantizer is applied. Messages live in a method's state: sent at the end of a step, mixed at the next.

Kept apart from the mix because XLA would otherwise evaluate the quantizer once for every neighbour that reads a value.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.channel.quantizers import Channel
from jaxcoopt.compensated import Grid, Pair
from jaxcoopt.network.links import Links

Message = Any


def first_message(channel: Channel, u: Any) -> Message:
    """What the neighbours know of u after the first transmission; estimates start at 0."""
    return send(channel, u, jax.tree.map(jnp.zeros_like, u))


def send(channel: Channel, u: Any, message: Message) -> Message:
    """What the neighbours know of u after this transmission, leaves [nodes, *shape, runs].

    "message": q(u), used by the sender itself too; "difference": nothing is kept, links quantize u_j - u_i as they mix;
    "innovation": the estimate e + q(u - e), which all neighbours of a node share (they are assumed to receive it
    even while the link's weight is down).
    """
    if channel.lossless:
        return None
    match channel.placement:
        case "message":
            return jax.tree.map(channel.quantize, u)
        case "difference":
            return None
        case "innovation":
            return jax.tree.map(lambda value, known: known + channel.quantize(value - known), u, message)
        case unknown:
            raise ValueError(f"channel.placement: {unknown!r} is not known")


def mix(channel: Channel, links: Links, u: Any, message: Message) -> Any:
    """sum_j w_ij (q(u_j) - q(u_i)), sum_j w_ij q(u_j - u_i) or sum_j w_ij (e_j - e_i), by placement."""
    if channel.placement == "difference" and not channel.lossless:
        return links.mix(u, channel.quantize)
    return links.mix(u if channel.lossless else message)


def flow(
    channel: Channel, links: Links, u: Float[Array, "nodes runs"], message: Message, step: Array, grid: Grid
) -> Pair:
    """step times `mix` in whole units of the grid, so that the sum over the nodes is exactly 0."""
    if channel.placement == "difference" and not channel.lossless:
        return links.flow(u, step, grid, channel.quantize)
    return links.flow(u if channel.lossless else message, step, grid)
