"""A statistic of the user's own."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from numbers import Number
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.errors import shown
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.run.status import FLAGS
from jaxcoopt.shown import briefly

TRAJECTORIES = "trajectories"  # of a record: no statistic
TAKEN = (*UNITS, *FLAGS, TRAJECTORIES, "iteration", "run", "seed", "point", "node", "status", "left", "allocation")


@briefly
@dataclass(frozen=True)
class Metric:
    """A number for each run, recorded beside the library's own statistics.

    name: by which it stands in traces, tables and pictures. unit: one or two words for axes. function: (problem,
    estimate) -> [runs], written in `jax.numpy`; `estimate.allocation` is [nodes, runs], a leaf of `estimate.params`
    [nodes, *shape, runs]; the problem's numbers stand as nodes first, runs last. Each run's number may depend on that
    run alone, as runs may be spread over devices.

    A metric says nothing of whether a run has converged or diverged, and may be infinite. Reports rank the points of a
    sweep by its smallest values: record an error rather than an accuracy.

    >>> import jaxcoopt as jc
    >>> largest = jc.Metric("largest_share", "CPU units", lambda problem, estimate: estimate.allocation.max(axis=0))
    """

    name: str
    unit: str
    function: Callable[[Problem, Estimate], Float[Array, " runs"]]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"metric: expected a name such as largest_share, got {shown(self.name)}")
        if self.name in TAKEN:
            raise ValueError(f"metric {self.name}: the name is taken by what is recorded anyway; give another")
        if not isinstance(self.unit, str):
            raise TypeError(f"metric {self.name}: expected its unit as a text, got {shown(self.unit)}")
        if not callable(self.function):
            raise TypeError(f"metric {self.name}: expected a function (problem, estimate), got {shown(self.function)}")
        if not isinstance(self.function, Hashable):
            raise TypeError(f"metric {self.name}: its function cannot be hashed; give a plain function")

    def of(self, problem: Problem, estimate: Estimate, runs: int) -> Float[Array, " runs"]:
        """The number of each run. Raises ValueError or TypeError for what is none."""
        value: Any
        try:
            value = self.function(problem, estimate)
        except Exception as error:  # whatever the user's function raises
            raise TypeError(
                f"metric {self.name}: its function (problem, estimate) -> [runs] raised "
                f"{type(error).__name__}: {error!s:.200}"
            ) from error
        if not isinstance(value, jax.Array | np.ndarray | Number):
            raise TypeError(f"metric {self.name}: expected an array [runs], got {shown(value)}")
        value = jnp.asarray(value)
        if value.shape not in ((), (runs,)):
            raise ValueError(f"metric {self.name}: expected [runs] = ({runs},), got shape {value.shape}")
        if not (jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool) or jnp.iscomplexobj(value):
            raise TypeError(f"metric {self.name}: expected real numbers, got {value.dtype}")
        like = problem.work if estimate.allocation is None else estimate.allocation
        return jnp.broadcast_to(value.astype(jnp.asarray(like).dtype), (runs,))
