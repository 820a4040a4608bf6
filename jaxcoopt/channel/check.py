"""What must hold of a channel before it runs."""

import warnings
from typing import Any, get_args

from jaxcoopt.arrays import shown
from jaxcoopt.channel.channel import Channel, Derivative, Placement
from jaxcoopt.errors import check_name

MOST_BITS = 32  # a level number is an int32
WRONG_BECAUSE = {
    "straight-through": "values that stand on a level do not move, and the rule says that they do",
    "smoothed": "estimates follow by many small innovations, over which its steep edges multiply",
    "exact": "its slope 0 passes no change on from one iteration to the next",
}


def check_channel(channel: Channel) -> None:
    """Raise ValueError or TypeError, naming the argument, for a channel that cannot be run."""
    check_name("channel.placement", channel.placement, get_args(Placement))
    if channel.random and channel.placement == "difference":
        raise ValueError(
            f"channel.placement: {type(channel).__name__} is random, and both ends of a link would draw differently of "
            "'difference', so that sums are lost; use 'innovation' or 'message'"
        )
    channel.check()


def check_derivative(derivative: Any) -> None:
    """Raise ValueError for what is no derivative rule."""
    if derivative is not None:
        check_name("channel.derivative", derivative, get_args(Derivative))


def warn_of_rule(channel: Channel, stacklevel: int = 3) -> None:
    """Warn (RuntimeWarning) of a derivative rule that was asked for and is known to be wrong for the placement."""
    placement, rule = channel.placement, channel.derivative
    if rule is not None and (placement, rule) in channel.wrong_rules:
        warnings.warn(
            f"channel.derivative: the gradient of {type(channel).__name__}(placement={placement!r}, "
            f"derivative={rule!r}) is wrong: {WRONG_BECAUSE[rule]}; use {channel.default_rule!r}, which is what None "
            "chooses there",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def check_bits(bits: Any) -> None:
    """Raise ValueError for what is no number of bits that a level's number may have."""
    whole = isinstance(bits, int) and not isinstance(bits, bool)
    if bits is not None and not (whole and 2 <= bits <= MOST_BITS):
        kind = f"None or an int from 2 (one bit is the sign) to {MOST_BITS}"
        hint = "; for 1 bit use channels.Sign" if whole and bits == 1 else ""
        raise ValueError(f"channel.bits: expected {kind}, got {shown(bits)}{hint}")
