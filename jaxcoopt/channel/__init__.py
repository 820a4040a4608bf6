"""What a neighbour receives: quantizers, where they are applied, their derivative, their bits."""

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.compressors import QSGD, Natural, RandK, TopK
from jaxcoopt.channel.quantizers import Clip, Ideal, LogQuantizer, Sign, UniformQuantizer

__all__ = ["QSGD", "Channel", "Clip", "Ideal", "LogQuantizer", "Natural", "RandK", "Sign", "TopK", "UniformQuantizer"]
