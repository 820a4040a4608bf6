"""How a flow answers to a difference of prices: odd functions, so that what one end of a link gains the other loses."""

import abc
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.channel import Bits
from jaxcoopt.channel.surrogate import sign_of, uniform_levels
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

Difference = Float[Array, "nodes runs"]
NONLINEARITIES = "one of jaxcoopt.methods.nonlinearities, such as Identity()"


class Nonlinearity(abc.ABC):
    """h(u) of u = p_j - p_i, elementwise, odd; its numbers are scalars or [runs].

    Steps have the derivatives of the channels' roundings, straight-through (`jaxcoopt.channel.surrogate`).
    """

    @abc.abstractmethod
    def __call__(self, u: Difference) -> Difference:
        """h(u)."""

    def word_bits(self, channel_bits: Bits) -> Bits:
        """Bits that a link must carry for it: the channel's, unless h itself needs fewer."""
        return channel_bits


@pytree
@dataclass(frozen=True)
class Identity(Nonlinearity):
    """h(u) = u."""

    def __call__(self, u: Difference) -> Difference:
        """u."""
        return u


@pytree
@dataclass(frozen=True)
class SignedPowers(Nonlinearity):
    """h(u) = sgn(u) (|u|^low + |u|^high), or sgn(u) |u|^low where high is None; 0 < low < 1 < high."""

    low: Scalar = setting(above=0, below=1, doc="The smaller power of the price difference, in (0, 1).")
    high: Scalar = setting(None, above=1, doc="The larger power of the price difference, above 1.")

    def __call__(self, u: Difference) -> Difference:
        """sgn(u) (|u|^low + |u|^high)."""
        apart = u != 0  # at 0 the power has no derivative
        size = jnp.where(apart, jnp.abs(u), 1)
        power = size ** along_runs(self.low, u)
        if self.high is not None:
            power = power + size ** along_runs(self.high, u)
        return jnp.where(apart, jnp.copysign(power, u), 0)


@pytree
@dataclass(frozen=True)
class Saturated(Nonlinearity):
    """h(u) = min(max(u, -level), level), level > 0."""

    level: Scalar = setting(above=0, doc="The largest price difference.")

    def __call__(self, u: Difference) -> Difference:
        """clip(u, -level, level)."""
        level = along_runs(self.level, u)
        return jnp.clip(u, -level, level)


@pytree
@dataclass(frozen=True)
class SingleBit(Nonlinearity):
    """h(u) = sgn(u): which end of the link has the higher price. Derivative: 1 within [-1, 1], 0 outside."""

    def __call__(self, u: Difference) -> Difference:
        """sgn(u)."""
        return sign_of(u, jnp.ones((), u.dtype), "straight-through")

    def word_bits(self, channel_bits: Bits) -> Bits:
        """One."""
        return jnp.ones_like(channel_bits)


@pytree
@dataclass(frozen=True)
class Uniform(Nonlinearity):
    """h(u) = level round(u / level), level > 0, at most 2^(bits-1) - 1 levels from 0.

    Derivative: 1 in u, round(u / level) - u / level in the level; beyond the largest level 0, and the level's number.
    """

    level: Scalar = setting(above=0, doc="The distance of the levels.")
    bits: int = setting(8, whole=True, least=2, hint="; for one bit use SingleBitFlow", doc="Of a level's number.")

    def __call__(self, u: Difference) -> Difference:
        """level round(u / level)."""
        return uniform_levels(u, along_runs(self.level, u), self.bits, "straight-through")

    def word_bits(self, channel_bits: Bits) -> Bits:
        """`bits`, or the channel's where these are fewer."""
        return jnp.minimum(channel_bits, self.bits)
