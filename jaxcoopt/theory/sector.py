"""Between which two lines through 0 a quantizer stays."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.quantizers import LogQuantizer
from jaxcoopt.host import evaluated_now
from jaxcoopt.theory.check import received_channel


class Sector(NamedTuple):
    """lower <= q(u) / u <= upper, scalars or [runs]; first_order: the papers' (1 - rho/2, 1 + rho/2), else None."""

    lower: Any
    upper: Any
    first_order: tuple[Any, Any] | None = None


def sector(channel: Channel) -> Sector:
    """The sector of a channel's quantizer, in float64; upper is infinite where nothing bounds q(u) / u.

    For `LogQuantizer` the papers write 1 -+ rho/2, the first order of exp(-+ rho/2); the upper one is slightly short of
    what the quantizer does. Raises TypeError for what is no channel, ValueError for one that cannot be
    run. Source: arXiv 2406.00621, section II.

    >>> import jaxcoopt as jc
    >>> jc.theory.sector(jc.channels.UniformQuantizer(step=0.1)).upper
    2.0
    """
    if channel is None:
        raise TypeError("channel: expected one of jaxcoopt.channels, such as Ideal(), got None")
    return sector_of(received_channel(channel))


def sector_of(channel: Channel) -> Sector:
    """The same, of a channel that is checked."""
    with jax.enable_x64(True), evaluated_now():
        lower, upper = (_plain(bound) for bound in channel.sector())
    if not isinstance(channel, LogQuantizer):
        return Sector(lower, upper)
    half = np.asarray(channel.rho, np.float64) / 2
    return Sector(lower, upper, (_plain(1 - half), _plain(1 + half)))


def _plain(bound: ArrayLike) -> float | np.ndarray:
    """A Python float, or a NumPy array [runs]."""
    bound = np.asarray(bound, np.float64)
    return bound.item() if bound.ndim == 0 else bound
