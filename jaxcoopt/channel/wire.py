"""A wire: what the neighbours know of one quantity of every node, and the bits that it takes to tell them.

It lives in a method's state: sent at the end of an iteration, mixed in the next. A quantizer inside the mix would be
evaluated once for every neighbour that reads a value.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxcoopt.channel.channel import Bits, Channel
from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links
from jaxcoopt.pytrees import pytree

CODE_BITS = 8
Numbers = tuple[tuple[int, str], ...]


@pytree(static=("name", "numbers", "codes"))
@dataclass(frozen=True)
class Wire:
    """What both ends of a link know of a quantity u, leaves [nodes, *shape, runs].

    known: by the channel's placement q(u) ("message") or the estimate e, which grows by q(u - e) ("innovation"; all
    neighbours receive it even while a link's weight is down); None where both ends know u itself: over lossless links,
    and where links quantize differences as they mix ("difference"). name: what its random numbers are drawn by.
    numbers: how many of which float type a transmission holds, leaf by leaf. codes: numbers of 8 bits beside
    them.
    """

    known: Any
    name: str | None
    numbers: Numbers
    codes: int

    def sent(self, channel: Channel, u: PyTree, draw: Draw) -> "Wire":
        """The wire after u was sent."""
        if channel.lossless:
            return self
        draw = draw if self.name is None else draw.named(self.name)
        match channel.placement:
            case "message":
                return replace(self, known=_each(channel, channel.quantize, draw, u))
            case "difference":
                return self
            case "innovation":
                return replace(self, known=_each(channel, channel.follow, draw, self.known, u))
            case unknown:
                raise ValueError(f"channel.placement: {unknown!r} is not known")

    def heard(self, channel: Channel, u: PyTree) -> PyTree:
        """What is known of u at both ends of a link; u: as it was last sent."""
        return u if channel.lossless or channel.placement == "difference" else self.known

    def mix(self, channel: Channel, links: Links, u: PyTree) -> PyTree:
        """sum_j w_ij (q(u_j) - q(u_i)), sum_j w_ij q(u_j - u_i) or sum_j w_ij (e_j - e_i), by placement."""
        if channel.placement == "difference" and not channel.lossless:
            return links.mix(u, channel.quantize)
        return links.mix(self.heard(channel, u))

    def bits(self, channel: Channel) -> Bits:
        """Bits of one transmission over one link, scalar or [runs]."""
        return bits_of(channel, self.numbers) + CODE_BITS * self.codes


def opened(channel: Channel, u: PyTree, draw: Draw, name: str | None = None, codes: int = 0) -> Wire:
    """The wire after the first transmission of u; estimates start at 0."""
    keeps = not channel.lossless and channel.placement == "innovation"
    estimate = jax.tree.map(jnp.zeros_like, u) if keeps else None
    return Wire(estimate, name, numbers_in(u), codes).sent(channel, u, draw)


def difference(channel: Channel, own: Array, other: Array) -> Array:
    """u_j - u_i of values that were `heard`, quantized on the link where the placement says so."""
    on_link = channel.placement == "difference" and not channel.lossless
    return channel.quantize(other - own) if on_link else other - own


def numbers_in(u: PyTree) -> Numbers:
    """How many numbers of which float type one node sends of u, leaves [nodes, *shape, runs]."""
    return tuple((math.prod(leaf.shape[1:-1]), leaf.dtype.name) for leaf in jax.tree.leaves(u))


def bits_of(channel: Channel, numbers: Numbers) -> Bits:
    """Bits of so many numbers over one link, scalar or [runs]."""
    return sum(channel.message_bits(size, jnp.dtype(dtype)) for size, dtype in numbers)


def wires_of(state: PyTree) -> list[Wire]:
    """The wires in a method's state."""
    found = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Wire))
    return [each for each in found if isinstance(each, Wire)]


def _each(channel: Channel, send: Callable[..., Array], draw: Draw, *trees: PyTree) -> PyTree:
    """Leaf by leaf, each with a draw of its own."""
    leaves, structure = zip(*(jax.tree.leaves(tree) for tree in trees), strict=True), jax.tree.structure(trees[0])
    sent = [send(*parts, draw.named(i) if channel.random else None) for i, parts in enumerate(leaves)]
    return jax.tree.unflatten(structure, sent)
