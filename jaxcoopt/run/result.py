"""What a run gives back."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jax.tree_util import KeyPath
from jaxtyping import Array, Float, Int

from jaxcoopt.arrays import Numbers
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.errors import require, traced
from jaxcoopt.host import as_jax, numpy_for
from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState, Estimate
from jaxcoopt.methods.schedule import is_schedule
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.calls import Records, ending
from jaxcoopt.run.loop import Carry, Setup
from jaxcoopt.run.metric import TRAJECTORIES
from jaxcoopt.run.record import Extra
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.run.status import Status
from jaxcoopt.shown import short

NODE = "recorded_node"  # the dimension of trajectories
TOLD = ("allocation_gap", "training_gap", "budget_residual", "consensus_error")  # by `repr`, as they ended


@pytree(static=("names", "extra"))
@dataclass(frozen=True)
class Result:
    """Where the nodes stand at the end, and the trace of statistics.

    allocation: [nodes, runs], in CPU units. params: leaves [nodes, *shape, runs]. trace: the name of a statistic to
    [records, runs], in the units of `units`. iterations: [records], when each record was made. status: [runs], how each
    run ended, as numbers of `Status`. left: [runs], the iteration of the record at which each run was seen to have
    converged, diverged or run out of steps. trajectories: what `Record.trajectories` asks for, name to [records, nodes,
    *shape, runs], of the nodes `trajectory_labels`. optimum: that gaps are measured against. method: as it was run,
    with numbers for "auto".

    state, names, extra: for the library's own use; see `labels` and `own_metrics`.
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
    names: tuple[Hashable, ...] | None = None
    trajectories: dict[str, Any] = field(default_factory=dict)
    extra: Extra | None = None

    @property
    def units(self) -> dict[str, str]:
        """The unit of each statistic of the trace."""
        own = {} if self.extra is None else {metric.name: metric.unit for metric in self.extra.metrics}
        return {name: (UNITS | own)[name] for name in self.trace}

    @property
    def own_metrics(self) -> list[str]:
        """The names of the user's own statistics."""
        return [name for name in self.trace if name not in UNITS]

    @property
    def trajectory_labels(self) -> tuple[Hashable, ...]:
        """What the nodes of the trajectories are called."""
        chosen = None if self.extra is None else self.extra.nodes
        return self.labels if chosen is None else tuple(self.labels[i] for i in chosen)

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """What the nodes are called, as `Network.labels`: row i of the allocation is that of labels[i]."""
        if self.names is not None:
            return self.names
        leaves = [self.allocation] if self.allocation is not None else jax.tree.leaves(self.params)
        return tuple(range(leaves[0].shape[0])) if leaves else ()

    @property
    def statuses(self) -> tuple[Status, ...]:
        """How each run ended, by name: Status.MAX_STEPS, Status.CONVERGED, ..."""
        return tuple(Status(int(code)) for code in np.asarray(self.status))

    @property
    def mean_params(self) -> Params:
        """The model that the network agrees on, the mean over the nodes: leaves [*shape, runs]."""
        return jax.tree.map(lambda leaf: leaf.mean(axis=0), self.params)

    def to_xarray(self) -> Any:
        """The trace as an xarray.Dataset [iteration, run], and the allocation [node, run] by the nodes' labels; the
        method's settings are coordinates over the runs where they differ between them, else attributes. Needs the
        `report` extra.
        """
        xarray = require("xarray", extra="report")
        variables: dict[str, Any] = {
            name: (("iteration", "run"), np.asarray(values), {"units": self.units[name]})
            for name, values in self.trace.items()
        }
        if self.allocation is not None:
            variables["allocation"] = (("node", "run"), np.asarray(self.allocation), {"units": "CPU units"})
        for path, rows in jax.tree_util.tree_leaves_with_path(self.trajectories):
            name = trajectory_name(path)
            inner = [f"{name}_{i}" for i in range(np.ndim(rows) - 3)]
            variables[name] = (("iteration", NODE, *inner, "run"), np.asarray(rows))
        runs = len(self.status)
        coordinates: dict[str, Any] = {} if self.allocation is None else {"node": node_coordinate(self.labels)}
        if self.trajectories:
            coordinates[NODE] = node_coordinate(self.trajectory_labels)
        coordinates |= {
            "iteration": np.asarray(self.iterations),
            "run": np.arange(runs),
            "status": ("run", [status.name for status in self.statuses]),
            "left": ("run", np.asarray(self.left)),
        }
        attributes: dict[str, Any] = {}
        for name, leaf in _settings(self.method):
            if jnp.ndim(leaf):
                coordinates[name] = ("run", np.asarray(leaf))
            else:
                attributes[name] = np.asarray(leaf).item()
        return xarray.Dataset(variables, coordinates, attributes)

    def to_pandas(self) -> Any:
        """The trace as a pandas.DataFrame: a column for each statistic, a row for each (iteration, run). Needs the
        `report` extra.
        """
        return self.to_xarray()[list(self.trace)].to_dataframe()[list(self.trace)]

    def _about(self) -> list[str]:
        """For `repr`."""
        status, records = self.status, len(self.iterations)
        first = f"Result: {status.shape[0]:,} run{'s' * (status.shape[0] != 1)}, "
        if traced(self.status, self.iterations, self.trace):
            first += f"{records:,} records, traced"
        else:
            ended = Counter(each.name for each in self.statuses)
            ends = ", ".join(f"{count:,} {name}" for name, count in ended.items())
            first += f"{int(self.iterations[-1]):,} iterations, {records:,} records; ended: {ends}"
        halves = {"allocation": self.allocation, "params": self.params}
        stands = [f"  {name} {short(value)}" for name, value in halves.items() if value is not None]
        method = [type(part).__name__ for part in (self.method.allocation, self.method.training) if part is not None]
        method += [type(channel).__name__ for channel in self.method.channels()]
        last = [f"{name} {_last(self.trace[name])}" for name in TOLD if name in self.trace]
        told = ["  at the end: " + ", ".join(last)] if last else []
        return [first, *stands, *told, f"  by {', '.join(method)}"]


def _last(values: Numbers) -> str:
    """The last record: one number, or from the least to the largest over the runs."""
    if traced(values):
        return "traced"
    row = np.asarray(values[-1], np.float64)
    low, high = f"{row.min():.2g}", f"{row.max():.2g}"  # NaN in any run is NaN here
    return low if low == high else f"{low} to {high}"


def node_coordinate(labels: Sequence[Hashable]) -> np.ndarray:
    """Numbers where all labels are whole numbers, else texts."""
    whole = all(isinstance(label, int | np.integer) and not isinstance(label, bool) for label in labels)
    return np.asarray(labels, np.int64) if whole else np.asarray([str(label) for label in labels])


def trajectory_name(path: KeyPath) -> str:
    """As datasets call the trajectory that stands there."""
    return f"{jax.tree_util.keystr(path, simple=True, separator='.')}_trajectory"


def _settings(method: CoOptimizer) -> Iterator[tuple[str, Any]]:
    """By name, each a scalar or [runs]; those of phases as name[0], name[1], ... and name.until[0], ..."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(method, is_leaf=is_schedule):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if is_schedule(leaf):
            yield from ((f"{name}[{i}]", value) for i, value in enumerate(leaf.values))
            yield from ((f"{name}.until[{i}]", end) for i, end in enumerate(leaf.until))
        else:
            yield name, leaf


def result_of(
    setup: Setup,
    carry: Carry,
    records: Records,
    iterations: Int[np.ndarray, " records"],
    method: CoOptimizer,
    names: tuple[Hashable, ...] | None = None,
) -> Result:
    """What a loop of any kind leaves: its last carry, and one record after each of `iterations`; names: the nodes'."""
    trace, status, left = ending(setup, records, carry.iteration)
    recorded = iterations[: len(records["converged"])].astype(canonicalize_dtype(iterations.dtype))
    xp = numpy_for(carry, status)
    last = carry.iteration if xp is jnp else np.asarray(carry.iteration)
    recorded = xp.concatenate([recorded[:-1], last.astype(recorded.dtype)[None]])  # earlier, where all have converged
    trace, status, left, recorded = as_jax((trace, status, recorded[left], recorded))
    estimate = _estimate(setup.method, carry.state)
    return Result(
        allocation=estimate.allocation,
        params=estimate.params,
        trace=trace,
        iterations=recorded,
        status=status,
        left=left,
        optimum=setup.optimum,
        method=method,
        state=carry.state,
        names=names,
        trajectories=records.get(TRAJECTORIES, {}),
        extra=setup.extra,
    )


@compiled_soon
def _estimate(method: CoOptimizer, state: CoState) -> Estimate:
    return method.estimate(state)
