"""What all flows share: shares of CPU that move along links, counted so that none is lost."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.arrays import shown
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.exchange import Message, first_message, send
from jaxcoopt.compensated import Grid, Pair, add, grid_for, scale
from jaxcoopt.derivative import proportional
from jaxcoopt.methods.round import Round
from jaxcoopt.network.links import Rule
from jaxcoopt.problem.bounds import Bounds
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class HeavyBall:
    """rest: where x would come to rest if nothing flowed any more; velocity: (x(k) - x(k-1)) / (1 - beta).

    rest += phi / (1 - beta),   velocity = beta velocity + phi / (1 - beta),   x = rest - beta velocity:
    the same as x += phi + beta (x(k) - x(k-1)). beta velocity is rounded at each node by itself; added to x at every
    iteration it would carry the sum of x away, while rest is moved by what flows alone, which sums to exactly 0.
    """

    rest: Pair
    velocity: Pair

    def pushed(self, flow: Pair, momentum: Array, grid: Grid) -> tuple["HeavyBall", Pair]:
        """(the state, x) after one iteration; flow: phi / (1 - beta)."""
        rest = add(self.rest, flow, grid)
        velocity = add(scale(self.velocity, momentum, grid), flow, grid)
        return HeavyBall(rest, velocity), add(rest, scale(velocity, -momentum, grid), grid)


@pytree
@dataclass(frozen=True)
class FlowState:
    """x: [nodes, runs], to twice the float type's digits; price: [nodes, runs]; message: as sent.

    The price is kept, not computed where it is mixed: fused into the mix, the compiler may round p_j - p_i differently
    at the two ends of a link, and the sum of x would leak. largest: [1, runs], max |x| at the last `refresh`; it sets
    the units that x is counted in. heavy_ball: None without momentum. memory: what `bounds` remembers.
    """

    x: Pair
    largest: Float[Array, "1 runs"]
    heavy_ball: HeavyBall | None
    price: Float[Array, "nodes runs"]
    message: Message
    memory: Any


def at_rest(bounds: Bounds, momentum: Any, allocation: Allocation, x: Pair, channel: Channel, now: Round) -> FlowState:
    """The state at the start x, nothing moving, the first prices sent."""
    memory = bounds.init(x.value)
    price = price_at(bounds, memory, allocation, x.value)
    still = Pair(jnp.zeros_like(price), jnp.zeros_like(price))
    heavy_ball = None if momentum is None else HeavyBall(rest=x, velocity=still)
    return FlowState(x, largest(x), heavy_ball, price, first_message(channel, price, now.draw), memory)


def moved(
    state: FlowState,
    values: Any,
    amount: Rule,
    step: Any,
    momentum: Any,
    bounds: Bounds,
    allocation: Allocation,
    now: Round,
    channel: Channel,
) -> FlowState:
    """One iteration: what flows, `step` times `amount` of the neighbours' `values`; then the new prices are sent."""
    grid = grid_for(state.largest, now.links.most_neighbours)
    step = along_runs(step, state.price)
    if state.heavy_ball is None:
        heavy_ball, x = None, add(state.x, _flow(values, amount, step, grid, now), grid)
    else:
        beta = along_runs(momentum, state.price)
        flow = _flow(values, amount, step / (1 - beta), grid, now)
        heavy_ball, x = state.heavy_ball.pushed(flow, beta, grid)
    slope = curvature(allocation.cost, x.value) if bounds.needs_curvature else None
    memory = bounds.update(state.memory, x.value, slope, allocation.lower, allocation.upper)
    price = price_at(bounds, memory, allocation, x.value)
    return FlowState(x, state.largest, heavy_ball, price, send(channel, price, state.message, now.draw), memory)


def _flow(values: Any, amount: Rule, factor: Array, grid: Grid, now: Round) -> Pair:
    """factor sum_j amount(u_i, u_j, w_ij), every term of it in whole units."""
    constant = lax.stop_gradient(factor)
    flow = now.links.flow(values, lambda own, other, weight: constant * amount(own, other, weight), grid)
    return Pair(proportional(flow.high, flow.low, factor), flow.low)


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
            f"method.allocation.bounds: expected one of jaxcoopt.bounds, such as Penalty(), got {shown(bounds)}"
        )
    bounds.check("method.allocation.bounds")
