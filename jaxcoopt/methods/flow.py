"""What all flows share: shares of CPU that move along links, counted so that none is lost."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.arrays import along_runs
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.exchange import Message, first_message, send
from jaxcoopt.compensated import Pair, add, grid_for, scale
from jaxcoopt.methods.round import Round
from jaxcoopt.network.links import Rule
from jaxcoopt.problem.bounds import Bounds
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class FlowState:
    """x and velocity, [nodes, runs] each, to twice the float type's digits; price: [nodes, runs]; message: as sent.

    The price is kept, not computed where it is mixed: fused into the mix, the compiler may round p_j - p_i differently
    at the two ends of a link, and the sum of x would leak. largest: [1, runs], max |x| at the last `refresh`; it sets
    the units that x is counted in. velocity is None without momentum. memory: what `bounds` remembers.
    """

    x: Pair
    largest: Float[Array, "1 runs"]
    velocity: Pair | None
    price: Float[Array, "nodes runs"]
    message: Message
    memory: Any


def at_rest(bounds: Bounds, momentum: Any, allocation: Allocation, x: Pair, channel: Channel, now: Round) -> FlowState:
    """The state at the start x, nothing moving, the first prices sent."""
    memory = bounds.init(x.value)
    price = price_at(bounds, memory, allocation, x.value)
    velocity = None if momentum is None else Pair(jnp.zeros_like(price), jnp.zeros_like(price))
    return FlowState(x, largest(x), velocity, price, first_message(channel, price, now.draw), memory)


def moved(
    state: FlowState,
    values: Any,
    amount: Rule,
    momentum: Any,
    bounds: Bounds,
    allocation: Allocation,
    now: Round,
    channel: Channel,
) -> FlowState:
    """One iteration: what flows, by `amount` of the neighbours' `values`; then the new prices are sent."""
    grid = grid_for(state.largest, now.links.most_neighbours)
    move, velocity = now.links.flow(values, amount, grid), None
    if state.velocity is not None:
        move = velocity = add(scale(state.velocity, along_runs(momentum, state.price), grid), move, grid)
    x = add(state.x, move, grid)
    slope = curvature(allocation.cost, x.value) if bounds.needs_curvature else None
    memory = bounds.update(state.memory, x.value, slope, allocation.lower, allocation.upper)
    price = price_at(bounds, memory, allocation, x.value)
    return FlowState(x, state.largest, velocity, price, send(channel, price, state.message, now.draw), memory)


def refreshed(state: FlowState) -> FlowState:
    """The same state with its units set by where x stands now."""
    return replace(state, largest=largest(state.x))


def price_at(
    bounds: Bounds, memory: Any, allocation: Allocation, x: Float[Array, "nodes runs"]
) -> Float[Array, "nodes runs"]:
    """p_i = df_i/dx + what the bounds add, at x."""
    return marginal(allocation.cost, x) + bounds.slope(memory, x, allocation.lower, allocation.upper)


def largest(x: Pair) -> Float[Array, "1 runs"]:
    """max_i |x_i|, [1, runs], a constant for derivatives."""
    return lax.stop_gradient(jnp.abs(x.value).max(axis=0, keepdims=True))


def check_bounds(bounds: Any) -> None:
    """Raise TypeError or ValueError for what is none of `jaxcoopt.bounds`, or has settings that mean nothing."""
    if not isinstance(bounds, Bounds):
        raise TypeError(
            f"method.allocation.bounds: expected one of jaxcoopt.bounds, such as Penalty(), got {bounds!r:.80}"
        )
    bounds.check("method.allocation.bounds")
