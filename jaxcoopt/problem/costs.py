"""What it costs to run node i on x_i units of CPU: strictly convex, smooth, elementwise over [nodes, runs]."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.arrays import Given
from jaxcoopt.errors import finite, positive
from jaxcoopt.host import numpy_for
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting


class Cost(abc.ABC):
    """A cost family f_i(x_i); constants are scalars, [nodes] or [nodes, runs], and costs add with `+`."""

    @abc.abstractmethod
    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """f_i(x_i), each node and run for itself."""

    def domain(self) -> tuple[Any, Any]:
        """The open interval on which f_i is defined: (lower, upper), each broadcasting against [nodes, runs]."""
        return -jnp.inf, jnp.inf

    def __add__(self, other: "Cost") -> "Sum":
        return Sum((*terms_of(self), *terms_of(other)))

    def __radd__(self, other: int) -> "Cost":
        """Lets the built-in `sum`, which starts from 0, add costs."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


def terms_of(cost: Cost) -> tuple[Cost, ...]:
    """The costs that add up to it, itself where it is no sum."""
    return cost.terms if isinstance(cost, Sum) else (cost,)


@pytree
@dataclass(frozen=True)
class Quadratic(Cost):
    """f_i(x) = a_i/2 (x - c_i)^2 + o_i, with a_i = `curvature` > 0, c_i = `center`, o_i = `offset`."""

    curvature: Scalar = setting(above=0, axes=("nodes", "runs"), doc="Above 0.")
    center: Scalar = setting(axes=("nodes", "runs"), doc="The cheapest share, in CPU units.")
    offset: Scalar = setting(0.0, axes=("nodes", "runs"), doc="The cost there.")

    @classmethod
    def from_coefficients(cls, a: Given, b: Given, c: Given = 0.0) -> "Quadratic":
        """The same family written as a x^2 + b x + c, with a > 0."""
        a, b, c = positive("a", a), finite("b", b), finite("c", c)
        try:
            np.broadcast_shapes(a.shape, b.shape, c.shape)
        except ValueError as error:
            raise ValueError(
                f"a, b, c: expected scalars, [nodes] or [nodes, runs], got shapes {a.shape}, {b.shape} and {c.shape}"
            ) from error
        return cls(curvature=2 * a, center=-b / (2 * a), offset=c - b**2 / (4 * a))

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """a/2 (x - c)^2 + o."""
        return 0.5 * self.curvature * (x - self.center) ** 2 + self.offset


@pytree
@dataclass(frozen=True)
class Latency(Cost):
    """f_i(x) = work_i / x for x > 0: the seconds that `work` CPU-seconds take on x units of CPU."""

    work: Scalar = setting(above=0, axes=("nodes", "runs"), doc="CPU-seconds at one unit of CPU.")

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """work / x."""
        return self.work / x

    def domain(self) -> tuple[Any, Any]:
        """x > 0."""
        return 0.0, jnp.inf


@pytree
@dataclass(frozen=True)
class Power(Cost):
    """f_i(x) = p_i x^e for x > 0, e >= 1: the price (or carbon) of the power drawn at load x."""

    coefficient: Scalar = setting(above=0, axes=("nodes", "runs"), doc="Above 0.")
    exponent: Scalar = setting(2.0, least=1, hint=" for a convex cost", axes=("nodes", "runs"), doc="At least 1.")

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """p x^e."""
        return self.coefficient * x**self.exponent

    def domain(self) -> tuple[Any, Any]:
        """x > 0."""
        return 0.0, jnp.inf


@pytree
@dataclass(frozen=True)
class Queueing(Cost):
    """f_i(x) = 1 / (capacity_i - x) for x < capacity_i: the mean time in an M/M/1 queue served at `capacity`."""

    capacity: Scalar = setting(axes=("nodes", "runs"), doc="In CPU units, above every share.")

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """1 / (capacity - x)."""
        return 1.0 / (self.capacity - x)

    def domain(self) -> tuple[Any, Any]:
        """x < capacity."""
        return -jnp.inf, self.capacity


@pytree
@dataclass(frozen=True)
class Sum(Cost):
    """f_i = the sum of the terms; made by `cost + cost`."""

    terms: tuple[Cost, ...]

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """Sum of the terms' values."""
        return sum((term.value(x) for term in self.terms[1:]), start=self.terms[0].value(x))

    def domain(self) -> tuple[Any, Any]:
        """Where every term is defined."""
        lower, upper = zip(*(term.domain() for term in self.terms), strict=True)
        return _extreme(max, "maximum", lower), _extreme(min, "minimum", upper)


def _extreme(of_numbers: Callable[..., float], of_arrays: str, ends: tuple[Any, ...]) -> Any:
    """Numbers, which may be infinite, as they are; what jax.numpy made of them jax_debug_infs would find."""
    plain, arrays = ([end for end in ends if isinstance(end, float) == known] for known in (True, False))
    if not arrays:
        return of_numbers(plain)
    if plain and math.isfinite(of_numbers(plain)):
        arrays.append(of_numbers(plain))
    return reduce(getattr(numpy_for(arrays), of_arrays), arrays)


@pytree
@dataclass(frozen=True)
class Custom(Cost):
    """f_i = fn(x, parameters), any elementwise JAX function; parameters: scalars, [nodes] or [nodes, runs]."""

    fn: Callable[[Array, Any], Array] = setting(function="fn(x, parameters) in jax.numpy", doc="The cost.")
    parameters: Any = None

    def value(self, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
        """fn(x, parameters)."""
        return self.fn(x, self.parameters)


def marginal(cost: Cost, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
    """df_i/dx at x, by automatic differentiation (costs are elementwise, so one reverse pass gives all)."""
    return jax.grad(lambda at: cost.value(at).sum())(x)


def curvature(cost: Cost, x: Float[Array, "nodes runs"]) -> Float[Array, "nodes runs"]:
    """d2f_i/dx2 at x."""
    return jax.jvp(lambda at: marginal(cost, at), (x,), (jnp.ones_like(x),))[1]
