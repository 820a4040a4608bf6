"""What is minimised: numbers of a result, for the runs of one start; smooth, as they are differentiated."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcoopt.arrays import shown
from jaxcoopt.errors import one_number, positive, unknown_name
from jaxcoopt.run.result import Result

Objective = Callable[[Result], Any]
GAPS = ("allocation_gap", "training_gap")


def log_gap(result: Result) -> Float[Array, "records runs"]:
    """log10 of the gaps' sum, no less than rounding; allocation and training together, as far as they are recorded."""
    if not isinstance(getattr(result, "trace", None), Mapping):
        raise TypeError(f"result: expected what jaxcoopt.solve returns, got {shown(result)}")
    gaps = [jnp.abs(result.trace[name]) for name in GAPS if name in result.trace]
    if not gaps:
        raise ValueError(
            f"objective: the result has no gap (its trace: {', '.join(result.trace)}); pass a function of the result"
        )
    total = sum(gaps[1:], start=gaps[0])
    return jnp.log10(total + jnp.finfo(total.dtype).eps)


def final(result: Result) -> Array:
    """log10 of the gap at the end, the mean over the runs."""
    return log_gap(result)[-1].mean()


def worst(result: Result) -> Array:
    """log10 of the gap at the end in the worst run."""
    return log_gap(result)[-1].max()


def area(result: Result) -> Array:
    """The mean over all records of log10 of the gap: the area under the curve."""
    return log_gap(result).mean()


def at_bits(bits: float) -> Objective:
    """log10 of the gap when the mean node has sent so many bits, between the records around it; NaN where a run ends
    before.
    """
    one_number("bits", bits)
    positive("bits", bits)

    def gap_at_bits(result: Result) -> Array:
        def of_run(sent: Array, gap: Array) -> Array:
            return jnp.interp(jnp.asarray(bits, sent.dtype), sent, gap, right=jnp.nan)

        return jax.vmap(of_run, in_axes=1)(result.trace["bits"], log_gap(result)).mean()

    return gap_at_bits


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
