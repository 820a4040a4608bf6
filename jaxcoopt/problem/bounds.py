"""How bounds are kept: by what is added to a node's price, or by limits on what may flow."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxcoopt.along_runs import along_runs
from jaxcoopt.arrays import Numbers, there
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

Shares = Float[Array, "nodes runs"]
Side = Numbers | None  # a bound, which may be absent
BOUNDS = "one of jaxcoopt.bounds, such as Penalty()"


class Bounds(abc.ABC):
    """What a flow does about lo_i <= x_i <= hi_i; the bounds broadcast against x, None or infinite where absent."""

    keeps_box: ClassVar[bool] = False  # flows are cut so that the box holds at every iteration
    needs_curvature: ClassVar[bool] = False  # `update` is given f_i'', [nodes, runs]

    def init(self, x: Shares) -> PyTree:
        """What the nodes remember about their bounds; None where they need not."""
        return None

    def update(self, memory: PyTree, x: Shares, curvature: Shares | None, lower: Side, upper: Side) -> PyTree:
        """The memory after a move to x."""
        return memory

    def stiffness(self, memory: PyTree, x: Shares, curvature: Shares, lower: Side, upper: Side) -> Shares:
        """d slope / dx, what is added to f_i'' [nodes, runs]; here by differentiation."""
        slope = lambda at: self.slope(memory, at, lower, upper)  # noqa: E731
        return jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]

    @abc.abstractmethod
    def slope(self, memory: PyTree, x: Shares, lower: Side, upper: Side) -> Shares:
        """What is added to the price df_i/dx."""


@pytree
@dataclass(frozen=True)
class Penalty(Bounds):
    """Smooth penalty on leaving [lo, hi], with eps = `weight` and s = `sharpness` (scalars or [runs]).

    form "softplus": eps softplus(s (x - hi)) / s + eps softplus(s (lo - x)) / s
    form "square":   eps max(x - hi, 0)^2 + eps max(lo - x, 0)^2, without `sharpness`

    Its slope is added to the price. Biased: the gap stops at a floor set by eps and s. A softplus pushes back by
    at most eps: below the bound's shadow price the box does not hold. Source: arXiv 2510.25176, section III.
    """

    weight: Scalar = setting(20.0, least=0, doc="The price far outside.")
    sharpness: Scalar = setting(50.0, above=0, doc="One over the width of the edge, in CPU units.")
    form: Literal["softplus", "square"] = setting(
        "softplus", choices=("softplus", "square"), doc="The penalty's shape."
    )

    def slope(self, memory: PyTree, x: Shares, lower: Side, upper: Side) -> Shares:
        """d penalty / dx."""
        over, under = excess(x, lower, upper)
        return self._one_sided(*over) - self._one_sided(*under)

    def _one_sided(self, excess: Array, bounded: Numbers | np.bool_) -> Array:
        weight, sharpness = along_runs(self.weight, excess), along_runs(self.sharpness, excess)
        push = jax.nn.sigmoid(sharpness * excess) if self.form == "softplus" else 2 * jnp.maximum(excess, 0)
        return jnp.where(bounded, weight * push, 0)


Excess = tuple[
    Shares, Numbers | np.bool_
]  # how far x is beyond a bound, and whether there is such a bound; 0 where there is none


def excess(x: Shares, lower: Side, upper: Side) -> tuple[Excess, Excess]:
    """x - hi and lo - x."""
    over = _beyond(upper, lambda bound: x - bound, x)
    return over, _beyond(lower, lambda bound: bound - x, x)


def _beyond(bound: Side, by: Callable[[Array], Shares], x: Shares) -> Excess:
    if bound is None:
        return jnp.zeros_like(x), jnp.zeros((), bool)
    bounded = there(bound)
    return jnp.where(bounded, by(jnp.where(bounded, bound, 0)), 0), bounded


@pytree
@dataclass(frozen=True)
class Multiplier(Bounds):
    """u_hi = max(u_hi + kappa h_i (x_i - hi_i), 0), u_lo likewise; u_hi - u_lo is added to the price.

    kappa = `gain`, scalar or [runs]; h_i = f_i''. At rest all bounds hold and all prices are equal; the box may be
    crossed on the way. Source: Arrow, Hurwicz, Uzawa, Studies in linear and non-linear programming (1958), local to
    each node.
    """

    gain: Scalar = setting(0.5, above=0, doc="Of what a violation adds to the price.")
    needs_curvature: ClassVar[bool] = True

    def init(self, x: Shares) -> tuple[Shares, Shares]:
        """(u_hi, u_lo), both 0."""
        return jnp.zeros_like(x), jnp.zeros_like(x)

    def update(self, memory: PyTree, x: Shares, curvature: Shares | None, lower: Side, upper: Side) -> PyTree:
        """One ascent step of both."""
        assert curvature is not None
        gain = along_runs(self.gain, x) * curvature
        sides = zip(memory, excess(x, lower, upper), strict=True)
        return tuple(jnp.maximum(u + jnp.where(bounded, gain * e, 0), 0) for u, (e, bounded) in sides)

    def slope(self, memory: PyTree, x: Shares, lower: Side, upper: Side) -> Shares:
        """u_hi - u_lo."""
        return memory[0] - memory[1]

    def stiffness(self, memory: PyTree, x: Shares, curvature: Shares, lower: Side, upper: Side) -> Shares:
        """kappa h where a multiplier is active: by so much the next one grows with x."""
        return jnp.where(memory[0] + memory[1] > 0, along_runs(self.gain, x) * curvature, 0)


@pytree
@dataclass(frozen=True)
class Limit(Bounds):
    """The flow on a link is scaled by min(s_j, t_i), s_j = min(1, (x_j - lo_j) / outflow_j) at the sender j and
    t_i = min(1, (hi_i - x_i) / inflow_i) at the receiver i: the box holds at every iteration, and prices stay f_i'.

    Inflow and outflow are the sums that would flow over a node's links; s and t are told in a second exchange, as codes
    of 8 bits rounded down. Alone it stalls where full or empty nodes cut the graph; see `DualFlow`.
    """

    keeps_box: ClassVar[bool] = True

    def slope(self, memory: PyTree, x: Shares, lower: Side, upper: Side) -> Shares:
        """0."""
        return jnp.zeros_like(x)
