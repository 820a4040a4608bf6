"""What must hold of a sweep before anything of it runs."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Int

from jaxcoopt.errors import at_least_one, finite
from jaxcoopt.layout import along, axes_of_leaves
from jaxcoopt.problem.reference import Optimum, run_count
from jaxcoopt.run.check import check_run, check_stop
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.names import Trio
from jaxcoopt.run.own_parts import check_part
from jaxcoopt.run.stops import Stop
from jaxcoopt.study.plan import Plan
from jaxcoopt.study.store_size import is_count
from jaxcoopt.theory.auto import check_auto, with_placeholders

BLOCK = 256  # points that are looked at together
ALONE = " (run 0)"  # no news where a point was looked at by itself
FOUND_LATER = Optimum(allocation_cost=np.zeros(()), training_loss=np.zeros(()))


def check_points(plan: Plan, initial: Initial | None = None, stop: Stop | None = None) -> None:
    """Raise ValueError or TypeError for the first settings that cannot be run, with the point that they belong to."""
    if stop is not None:
        check_part("stop", stop, {"runs": 1})
    for indices in blocks(plan):
        error = _error(plan, indices, initial, stop)
        if error is not None:
            indices, error = _first_bad(plan, indices, initial, stop, error)
            raise type(error)(f"at {where(plan, indices)}: {str(error).replace(ALONE, '')}") from error


def _error(
    plan: Plan, indices: Int[np.ndarray, "axes points"], initial: Initial | None, stop: Stop | None
) -> ValueError | TypeError | None:
    """What is wrong with points of one group."""
    try:
        trio = plan.columns(indices)
        check_run(trio.problem, trio.network, with_placeholders(trio.method), indices.shape[1], 0, initial, trio.clock)
        check_auto(trio.method, trio.problem, trio.network)
        check_stop(stop, trio.problem, FOUND_LATER, 1)
    except (ValueError, TypeError) as error:
        return error
    return None


def _first_bad(
    plan: Plan, indices: Int[np.ndarray, "axes points"], initial: Initial | None, stop: Stop | None, error: Exception
) -> tuple[Int[np.ndarray, "axes some"], Exception]:
    """The first point that is wrong by itself and how, found by halving; all of them where none is."""
    part = indices
    while part.shape[1] > 1:
        half = part[:, : part.shape[1] // 2]
        part = part[:, half.shape[1] :] if _error(plan, half, initial, stop) is None else half
    alone = _error(plan, part, initial, stop)
    return (indices, error) if alone is None else (part, alone)


def blocks(plan: Plan) -> Iterator[Int[np.ndarray, "axes points"]]:
    """All points, group by group, not too many at once."""
    fixed = [range(1) if rides else range(size) for size, rides in zip(plan.shape, plan.rides, strict=True)]
    riding = [size if rides else 1 for size, rides in zip(plan.shape, plan.rides, strict=True)]
    points = np.stack([line.ravel() for line in np.meshgrid(*map(np.arange, riding), indexing="ij")])
    for group in itertools.product(*fixed):
        for start in range(0, points.shape[1], BLOCK):
            yield points[:, start : start + BLOCK] + np.array(group)[:, None]


def where(plan: Plan, indices: Int[np.ndarray, "axes points"]) -> str:
    """The settings that the points share, or those of the first with a word on the rest."""
    at = list(zip(plan.axes, indices[:, 0], strict=True))
    first = [f"{name}={axis.labels[name][i]}" for axis, i in at for name in axis.labels]
    rest = f" and the {indices.shape[1] - 1} points after it" if indices.shape[1] > 1 else ""
    return ", ".join(first) + rest


def check_base(trio: Trio) -> None:
    """Settings of what a sweep starts from are scalars: the runs axis is the sweep's own."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(trio.method):
        if np.ndim(leaf):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(
                f"method.{name}: expected a scalar, got shape {np.shape(leaf)}; give its values in the grid, "
                f"{{'{name}': [...]}}"
            )
    for root, part in (("network", trio.network), ("clock", trio.clock)):
        for (path, leaf), axes in zip(jax.tree_util.tree_leaves_with_path(part), axes_of_leaves(part), strict=True):
            if along(leaf, axes, ("runs",)) is not None:
                name = jax.tree_util.keystr(path, simple=True, separator=".")
                raise ValueError(f"{root}.{name}: expected a scalar; give its values in the grid")
    if run_count(trio.problem) > 1:
        raise ValueError("problem: its numbers have a runs axis, which is the sweep's own; give each node one number")


def check_seeds(seeds: object) -> Int[np.ndarray, " seeds"]:
    """The run number of each seed: 0 .. seeds - 1, or those given."""
    if is_count(seeds):
        return np.arange(at_least_one("seeds", seeds, 63))
    numbers = finite("seeds", seeds)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"seeds: expected how many, or a list of run numbers, got shape {numbers.shape}")
    if (numbers != np.round(numbers)).any() or (numbers < 0).any() or (numbers >= 2**31).any():
        raise ValueError("seeds: expected whole numbers from 0 to 2^31 - 1")
    if len(np.unique(numbers)) < len(numbers):
        raise ValueError("seeds: one is there twice")
    return numbers.astype(np.int64)
