"""What is minimised: numbers of a result, for the runs of one start; smooth, as they are differentiated.

The cost alone is no objective: outside its box, or off its budget, an allocation may cost what the optimum costs and be
far from it. The error is 0 at the optimum only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from jaxcoopt.arrays import shown
from jaxcoopt.errors import one_number, positive, unknown_name
from jaxcoopt.run.result import Result

Objective = Callable[[Result], Any]
Trace = Float[Array, "records runs"]


def error(result: Result) -> Trace:
    """How far the nodes are from the optimum, relative to its cost; allocation and training added.

    Allocation, of cost gap g, budget residual r and box violation v:

        |g + 2 (|price| |b| r + bound_price v) / |cost*|| + r + v / mean share

    which is |g| while budget and box hold. Convexity has g >= -(|price| |b| r + bound_price v) / |cost*|, so a cost
    saved by leaving them counts as much as one that is too high. Training: |gap| + (consensus error / |parameters*|)^2;
    squared, as the loss at the nodes' own parameters exceeds that of their mean by about so much.
    """
    _check_trace(result)
    parts = [
        part(result)
        for name, part in (("allocation_gap", _allocation_error), ("training_gap", _training_error))
        if name in result.trace
    ]
    if not parts:
        raise ValueError(
            f"objective: the result has no gap (its trace: {', '.join(result.trace)}); pass a function of the result"
        )
    return sum(parts[1:], start=parts[0])


def _check_trace(result: object) -> None:
    if not isinstance(getattr(result, "trace", None), Mapping):
        raise TypeError(f"result: expected what jaxcoopt.solve returns, got {shown(result)}")


def log_error(result: Result) -> Trace:
    """log10 of the error, no less than rounding."""
    found = error(result)
    return jnp.log10(found + jnp.finfo(found.dtype).eps)


def final(result: Result) -> Array:
    """log10 of the error at the end, the mean over the runs."""
    return log_error(result)[-1].mean()


def worst(result: Result) -> Array:
    """log10 of the error at the end in the worst run."""
    return log_error(result)[-1].max()


def area(result: Result) -> Array:
    """The mean over all records of log10 of the error: the area under the curve."""
    return log_error(result).mean()


def at_bits(bits: float) -> Objective:
    """log10 of the error when the mean node has sent so many bits, between the records around it; NaN where a run ends
    before.
    """
    one_number("bits", bits)
    positive("bits", bits)

    def error_at_bits(result: Result) -> Array:
        def of_run(sent: Array, error: Array) -> Array:
            return jnp.interp(jnp.asarray(bits, sent.dtype), sent, error, right=jnp.nan)

        return jax.vmap(of_run, in_axes=1)(result.trace["bits"], log_error(result)).mean()

    return error_at_bits


OBJECTIVES: dict[str, Objective] = {"final": final, "worst": worst, "area": area}


def objective_of(given: str | Objective) -> Objective:
    """By name, or as it is."""
    if callable(given):
        return given
    if not isinstance(given, str):
        raise TypeError(f"objective: expected a name, or a function of a Result, got {shown(given)}")
    if given not in OBJECTIVES:
        raise unknown_name("objective", given, (*OBJECTIVES, "jaxcoopt.objectives.at_bits(...)"))
    return OBJECTIVES[given]


def parts_at_end(result: Result) -> dict[str, Float[Array, " runs"]]:
    """What the error is made of, by name, at the last record: gaps, budget residual, and as parts of the mean share and
    of the optimal parameters' size the box violation and the consensus error.
    """
    _check_trace(result)
    last = {name: jnp.abs(values[-1]) for name, values in result.trace.items()}
    names = ("allocation_gap", "budget_residual", "box_violation", "training_gap", "consensus_error")
    found = {name.replace("_", " "): last[name] for name in names if name in last}
    if "box violation" in found:
        found["box violation"] = found["box violation"] / _mean_share(result)
    if "consensus error" in found:
        found["consensus error"] = found["consensus error"] / _size(result)
    return found


def _allocation_error(result: Result) -> Trace:
    gap, residual, violation = (result.trace[name] for name in ("allocation_gap", "budget_residual", "box_violation"))
    best, dtype = result.optimum, gap.dtype
    bounds, price, cost = (_number(each, dtype) for each in (best.bound_price, best.price, best.allocation_cost))
    saved = residual * _row(jnp.abs(price) * _budget(result)) + violation * _row(bounds)
    return jnp.abs(gap + 2 * saved / _row(_or_one(jnp.abs(cost)))) + residual + violation / _row(_mean_share(result))


def _training_error(result: Result) -> Trace:
    return jnp.abs(result.trace["training_gap"]) + (result.trace["consensus_error"] / _row(_size(result))) ** 2


def _row(value: Array) -> Array:
    """Scalar or [runs] to stand beside [records, runs]."""
    return value[None] if value.ndim else value


def _number(value: ArrayLike | None, dtype: DTypeLike) -> Array:
    """A constant of the optimum; 0 where it is not known."""
    return jnp.asarray(0 if value is None else value, dtype)


def _or_one(value: Array) -> Array:
    return jnp.where(value == 0, 1, value)


def _shares(result: Result) -> Array:
    """The optimal ones, or where they are not known those of the end; a constant for derivatives."""
    x = result.allocation if result.optimum.allocation is None else result.optimum.allocation
    return lax.stop_gradient(jnp.asarray(x, result.trace["allocation_gap"].dtype))


def _budget(result: Result) -> Array:
    """What the residual is relative to: |b|, or 1 where b is 0 to rounding."""
    x = _shares(result)
    budget, rounding = jnp.abs(x.sum(axis=0)), 16 * jnp.finfo(x.dtype).eps * jnp.abs(x).sum(axis=0)
    return jnp.where(budget > rounding, budget, 1)


def _mean_share(result: Result) -> Array:
    """mean |x_i|, 1 where all are 0."""
    return _or_one(jnp.abs(_shares(result)).mean(axis=0))


def _size(result: Result) -> Array:
    """The Euclidean norm of the optimal parameters, scalar or [runs]; 1 where it is 0 or not known."""
    dtype = result.trace["consensus_error"].dtype
    if result.optimum.params is None:
        return jnp.ones((), dtype)
    stars, own = jax.tree.leaves(result.optimum.params), jax.tree.leaves(result.params)
    squares = [  # of leaves [*shape] or [*shape, runs], where a node's own are [nodes, *shape, runs]
        (jnp.asarray(star, dtype) ** 2).sum(axis=tuple(range(leaf.ndim - 2)))
        for star, leaf in zip(stars, own, strict=True)
    ]
    return jnp.sqrt(_or_one(sum(squares[1:], start=squares[0])))
