"""Compressors of a node's whole message, and random ones: Natural, QSGD, TopK and RandK."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.channel import PLACED, PLACEMENTS, Bits, Channel, Placement, Values, float_bits
from jaxcoopt.derivative import derivative_from
from jaxcoopt.draws import Draw
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


def _drawn(draw: Draw | None, u: Values) -> Values:
    """Uniform numbers in [0, 1) of u's shape."""
    if draw is None:
        raise ValueError("a random quantizer needs a draw: pass jaxcoopt.draws.Draw(key, runs)")
    return draw.uniform(*u.shape[:-1]).astype(u.dtype)


@pytree
@dataclass(frozen=True)
class Natural(Channel):
    """q(u) = sgn(u) 2^e or sgn(u) 2^(e+1), e = floor(log2 |u|), at random with E q(u) = u.

    The sign and the exponent are sent: 9 bits of a float32, 12 of a float64. Derivative: straight-through.
    Source: Horvath et al., Natural compression for distributed deep learning, arXiv 1905.10988.
    """

    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    random: ClassVar[bool] = True
    unbiased: ClassVar[bool] = True  # pyright: ignore[reportIncompatibleMethodOverride]

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """One of the two powers of two around u."""
        integer, mantissa = (jnp.int32, 23) if u.dtype == jnp.float32 else (jnp.int64, 52)
        bits = lax.bitcast_convert_type(jnp.abs(u), integer)
        below = lax.bitcast_convert_type((bits >> mantissa) << mantissa, u.dtype)
        up = jnp.abs(u) - below > _drawn(draw, u) * below
        return derivative_from(jnp.copysign(jnp.where(up, 2 * below, below), u), u)

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(1/2, 2)."""
        return 0.5, 2.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """One for the sign and the exponent's 8 or 11."""
        return 9 if float_bits(dtype) == 32 else 12


@pytree
@dataclass(frozen=True)
class QSGD(Channel):
    """q(u)_i = |u| sgn(u_i) l_i / s, l_i = floor or ceil of s |u_i| / |u| at random with E q(u) = u, s = `levels`.

    |u| is the Euclidean norm of a node's message (each leaf of the parameters by itself), sent as a float beside a sign
    and a level for each number. Derivative: straight-through. Source: Alistarh et al., QSGD, NeurIPS 2017.
    """

    levels: Scalar = setting(16, above=0, doc="How many levels a message's norm is cut into.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    random: ClassVar[bool] = True
    unbiased: ClassVar[bool] = True  # pyright: ignore[reportIncompatibleMethodOverride]

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """Random levels of each number relative to its message's norm."""
        norm = jnp.sqrt(jnp.sum(lax.stop_gradient(u) ** 2, axis=_message_axes(u), keepdims=True))
        levels = along_runs(self.levels, u)
        level = jnp.floor(levels * jnp.abs(u) / jnp.where(norm > 0, norm, 1) + _drawn(draw, u))
        return derivative_from(jnp.copysign(norm * level / levels, u), u)

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, infinity): a number small beside its message's norm may be sent as a whole level."""
        return 0.0, jnp.inf

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """The sign and the level's number."""
        return 1 + jnp.ceil(jnp.log2(jnp.asarray(self.levels, dtype) + 1))

    def message_bits(self, size: int, dtype: DTypeLike) -> Bits:
        """The norm as a float, and a word for each number."""
        return float_bits(dtype) + size * jnp.asarray(self.word_bits(dtype), dtype)


@pytree
@dataclass(frozen=True)
class TopK(Channel):
    """Keeps the `count` largest numbers of a node's message (each leaf by itself; equal ones together), others are 0.

    Each is sent with its place. Biased: exact in the limit with `innovation`. Derivative: that of what is kept.
    Source: Stich, Cordonnier, Jaggi, Sparsified SGD with memory, NeurIPS 2018.
    """

    count: int = setting(whole=True, doc="How many numbers of a message are kept.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """u where |u| is among the largest, else 0."""
        size = lax.stop_gradient(jnp.abs(u)).reshape(u.shape[0], -1, u.shape[-1])
        if self.count >= size.shape[1]:
            return u
        least = jnp.sort(size, axis=1)[:, -self.count]
        return jnp.where(jnp.abs(u) >= jnp.expand_dims(least, _message_axes(u)), u, 0)

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, 1)."""
        return 0.0, 1.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """32 or 64, the float type's."""
        return float_bits(dtype)

    def message_bits(self, size: int, dtype: DTypeLike) -> Bits:
        """A float and a place for each number that is kept."""
        kept = min(self.count, size)
        place = math.ceil(math.log2(size)) if kept < size else 0
        return jnp.asarray(kept * (float_bits(dtype) + place), dtype)


@pytree
@dataclass(frozen=True)
class RandK(Channel):
    """Keeps `count` numbers of a node's message, drawn anew each time (each leaf by itself), others are 0.

    rescale: multiplied by size / count, so that E q(u) = u; without, a contraction, as `innovation` needs. The places
    follow from a common seed and are not sent. Source: Stich, Cordonnier, Jaggi, NeurIPS 2018.
    """

    count: int = setting(whole=True, doc="How many numbers of a message are kept.")
    rescale: bool = setting(False, flag=True, doc="Whether what is kept is scaled up, so that the mean is right.")
    placement: Placement = setting("innovation", choices=PLACEMENTS, doc=PLACED)
    random: ClassVar[bool] = True

    @property
    def unbiased(self) -> bool:
        """With `rescale`."""
        return self.rescale

    def quantize(self, u: Values, draw: Draw | None = None) -> Values:
        """u at the places drawn, else 0."""
        lot = _drawn(draw, u).reshape(u.shape[0], -1, u.shape[-1])
        size = lot.shape[1]
        if self.count >= size:
            return u
        last = jnp.sort(lot, axis=1)[:, self.count - 1]
        kept = jnp.where(lot.reshape(u.shape) <= jnp.expand_dims(last, _message_axes(u)), u, 0)
        return kept * (size / self.count) if self.rescale else kept

    def sector(self) -> tuple[ArrayLike, ArrayLike]:
        """(0, 1), with `rescale` (0, infinity)."""
        return 0.0, jnp.inf if self.rescale else 1.0

    def word_bits(self, dtype: DTypeLike) -> Bits:
        """32 or 64, the float type's."""
        return float_bits(dtype)

    def message_bits(self, size: int, dtype: DTypeLike) -> Bits:
        """A float for each number that is kept."""
        return jnp.asarray(min(self.count, size) * float_bits(dtype), dtype)


def _message_axes(u: Array) -> tuple[int, ...]:
    """The axes of u [nodes, *shape, runs] that one message holds."""
    return tuple(range(1, u.ndim - 1))
