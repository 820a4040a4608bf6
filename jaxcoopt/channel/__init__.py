"""What a neighbour receives: quantizers, where they are applied, their derivative, their bits."""

from jaxcoopt.channel.quantizers import Channel, Clip, Ideal, LogQuantizer, Sign, UniformQuantizer

__all__ = ["Channel", "Clip", "Ideal", "LogQuantizer", "Sign", "UniformQuantizer"]
