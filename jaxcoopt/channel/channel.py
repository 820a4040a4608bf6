"""What a channel is."""

import abc
from typing import ClassVar, Literal, get_args

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from jaxcoopt.draws import Draw

Placement = Literal["message", "difference", "innovation"]
Derivative = Literal["straight-through", "smoothed", "exact"]
PLACEMENTS, RULES = get_args(Placement), get_args(Derivative)
PLACED = "What is quantized: the value itself, its difference to the neighbour's, or its change."
BITS = {
    "whole": True,
    "least": 2,
    "most": 32,  # a level number is an int32
    "hint": ", one bit being the sign; for 1 bit use channels.Sign",
    "doc": "Bits of a number, one of them its sign; left out: as many as the float type's range needs.",
}
DERIVED = "Of the quantizer, where something is differentiated; left out: by placement."
Values = Float[Array, "nodes *rest"]
Bits = int | float | Array  # scalar or [runs]


class Channel(abc.ABC):
    """An odd quantizer q and where it is applied (`placement`, see `jaxcoopt.channel.wire`)."""

    placement: Placement
    derivative: Derivative | None = None  # a field of those that offer the choice
    message_rule: ClassVar[Derivative] = "smoothed"
    wrong_rules: ClassVar[tuple[tuple[Placement, Derivative], ...]] = ()  # far from finite differences: warned of
    lossless: ClassVar[bool] = False  # q(u) = u: every placement is the same, and nothing need be kept
    random: ClassVar[bool] = False  # needs a draw, so that it cannot act on a link ("difference")

    @property
    def unbiased(self) -> bool:
        """Whether E q(u) = u."""
        return self.lossless

    @property
    def rule(self) -> Derivative:
        """The derivative rule: `derivative`, or the placement's own where that is None."""
        return self.derivative or self.default_rule

    @property
    def default_rule(self) -> Derivative:
        """The rule nearest to finite differences over a window of settings (benchmarks/derivative_rules.py)."""
        return self.message_rule if self.placement == "message" else "straight-through"

    @abc.abstractmethod
    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """q(u) of every node's message, u [nodes, *shape, runs]; `draw` is what random ones draw from."""

    def follow(self, estimate: Values, u: Values, draw: Draw | None = None) -> Values:
        """e + q(u - e): what is known of u, by what was known and what is sent."""
        return estimate + self.quantize(u - estimate, draw)

    @abc.abstractmethod
    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(lower, upper) with lower <= q(u)/u <= upper for every u the bits can tell from 0."""

    @abc.abstractmethod
    def word_bits(self, dtype: DTypeLike) -> Bits:
        """Bits that one number takes on the link."""

    def message_bits(self, size: int, dtype: DTypeLike) -> Bits:
        """Bits that a message of `size` numbers takes on the link."""
        return size * jnp.asarray(self.word_bits(dtype), dtype)


def float_bits(dtype: DTypeLike) -> int:
    """32 or 64."""
    return jnp.finfo(dtype).bits
