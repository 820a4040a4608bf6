"""What must hold of a channel before it runs."""

import warnings

from jaxcoopt.channel.channel import Channel
from jaxcoopt.setting import check_values

WRONG_BECAUSE = {
    "straight-through": "values that stand on a level do not move, and the rule says that they do",
    "smoothed": "estimates follow by many small innovations, over which its steep edges multiply",
    "exact": "its slope 0 passes no change on from one iteration to the next",
}


def check_channel(channel: Channel) -> None:
    """Raise ValueError or TypeError, naming the argument, for a channel that cannot be run."""
    check_values(channel, "channel")
    if channel.random and channel.placement == "difference":
        raise ValueError(
            f"channel.placement: {type(channel).__name__} is random, and both ends of a link would draw differently of "
            "'difference', so that sums are lost; use 'innovation' or 'message'"
        )


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
