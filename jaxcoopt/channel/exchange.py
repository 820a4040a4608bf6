"""Where a quantizer is applied. Messages live in a method's state: sent at the end of a step, mixed at the next.

Kept apart from the mix because XLA would otherwise evaluate the quantizer once for every neighbour that reads a value.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxcoopt.channel.channel import Channel
from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links

Message = Any


def first_message(channel: Channel, u: Any, draw: Draw) -> Message:
    """What the neighbours know of u after the first transmission; estimates start at 0."""
    return send(channel, u, jax.tree.map(jnp.zeros_like, u), draw)


def send(channel: Channel, u: Any, message: Message, draw: Draw) -> Message:
    """What the neighbours know of u after this transmission, leaves [nodes, *shape, runs].

    "message": q(u), used by the sender itself too; "difference": nothing is kept, links quantize u_j - u_i as they mix;
    "innovation": the estimate e + q(u - e), which all neighbours of a node share (they are assumed to receive it
    even while the link's weight is down).
    """
    if channel.lossless:
        return None
    match channel.placement:
        case "message":
            return _each(channel, channel.quantize, draw, u)
        case "difference":
            return None
        case "innovation":
            return _each(channel, channel.follow, draw, message, u)
        case unknown:
            raise ValueError(f"channel.placement: {unknown!r} is not known")


def mix(channel: Channel, links: Links, u: Any, message: Message) -> Any:
    """sum_j w_ij (q(u_j) - q(u_i)), sum_j w_ij q(u_j - u_i) or sum_j w_ij (e_j - e_i), by placement."""
    if channel.placement == "difference" and not channel.lossless:
        return links.mix(u, channel.quantize)
    return links.mix(heard(channel, u, message))


def heard(channel: Channel, u: Any, message: Message) -> Any:
    """What is known of u at both ends of a link: u itself where nothing is lost or differences are quantized."""
    return u if channel.lossless or channel.placement == "difference" else message


def difference(channel: Channel, own: Array, other: Array) -> Array:
    """u_j - u_i of values that were `heard`, quantized on the link where the placement says so."""
    on_link = channel.placement == "difference" and not channel.lossless
    return channel.quantize(other - own) if on_link else other - own


def _each(channel: Channel, send: Callable[..., Array], draw: Draw, *trees: Any) -> Any:
    """Leaf by leaf, each with a draw of its own."""
    leaves, structure = zip(*(jax.tree.leaves(tree) for tree in trees), strict=True), jax.tree.structure(trees[0])
    sent = [send(*parts, draw.named(i) if channel.random else None) for i, parts in enumerate(leaves)]
    return jax.tree.unflatten(structure, sent)


def message_bits(channel: Channel, u: Any) -> Any:
    """Bits of one transmission of a pytree with leaves [nodes, *shape, runs], over one link."""
    return sum(channel.message_bits(math.prod(leaf.shape[1:-1]), leaf.dtype) for leaf in jax.tree.leaves(u))
