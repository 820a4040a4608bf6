"""What all flows share: shares of CPU that move along links, counted so that none is lost."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Grid, Pair, Total, add, scale, total_of
from jaxcoopt.derivative import proportional
from jaxcoopt.methods.method import Most
from jaxcoopt.methods.round import Round
from jaxcoopt.network.links import Rule
from jaxcoopt.problem.bounds import Bounds
from jaxcoopt.problem.costs import curvature, marginal
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree

Shares = Float[Array, "nodes runs"]
Exact = TypeVar("Exact", Total, Pair)
LEAP = 2.0**3  # the first step has room for so much more than its costs tell, and then for 2^10 times that


@pytree
@dataclass(frozen=True)
class Size:
    """largest: what the units need room for; seen: max |x|; [1, runs] each.

    At the start there is room for the first step. It stays until x moves, which may be late where links are down.
    """

    largest: Float[Array, "1 runs"]
    seen: Float[Array, "1 runs"]

    def after(self, seen: Float[Array, "1 runs"]) -> "Size":
        """The size when max |x| is `seen`."""
        return Size(jnp.where(seen == self.seen, self.largest, seen), seen)


@pytree
@dataclass(frozen=True)
class HeavyBall:
    """rest: where x would come to rest if nothing flowed any more; velocity: (x(k) - x(k-1)) / (1 - beta).

    rest += phi / (1 - beta),   velocity = beta velocity + phi / (1 - beta),   x = rest - beta velocity:
    the same as x += phi + beta (x(k) - x(k-1)). beta velocity is rounded at each node by itself; added to x at every
    iteration it would carry the sum of x away, while rest is moved by what flows alone, which sums to exactly 0.
    """

    rest: Total
    velocity: Pair

    def pushed(self, flow: Pair, momentum: Array) -> tuple["HeavyBall", Total]:
        """(the state, x) after one iteration; flow: phi / (1 - beta)."""
        rest, grid = self.rest.plus(flow), self.rest.grid
        velocity = add(scale(self.velocity, momentum, grid), flow, grid)
        return HeavyBall(rest, velocity), rest.plus(scale(velocity, -momentum, grid))

    def size(self, now: Round) -> Float[Array, "1 runs"]:
        """As `size_of` x, of the numbers that it is made of."""
        return size_of(self.rest, now) + size_of(self.velocity, now)


@pytree
@dataclass(frozen=True)
class FlowState:
    """x: [nodes, runs], to twice the float type's digits; price: [nodes, runs]; wire: of the price.

    The price is kept, not computed where it is mixed: fused into the mix, the compiler may round p_j - p_i differently
    at the two ends of a link, and the sum of x would leak. size: of the numbers in x and heavy_ball.
    heavy_ball: None without momentum. memory: what `bounds` remembers.
    """

    x: Total
    size: Size
    heavy_ball: HeavyBall | None
    price: Float[Array, "nodes runs"]
    wire: Wire
    memory: PyTree


def at_rest(
    bounds: Bounds,
    momentum: ArrayLike | None,
    allocation: Allocation,
    x: Pair,
    now: Round,
    pace: Callable[[Array], Array],
) -> FlowState:
    """The state at the start x, nothing moving, the first prices sent; pace: what flows over a link of weight 1 at a
    difference of prices.
    """
    memory = bounds.init(x.value)
    price = price_at(bounds, memory, allocation, x.value)
    still = Pair(jnp.zeros_like(price), jnp.zeros_like(price))
    bend = stiffness(bounds, memory, allocation, x.value)
    start, size = total_of(x), first_size(x, price, bend, now, _farthest(pace, momentum, price, now))
    heavy_ball = None if momentum is None else HeavyBall(rest=start, velocity=still)
    return FlowState(start, size, heavy_ball, price, now.open(price), memory)


def moved(
    state: FlowState,
    values: PyTree,
    amount: Rule,
    step: ArrayLike,
    momentum: ArrayLike | None,
    bounds: Bounds,
    allocation: Allocation,
    now: Round,
) -> FlowState:
    """One iteration: what flows, `step` times `amount` of the neighbours' `values`; then the new prices are sent."""
    step, grid = along_runs(step, state.price), state.x.grid
    if state.heavy_ball is None:
        heavy_ball, x = None, state.x.plus(_flow(values, amount, step, grid, now))
        seen = size_of(x, now)
    else:
        assert momentum is not None
        beta = along_runs(momentum, state.price)
        heavy_ball, x = state.heavy_ball.pushed(_flow(values, amount, step / (1 - beta), grid, now), beta)
        seen = heavy_ball.size(now)
    at = x.value
    slope = curvature(allocation.cost, at) if bounds.needs_curvature else None
    memory = bounds.update(state.memory, at, slope, allocation.lower, allocation.upper)
    price = price_at(bounds, memory, allocation, at)
    return FlowState(x, state.size.after(seen), heavy_ball, price, now.send(state.wire, price), memory)


def refreshed(state: FlowState, most: Most) -> FlowState:
    """The same state in units that fit."""
    x, size, heavy_ball = in_fitting_units(state.x, state.size, most, state.heavy_ball)
    return replace(state, x=x, size=size, heavy_ball=heavy_ball)


def _flow(values: PyTree, amount: Rule, factor: Array, grid: Grid, now: Round) -> Pair:
    """factor sum_j amount(u_i, u_j, w_ij), every term of it in whole units."""
    constant = lax.stop_gradient(factor)
    flow = now.links.flow(values, lambda own, other, weight: constant * amount(own, other, weight), grid)
    return Pair(proportional(flow.high, flow.low, factor), flow.low)


def first_size(x: Pair, price: Shares, bend: Shares, now: Round, farthest: Array | float = np.inf) -> Size:
    """What the first step needs room for: how far it goes is told by prices and curvatures, not by where x stands.

    farthest: how far it can go whatever these say, as they say too much where costs are nearly linear: [nodes or 1,
    runs], of a method that keeps its box what that has room for.
    """
    shares = jnp.abs(lax.stop_gradient(x.value)).max(axis=0, keepdims=True)
    apart = _apart(price, now)
    most = lax.stop_gradient(jnp.asarray(farthest, shares.dtype))
    most = most.max(axis=0, keepdims=True) if most.ndim else most
    return Size(LEAP * jnp.maximum(shares, jnp.minimum(cost_scale(apart, bend), most)), size_of(total_of(x), now))


def _apart(price: Shares, now: Round) -> Shares:
    """What moves something: not what all prices have in common, but where links are directed, as a node sends its price
    as it is.
    """
    return price if now.links.outward is not None else price - price.min(axis=0, keepdims=True)


def _farthest(
    pace: Callable[[Array], Array], momentum: ArrayLike | None, price: Shares, now: Round
) -> Float[Array, "1 runs"]:
    """The most that a node gains or loses in the first iteration: [1, runs], infinite where no link is there yet."""
    largest = jnp.abs(_apart(price, now)).max(axis=0, keepdims=True)
    flow = jnp.abs(pace(largest)) * (now.links.edges.weights.max() * now.links.most_neighbours)
    if momentum is not None:
        flow = flow / (1 - along_runs(momentum, price))
    return jnp.where((flow > 0) | (largest == 0), flow, jnp.inf)


def farthest_of(sides: tuple[Shares, Shares]) -> Shares:
    """The larger of |lo| and |hi| of each node."""
    return jnp.maximum(*map(jnp.abs, sides))


def cost_scale(price: Shares, bend: Shares) -> Float[Array, "1 runs"]:
    """max |p| / max dp/dx: how far prices lead, 0 where none changes with x; a constant for derivatives."""
    slopes, bends = (jnp.abs(lax.stop_gradient(each)).max(axis=0, keepdims=True) for each in (price, bend))
    return jnp.where(bends > 0, slopes / jnp.where(bends > 0, bends, 1), 0)


def stiffness(bounds: Bounds, memory: PyTree, allocation: Allocation, x: Shares) -> Shares:
    """dp/dx: f_i'' and what the bounds add."""
    own = curvature(allocation.cost, x)
    return own + bounds.stiffness(memory, x, own, allocation.lower, allocation.upper)


def size_of(x: Total | Pair, now: Round) -> Float[Array, "1 runs"]:
    """max |x| to half a unit of high, which says whether x fits its units: [1, runs], a constant for derivatives."""
    return now.links.most(lax.stop_gradient(x.high))


def outgrown(size: Size, x: Total) -> Bool[Array, ""]:
    """Whether the units of x are to be set anew in any run: where its size has doubled, or is half of what it was."""
    return _misfits(size.largest, x).any()


def in_fitting_units(
    x: Total, size: Size, most: Most, ball: HeavyBall | None = None
) -> tuple[Total, Size, HeavyBall | None]:
    """(x, size, what x is made of), in units for `size` or where x stands, the larger, in the runs that need others."""
    misfits = _misfits(size.largest, x)
    largest = most(lax.stop_gradient(x.exact if ball is None else ball.rest.exact))
    if ball is not None:
        largest = largest + most(lax.stop_gradient(ball.velocity.value))
    largest = jnp.where(misfits, jnp.maximum(size.largest, largest), x.largest)

    def fitted(number: Exact) -> Exact:
        return jax.tree.map(lambda new, old: jnp.where(misfits, new, old), number.in_units_for(largest), number)

    x, ball = fitted(x), None if ball is None else HeavyBall(fitted(ball.rest), fitted(ball.velocity))
    highs = [x.high] if ball is None else [ball.rest.high, ball.velocity.high]
    seen = sum(most(lax.stop_gradient(high)) for high in highs)  # as `size_of` will see it
    return x, Size(jnp.where(misfits, largest, size.largest), jnp.where(misfits, seen, size.seen)), ball


def _misfits(size: Float[Array, "1 runs"], x: Total) -> Bool[Array, "1 runs"]:
    return (size > 2 * x.largest) | (size < 0.5 * x.largest)


def price_at(
    bounds: Bounds, memory: PyTree, allocation: Allocation, x: Float[Array, "nodes runs"]
) -> Float[Array, "nodes runs"]:
    """p_i = df_i/dx + what the bounds add, at x."""
    return marginal(allocation.cost, x) + bounds.slope(memory, x, allocation.lower, allocation.upper)
