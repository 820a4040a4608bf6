"""Trajectories of a sweep's runs: which arrays they are, and what they take."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int

from jaxcoopt.problem.losses import params_like
from jaxcoopt.run.names import Trio
from jaxcoopt.run.record import Extra
from jaxcoopt.run.result import NODE, trajectory_name
from jaxcoopt.shown import briefly
from jaxcoopt.study.plan import Plan

COPIES = 3  # of a chunk's records, while they are put together and written


@briefly
@dataclass(frozen=True)
class Trajectories:
    """labels: of the recorded nodes; shapes: name to [nodes, *shape] of one record of one run."""

    labels: tuple[Hashable, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] | None = None

    @property
    def numbers(self) -> int:
        """Of one record of one run."""
        return sum(map(math.prod, (self.shapes or {}).values()))

    def dims(self, name: str) -> tuple[str, ...]:
        """After that of the iterations."""
        inner = len((self.shapes or {})[name]) - 1
        return (NODE, *(f"{name}_{i}" for i in range(inner)))


NONE = Trajectories()


def trajectories_of(plan: Plan, extra: Extra | None) -> Trajectories:
    """Those that are asked for. Raises ValueError where points differ in their nodes or in the shape of parameters."""
    if extra is None or not extra.trajectories:
        return NONE
    first, *others = map(_labels_and_shapes, plan.groups(), [extra] * math.prod(plan.shape))
    for other in others:
        if other != first:
            what = "nodes" if other[0] != first[0] else "shapes of what is recorded"
            raise ValueError(
                f"record.trajectories: the points of the grid differ in their {what}, and the trajectories of a sweep "
                "are one array; sweep them apart"
            )
    labels, shapes = first
    chosen = range(len(labels)) if extra.nodes is None else extra.nodes
    return Trajectories(tuple(labels[i] for i in chosen), {name: (len(chosen), *each) for name, each in shapes.items()})


def _labels_and_shapes(trio: Trio, extra: Extra) -> tuple[tuple[Hashable, ...], dict[str, tuple[int, ...]]]:
    stands = {}
    if "allocation" in extra.trajectories and trio.problem.allocation is not None:
        stands["allocation"] = jax.ShapeDtypeStruct((), float)
    if "params" in extra.trajectories and (training := trio.problem.training) is not None:
        stands["params"] = params_like(training.loss, training.one_sample)
    leaves = jax.tree_util.tree_leaves_with_path(stands)
    return trio.network.labels, {trajectory_name(path): np.shape(leaf) for path, leaf in leaves}


def until_left(rows: np.ndarray, last: Int[np.ndarray, " runs"]) -> np.ndarray:
    """[records, ..., runs], in which each run's record number `last` stands from there on."""
    at = np.minimum(np.arange(len(rows))[:, None], last)
    return np.take_along_axis(rows, at.reshape(len(rows), *[1] * (rows.ndim - 2), -1), axis=0)
