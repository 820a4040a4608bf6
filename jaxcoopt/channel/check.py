"""What must hold of a channel before it runs."""

from typing import get_args

from jaxcoopt.channel import quantizers
from jaxcoopt.channel.quantizers import Channel, Derivative, Placement
from jaxcoopt.errors import positive, unknown_name


def check_channel(channel: Channel) -> None:
    """Raise ValueError or TypeError, naming the argument, for a channel that cannot be run."""
    if not isinstance(channel, Channel):
        raise TypeError(f"channel: expected one of jaxcoopt.channels, got {type(channel).__name__}")
    if channel.placement not in get_args(Placement):
        raise unknown_name("channel.placement", channel.placement, get_args(Placement))
    if getattr(channel, "derivative", "smoothed") not in get_args(Derivative):
        raise unknown_name("channel.derivative", channel.derivative, get_args(Derivative))  # pyright: ignore[reportAttributeAccessIssue]
    for name in ("rho", "step", "scale", "limit", "width"):
        if hasattr(channel, name):
            positive(f"channel.{name}", getattr(channel, name))
    bits = getattr(channel, "bits", None)
    if bits is not None and (not isinstance(bits, int) or isinstance(bits, bool) or bits < 2):
        kind = "None or a whole number of 2 or more (one bit is the sign)"
        hint = "; for 1 bit use channels.Sign" if isinstance(channel, quantizers.Channel) and bits == 1 else ""
        raise ValueError(f"channel.bits: expected {kind}, got {bits!r}{hint}")
