"""Flows on links cut so that no node leaves its box, and carried to the nodes without loss."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.compensated import Grid, Pair, Total, settled, split
from jaxcoopt.methods import codes
from jaxcoopt.methods.round import Round

Shares = Float[Array, "nodes runs"]
Flows = Float[Array, "edges runs"]


def limited(flow: Flows, x: Total, sides: tuple[Shares, Shares], now: Round) -> Flows:
    """`Limit`'s scaling of what flows from tails to heads; flow: stored.

    The room is taken a little small, so that rounding sums and parts of units up does not lead out of the box.
    """
    links, lower, upper = now.links, *sides
    digits = jnp.finfo(x.high.dtype)
    unit = x.grid.low / (1.5 * 2.0**digits.nmant)
    inflow, outflow = links.collect(flow, _in_and_out)
    spare, low = (links.most_neighbours + 1) * unit, x.low + x.dust
    to_fill = jnp.maximum((upper - x.high) - low - spare, 0)
    to_give = jnp.maximum((x.high - lower) + low - spare, 0)
    slack = 1 - (2 * links.most_neighbours + 8) * digits.eps
    give, take = now.stored((_share(to_give, outflow, slack), _share(to_fill, inflow, slack)))
    (give_tail, take_tail), (give_head, take_head) = links.at_ends((give, take))
    forward, backward = jnp.minimum(give_tail, take_head), jnp.minimum(give_head, take_tail)
    return flow * jnp.where(flow > 0, forward, backward)


def carried(flow: Flows, now: Round, grid: Grid) -> Pair:
    """What each node gets, in whole units of the grid, so that the nodes' sum is exactly 0; flow: stored."""
    moved = now.stored(split(flow, grid))

    def settle(sums: tuple[Array, Array]) -> tuple[Array, Array]:
        few = settled(Pair(*sums), grid)
        return few.high, few.low

    return Pair(*now.links.collect(moved, lambda pair, sign: (sign * pair.high, sign * pair.low), settle))


def _in_and_out(flow: Array, sign: Array) -> tuple[Array, Array]:
    into = sign * flow
    return jnp.maximum(into, 0), jnp.maximum(-into, 0)


def _share(room: Shares, asked: Shares, slack: float | np.floating) -> Shares:
    """The part of what is asked that there is room for, at most 1, as it is sent."""
    cut = asked > room * slack
    room = jnp.where(cut, room, 0)  # room without an end would spoil derivatives, though not looked at
    return codes.below(jnp.where(cut, room * slack / jnp.where(cut, asked, 1), 1))
