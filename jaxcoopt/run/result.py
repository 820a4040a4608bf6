"""What a run gives back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcoopt.errors import require
from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState
from jaxcoopt.methods.phases import is_phases
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.drive import Record, ending
from jaxcoopt.run.loop import Carry, Setup
from jaxcoopt.run.status import Status

UNITS = {
    "allocation_cost": "cost",
    "allocation_gap": "relative to the optimum",
    "budget_residual": "relative to max(|b|, sum |x|)",
    "box_violation": "CPU units",
    "training_loss": "loss",
    "training_gap": "relative to the optimum",
    "consensus_error": "root mean square over nodes",
    "bits": "bits sent by the mean node",
    "seconds": "simulated seconds",
}


@pytree
@dataclass(frozen=True)
class Result:
    """Where the nodes stand at the end, and the trace of statistics.

    allocation: [nodes, runs]; params: leaves [nodes, *shape, runs]; trace: name to [records, runs], see `UNITS`;
    iterations: [records]; status: [runs], numbers of `Status`; left: [runs], the iteration at which each run left.
    """

    allocation: Float[Array, "nodes runs"] | None
    params: Params | None
    trace: dict[str, Float[Array, "records runs"]]
    iterations: Int[Array, " records"]
    status: Int[Array, " runs"]
    left: Int[Array, " runs"]
    optimum: Optimum
    method: CoOptimizer
    state: CoState

    @property
    def mean_params(self) -> Params:
        """The model that the network agrees on, the mean over the nodes: leaves [*shape, runs]."""
        return jax.tree.map(lambda leaf: leaf.mean(axis=0), self.params)

    def to_xarray(self) -> Any:
        """The trace as an xarray.Dataset [iteration, run], and the allocation [node, run]; the method's settings are
        coordinates over the runs where they differ between them, else attributes. Needs the `report` extra.
        """
        xarray = require("xarray", extra="report")
        variables = {
            name: (("iteration", "run"), np.asarray(values), {"units": UNITS[name]})
            for name, values in self.trace.items()
        }
        if self.allocation is not None:
            variables["allocation"] = (("node", "run"), np.asarray(self.allocation), {"units": "CPU units"})
        runs = len(self.status)
        coordinates: dict[str, Any] = {
            "iteration": np.asarray(self.iterations),
            "run": np.arange(runs),
            "status": ("run", [Status(int(code)).name for code in self.status]),
            "left": ("run", np.asarray(self.left)),
        }
        attributes: dict[str, Any] = {}
        for name, leaf in _settings(self.method):
            if jnp.ndim(leaf):
                coordinates[name] = ("run", np.asarray(leaf))
            else:
                attributes[name] = np.asarray(leaf).item()
        return xarray.Dataset(variables, coordinates, attributes)


def _settings(method: CoOptimizer) -> Iterator[tuple[str, Any]]:
    """By name, each a scalar or [runs]; those of phases as name[0], name[1], ... and name.until[0], ..."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(method, is_leaf=is_phases):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if is_phases(leaf):
            yield from ((f"{name}[{i}]", value) for i, value in enumerate(leaf.values))
            yield from ((f"{name}.until[{i}]", end) for i, end in enumerate(leaf.until))
        else:
            yield name, leaf


def result_of(
    setup: Setup, carry: Carry, records: Record, iterations: Int[np.ndarray, " records"], method: CoOptimizer
) -> Result:
    """What a loop of any kind leaves: its last carry, and one record after each of `iterations`."""
    trace, status, left = ending(setup, records)
    recorded = jnp.asarray(iterations[: len(records["converged"])])
    recorded = recorded.at[-1].set(carry.iteration.astype(recorded.dtype))  # earlier, where all runs have converged
    estimate = setup.method.estimate(carry.state)
    return Result(
        allocation=estimate.allocation,
        params=estimate.params,
        trace=trace,
        iterations=recorded,
        status=status,
        left=recorded[left],
        optimum=setup.optimum,
        method=method,
        state=carry.state,
    )
