"""When a run stops: at a tolerance, or as an object of the user's own says."""

import abc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxcoopt.arrays import Numbers, shown
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.errors import traced
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.status import WATCHED, converged
from jaxcoopt.setting import Scalar, setting

STOPS = "jaxcoopt.Tolerance(1e-6), or an object of a class derived from jaxcoopt.Stop"
ITERATION, MEAN_SHARE = "iteration", "mean_share"  # told beside the statistics


class Stop(abc.ABC):
    """Which runs are to stop: they stand still from there on, with the status CONVERGED, and a call returns when all
    have left.

    One of one's own is a subclass with `stops`. Runs are looked at in every 10th iteration up to 640, in every 20th up
    to 1,280, and so on, whatever is recorded, and at the end.
    """

    @abc.abstractmethod
    def stops(self, record: Mapping[str, Any]) -> Any:
        """Flags [runs], True for a run that is to stop; once it has, it is not asked again.

        record: name to [runs], all that a trace has (statistics, bits, seconds, one's own metrics), the "iteration",
        and the "mean_share", the budget over the number of nodes. What is not read is not computed.
        """

    def may_stop(self, record: Mapping[str, Any]) -> Any:
        """The same from what takes no pass over the samples (all but "training_loss" and "training_gap"), where that
        can rule runs out; None: it cannot. Where no run is left, the samples are not gone through.
        """
        return None

    def check(self, name: str, problem: Problem, optimum: Optimum) -> None:
        """Raise ValueError where it lacks something that it reads; name: that of the argument."""
        return


@pytree
@dataclass(frozen=True)
class Tolerance(Stop):
    """A run stops once its gaps, budget residual, box violation (over the mean share) and consensus error are at most
    `tol`, a number or [runs]. What `tol=` of `jaxcoopt.solve` says.
    """

    tol: Scalar = setting(above=0, tuned=None, doc="The largest error of a run that has converged.")

    def stops(self, record: Mapping[str, Any]) -> Bool[Any, " runs"]:
        """Where all are."""
        return converged({name: record[name] for name in WATCHED if name in record}, self.tol, record[MEAN_SHARE])

    def may_stop(self, record: Mapping[str, Any]) -> Bool[Any, " runs"]:
        """Where all are that take no pass over the samples."""
        return self.stops(record)

    def check(self, name: str, problem: Problem, optimum: Optimum) -> None:
        """A run can only be told to have converged where the optimum of each half is known."""
        if problem.training is not None and not problem.training.loss.convex:
            raise ValueError(
                f"{name}: it compares with the optimum, and a non-convex loss has none; leave {name} out, or give as "
                "stop= a rule of your own (jaxcoopt.Stop)"
            )
        for half, known in (("allocation", optimum.allocation_cost), ("training", optimum.training_loss)):
            if getattr(problem, half) is not None and known is None:
                raise ValueError(
                    f"{name}: the optimum of the {half} half is not known; pass optimum=jaxcoopt.reference(problem)"
                )


class LazyRecord(Mapping[str, Any]):
    """What a `Stop` reads of a run: statistics that are there, and others that are computed when they are read."""

    def __init__(self, statistics: Mapping[str, Any], others: Mapping[str, Callable[[], Any]]) -> None:
        self._statistics, self._others = statistics, others

    def __getitem__(self, name: str) -> Any:
        return self._others[name]() if name in self._others else self._statistics[name]

    def __contains__(self, name: object) -> bool:
        return name in self._others or name in self._statistics

    def __iter__(self) -> Iterator[str]:
        yield from self._statistics
        yield from self._others

    def __len__(self) -> int:
        return len(self._statistics) + len(self._others)


def stopping(stop: Stop, record: Mapping[str, Any], runs: int, early: bool = False) -> Bool[Array, " runs"] | None:
    """What `stops` says, or `may_stop`, looked at. Raises ValueError or TypeError for what are no flags."""
    asked, kind = stop.may_stop if early else stop.stops, type(stop).__name__
    try:
        flags = asked(record)
    except KeyError as error:
        raise ValueError(
            f"stop: {kind}.{asked.__name__} reads {shown(error.args[0])}, which is not recorded of this problem; there "
            f"are {', '.join(record)}"
        ) from error
    if early and flags is None:
        return None
    if not isinstance(flags, jax.Array | np.ndarray | np.bool | bool) or jnp.asarray(flags).dtype != bool:
        raise TypeError(f"stop: {kind}.{asked.__name__} gives {shown(flags)}, expected flags [runs], such as from <=")
    if np.shape(flags) not in ((), (runs,)):
        shape = np.shape(flags)
        raise ValueError(f"stop: {kind}.{asked.__name__} gives shape {shape}, expected [runs] = ({runs},)")
    return flags if isinstance(flags, jax.Array) and flags.shape else jnp.broadcast_to(jnp.asarray(flags), (runs,))


def stopping_at_end(
    stop: Stop, last: Mapping[str, Numbers], iteration: Numbers, share: Numbers, runs: int
) -> Bool[Any, " runs"]:
    """The same of the last record; in NumPy where it is known and the stop the package's."""
    record = {**last, ITERATION: iteration, MEAN_SHARE: share}
    if isinstance(stop, Tolerance):
        return stop.stops(record)
    found = _flags(stop, record)
    return found if traced(found) else np.asarray(found)


@compiled_soon
def _flags(stop: Stop, record: dict[str, Any]) -> Bool[Array, " runs"]:
    flags = stopping(stop, record, record["bits"].shape[0])
    assert flags is not None
    return jnp.asarray(flags)


def tol_of(stop: Stop | None) -> float | None:
    """The number that `tol=` would be; None where there is none."""
    if type(stop) is not Tolerance or traced(stop) or np.ndim(stop.tol):
        return None
    return float(stop.tol)


def beside_tol(stop: Stop | None) -> Stop | None:
    """The stop, where it is no such number."""
    return None if tol_of(stop) is not None else stop
