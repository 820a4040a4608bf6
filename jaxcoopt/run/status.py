"""How a run ended, decided from what was recorded."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from jaxcoopt.host import Numbers, numpy_for

HALVES = {
    "allocation": ("allocation_cost", "allocation_gap", "budget_residual", "box_violation"),
    "training": ("training_loss", "training_gap", "consensus_error"),
}
"""The statistics of each half: one may leave the finite numbers, and the other go on."""
OF_COST = ("allocation_cost", "allocation_gap")  # no numbers once a run has left the domain of its cost
WATCHED = ("allocation_gap", "training_gap", "budget_residual", "consensus_error", "box_violation")  # by a tolerance
FLAGS = ("converged", "diverged", "over")  # of a record: no statistics
BUDGET_TOLERANCE = 1e-4  # a finished run that misses its budget by more, relatively, is infeasible
BOX_TOLERANCE = 0.05  # so is one that stands outside its box by more than this part of the mean share
WORSE, WORSE_GAP = 10, 1e-3  # a gap that ends so many times above the start's, and above this, is warned of


class Status(IntEnum):
    """MAX_STEPS: ran out of steps; CONVERGED: reached `tol`, or stopped as `stop` says; DIVERGED: left the finite
    numbers or the domain of its cost; INFEASIBLE: finished off its budget or well outside its box.

    Whether shares are in the domain is seen in every iteration; whether numbers are finite, and budget and box, where
    the run is recorded and at its end (infinite shares and parameters stay so).
    """

    MAX_STEPS = 0
    CONVERGED = 1
    DIVERGED = 2
    INFEASIBLE = 3


STAYED = (Status.MAX_STEPS, Status.CONVERGED, Status.INFEASIBLE)


def converged(record: Mapping[str, Numbers], tol: ArrayLike, share: ArrayLike) -> Bool[Any, " runs"]:
    """True where every gap, the budget residual, the consensus error and the box violation are at most tol.

    The violation counts in mean CPU shares: outside the box a cost can pass the optimum's on its way down.
    """
    xp = numpy_for(record)
    flags = [xp.abs(record[name]) <= tol for name in WATCHED[:-1] if name in record]
    if "box_violation" in record:
        flags.append(record["box_violation"] <= tol * xp.abs(share))
    return xp.stack(flags).all(axis=0)


def diverged(record: Mapping[str, Numbers]) -> Bool[Any, " runs"]:
    """True where a recorded cost or error is not finite; simulated seconds may be infinite."""
    return ~jnp.stack([jnp.isfinite(value) for name, value in record.items() if name != "seconds"]).all(axis=0)


def lost_halves(record: Mapping[str, Numbers]) -> dict[str, Bool[Any, "*records runs"]]:
    """For each half that there is, True where one of its statistics is not finite."""
    xp = numpy_for(record)
    return {
        half: ~xp.stack([xp.isfinite(record[name]) for name in names if name in record]).all(axis=0)
        for half, names in HALVES.items()
        if any(name in record for name in names)
    }


def half_of(name: str) -> str | None:
    """The half that a statistic is of; None for bits and seconds, which are of both."""
    return next((half for half, names in HALVES.items() if name in names), None)


def first_or_last(flags: Bool[Any, "records runs"]) -> Int[Any, " runs"]:
    """The first record at which a run's flag is up, the last one where it never is."""
    xp = numpy_for(flags)
    return xp.where(flags.any(axis=0), xp.argmax(flags, axis=0), flags.shape[0] - 1)


def final_status(
    trace: dict[str, Float[Any, "records runs"]],
    done: Bool[Any, "records runs"],
    broken: Bool[Any, "records runs"],
    share: ArrayLike,
) -> tuple[Int[Any, " runs"], Int[Any, " runs"]]:
    """(status, record at which the run left) from the whole trace; share: the mean CPU share, scalar or [runs]."""
    xp, left = numpy_for(trace, done, broken, share), first_or_last(done | broken)
    at_end = lambda values: xp.take_along_axis(values, left[None], axis=0)[0]  # noqa: E731
    status = xp.where(at_end(done), int(Status.CONVERGED), int(Status.MAX_STEPS))
    if "budget_residual" in trace:
        off = at_end(trace["budget_residual"]) > BUDGET_TOLERANCE
        off |= at_end(trace["box_violation"]) > BOX_TOLERANCE * xp.abs(share)
        status = xp.where(off, int(Status.INFEASIBLE), status)
    return xp.where(at_end(broken), int(Status.DIVERGED), status), left


def worse_than_start(
    gap: Float[np.ndarray, "records runs"], status: Int[np.ndarray, " runs"], among: tuple[Status, ...] = STAYED
) -> list[str]:
    """What to say of runs whose allocation gap ended far above where it began; nothing where all went well.

    among: runs that ended otherwise are not looked at.
    """
    first, last = np.abs(gap[0]), gap[-1]
    runs = np.flatnonzero(np.isin(status, among) & (last > WORSE * first) & (last > WORSE_GAP))
    if not len(runs):
        return []
    worst = runs[np.argmax(last[runs])]
    return [
        f"{len(runs)} of {len(status)} runs ended much further from the optimum than they began, the worst went from "
        f"an allocation gap of {first[worst]:.1e} to {last[worst]:.1e}: make the allocation's step smaller (or "
        "step='auto'), or the channel finer"
    ]
