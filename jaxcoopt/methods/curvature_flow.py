"""Flows whose link weights follow the curvature of the costs, so that no step need be tuned."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcoopt.along_runs import along_runs
from jaxcoopt.channel.wire import Wire
from jaxcoopt.compensated import Pair, Total, total_of
from jaxcoopt.methods import codes
from jaxcoopt.methods.flow_state import (
    Size,
    farthest_of,
    first_size,
    in_fitting_units,
    outgrown,
    price_at,
    size_of,
    stiffness,
)
from jaxcoopt.methods.limiter import carried, limited
from jaxcoopt.methods.method import AllocationMethod, FlatCosts, Most
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.bounds import BOUNDS, Bounds, Limit
from jaxcoopt.problem.box import hard_box
from jaxcoopt.problem.costs import curvature
from jaxcoopt.problem.problem import Allocation
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

Shares = Float[Array, "nodes runs"]


@pytree
@dataclass(frozen=True)
class CurvatureState:
    """x, to twice the float type's digits; size: of x; price and stiffness, the latter f_i'' and what `bounds` adds;
    wire: of the price; flow: what went from tail to head, None without momentum; sides: the box; memory: what
    `bounds` remembers.
    """

    x: Total
    size: Size
    price: Shares
    wire: Wire
    stiffness: Shares
    flow: Float[Array, "edges runs"] | None
    sides: tuple[Shares, Shares]
    memory: Any


@pytree
@dataclass(frozen=True)
class CurvatureFlow(AllocationMethod):
    """x_i += sum_j phi_ij,   phi_ij = beta phi_ij(last) + c / max(h_i d_i, h_j d_j) (q(p_j) - q(p_i)).

    c = `gain` in (0, 1), beta = `momentum` in [0, 1), scalars or [runs] (momentum None: 0, and no flows are kept); h_i
    = f_i'' plus what `bounds` adds to it, d_i the live neighbours at this iteration, h_i d_i sent as an 8-bit code;
    phi(last) is 0 where a link was not there; p_i = f_i' plus the slope of `bounds`. With `Limit` what flows is cut so
    that the box holds at every iteration, and it may stall where full nodes cut the graph; with `Multiplier` it does
    not stall, and the box may be crossed on the way. Costs that are flat (f_i'' = 0) all over a box are refused, and
    flat stretches are warned of: use `DualFlow` there.
    """

    gain: Scalar = setting(0.9, above=0, below=1, doc="Of what flows along a link.")
    momentum: Scalar = setting(0.0, least=0, below=1, optional=True, doc="Of the heavy-ball term, in [0, 1).")
    bounds: Bounds = setting(Limit(), part=Bounds, example=BOUNDS, doc="How the bounds are kept.")
    flat_costs: ClassVar[FlatCosts] = "refused"

    @property
    def keeps_box(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """With `Limit`."""
        return self.bounds.keeps_box

    def init(self, allocation: Allocation, x: Pair, now: Round) -> CurvatureState:
        """At rest at x."""
        at, memory = x.value, self.bounds.init(x.value)
        price, stiff = price_at(self.bounds, memory, allocation, at), stiffness(self.bounds, memory, allocation, at)
        sides = hard_box(allocation, at)
        farthest = farthest_of(sides) if self.keeps_box else np.inf
        return CurvatureState(
            x=total_of(x),
            size=first_size(x, price, stiff, now, farthest),
            price=price,
            wire=now.open(price, codes=3 if self.bounds.keeps_box else 1),
            stiffness=stiff,
            flow=None if self.momentum is None else jnp.zeros((now.links.edges.count, at.shape[1]), at.dtype),
            sides=sides,
            memory=memory,
        )

    def update(self, state: CurvatureState, allocation: Allocation, now: Round) -> CurvatureState:
        """What flows between the prices as sent; then the new prices and stiffnesses are sent."""
        links = now.links
        degree = links.degree().reshape(state.price.shape[0], -1)
        stiff = now.stored(codes.above(state.stiffness * degree))
        known = now.heard(state.wire, state.price)
        (price_tail, stiff_tail), (price_head, stiff_head) = links.at_ends((known, stiff))
        live = links.weight() > 0
        weight = jnp.where(
            live, along_runs(self.gain, known) / jnp.maximum(jnp.maximum(stiff_tail, stiff_head), 1e-30), 0
        )
        push = weight * now.difference(price_head, price_tail)
        if state.flow is not None:
            push = push + jnp.where(live, along_runs(self.momentum, known) * state.flow, 0)
        flow = now.stored(push)
        if self.bounds.keeps_box:
            flow = now.stored(limited(flow, state.x, state.sides, now))
        x = state.x.plus(carried(flow, now, state.x.grid))
        at = x.exact
        slope = curvature(allocation.cost, at) if self.bounds.needs_curvature else None
        memory = self.bounds.update(state.memory, at, slope, allocation.lower, allocation.upper)
        price = price_at(self.bounds, memory, allocation, at)
        bend = stiffness(self.bounds, memory, allocation, at)
        kept = None if state.flow is None else flow
        size, wire = state.size.after(size_of(x, now)), now.send(state.wire, price)
        return CurvatureState(x, size, price, wire, bend, kept, state.sides, memory)

    def outgrown(self, state: CurvatureState) -> Bool[Array, ""]:
        """Whether x has outgrown its units."""
        return outgrown(state.size, state.x)

    def refresh(self, state: CurvatureState, most: Most) -> CurvatureState:
        """The same state in units that fit."""
        x, size, _ = in_fitting_units(state.x, state.size, most)
        return replace(state, x=x, size=size)

    def estimate(self, state: CurvatureState) -> Shares:
        """Where the nodes stand: x."""
        return state.x.exact
