"""What a run writes down, and how often."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxcoopt.arrays import float_dtype
from jaxcoopt.errors import at_least_one, listed, shown, unknown_name
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.network.network import Network
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.metric import TRAJECTORIES, Metric
from jaxcoopt.shown import briefly

STATISTICS = 5  # of a record, or more
STANDS = {"allocation": "allocation", "params": "training"}
"""What of an estimate may be recorded at each record, and the half that it belongs to."""


@briefly
@dataclass(frozen=True)
class Record:
    """What is recorded of a run beside the library's own statistics, and how often.

    every: iterations from one record to the next; None: a hundredth of the run. metrics: `Metric`s of one's own.
    trajectories: "allocation", "params" or both, recorded as the nodes stand at each record. nodes: labels of the nodes
    whose trajectories are recorded; None: all. Trajectories take records x nodes x runs numbers of memory.
    training_every: the training loss and gap, which take a pass over all samples, are evaluated at the first record at
    or after each multiple of so many iterations, at the end and where a run stops, and stand in the records between;
    None: at every record. Inside jit they are evaluated at every record.
    """

    every: int | None = None
    metrics: Sequence[Metric] = ()
    trajectories: Sequence[str] = ()
    nodes: Sequence[Hashable] | None = None
    training_every: int | None = None


@briefly
@dataclass(frozen=True)
class Extra:
    """A `Record` as the compiled loop takes it: nodes by number, nothing that can change between calls."""

    metrics: tuple[Metric, ...] = ()
    trajectories: tuple[str, ...] = ()
    nodes: tuple[int, ...] | None = None

    def of(self, problem: Problem, estimate: Estimate, runs: int) -> dict[str, Any]:
        """The metrics by name, and "trajectories" where there are some."""
        found: dict[str, Any] = {metric.name: metric.of(problem, estimate, runs) for metric in self.metrics}
        if self.trajectories:
            chosen = slice(None) if self.nodes is None else np.array(self.nodes)
            stands = {name: getattr(estimate, name) for name in self.trajectories}
            found[TRAJECTORIES] = jax.tree.map(lambda leaf: leaf[chosen], stands)
        return found


def received_record(record: Record | None, record_every: object = None) -> Record:
    """The record with tuples in place of lists; record_every: a shorthand for its `every`.

    Raises TypeError or ValueError for what is none.
    """
    if record is None:
        record = Record()
    if not isinstance(record, Record):
        raise TypeError(f"record: expected a jaxcoopt.Record, got {shown(record)}")
    if record.every is not None and record_every is not None:
        raise ValueError("record_every: record has every, too; give one of them")
    name, every = ("record.every", record.every) if record_every is None else ("record_every", record_every)
    every = None if every is None else at_least_one(name, every)
    none = isinstance(record.metrics, list | tuple) and not record.metrics
    metrics = () if none else tuple(listed("record.metrics", record.metrics, Metric))
    twice = {each.name for each in metrics if [other.name for other in metrics].count(each.name) > 1}
    if twice:
        raise ValueError(f"record.metrics: two are called {min(twice)}; give each a name of its own")
    stands = [record.trajectories] if isinstance(record.trajectories, str) else record.trajectories
    if not isinstance(stands, list | tuple):
        raise TypeError(f"record.trajectories: expected names of {list(STANDS)}, got {shown(stands)}")
    if not isinstance(record.nodes, list | tuple | None):
        raise TypeError(f"record.nodes: expected a list of labels (network.labels), got {shown(record.nodes)}")
    seldom = record.training_every
    seldom = None if seldom is None else at_least_one("record.training_every", seldom)
    return Record(every, metrics, tuple(stands), None if record.nodes is None else tuple(record.nodes), seldom)


def extra_of(record: Record, problem: Problem, network: Network) -> Extra | None:
    """What the loop is to record besides; None where that is nothing.

    Raises ValueError for trajectories of a half that is not there, and for nodes that the network has not.
    """
    for name in record.trajectories:
        if not isinstance(name, str) or name not in STANDS:
            raise unknown_name("record.trajectories", name, list(STANDS))
        if getattr(problem, STANDS[name]) is None:
            raise ValueError(f"record.trajectories: {name!r} is given, but the problem has no {STANDS[name]}")
    nodes = None
    if record.nodes is not None:
        if not record.trajectories:
            raise ValueError("record.nodes: they are those of trajectories; say which, such as trajectories=['params']")
        nodes = tuple(_number(label, network) for label in record.nodes)
        if not nodes:
            raise ValueError("record.nodes: expected one or more labels, got none")
    if record.training_every is not None and problem.training is None:
        raise ValueError("record.training_every: it is given, but the problem has no training")
    if not (record.metrics or record.trajectories):
        return None
    return Extra(tuple(record.metrics), tuple(record.trajectories), nodes)


def record_bytes(record: Record, problem: Problem, nodes: int, runs: int) -> int:
    """What one record of all runs takes, or a little less."""
    nodes = nodes if record.nodes is None else len(record.nodes)
    numbers = STATISTICS + len(record.metrics) + nodes * ("allocation" in record.trajectories)
    if "params" in record.trajectories and problem.training is not None:
        params = params_like(problem.training.loss, problem.training.one_sample)
        numbers += nodes * sum(leaf.size for leaf in jax.tree.leaves(params))
    return runs * numbers * np.dtype(float_dtype()).itemsize


def _number(label: Hashable, network: Network) -> int:
    labels = network.labels
    try:
        return labels.index(label)
    except ValueError:
        some = ", ".join(map(repr, labels[:3]))
        raise ValueError(
            f"record.nodes: the network has no node {shown(label)}; its {len(labels)} nodes are called {some}, ... "
            "(network.labels)"
        ) from None
