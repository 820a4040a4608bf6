"""`sweep`: many settings and seeds as one job."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcoopt.arrays import float_dtype, shown
from jaxcoopt.describe import deciding, described
from jaxcoopt.errors import a_flag, at_least_one, check_seed
from jaxcoopt.escaping import TITLE
from jaxcoopt.files import located
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.check import received, received_clock, received_start, received_stop
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.names import Trio
from jaxcoopt.run.record import Record, extra_of, received_record
from jaxcoopt.run.statistics import UNITS
from jaxcoopt.run.stops import Stop, beside_tol, tol_of
from jaxcoopt.study.axes import Axis, Values, axes_of
from jaxcoopt.study.batcher import Job
from jaxcoopt.study.check import blocks, check_base, check_points, check_seeds
from jaxcoopt.study.chunk_width import chunk_width
from jaxcoopt.study.chunks import cut
from jaxcoopt.study.diverged import diverged_points
from jaxcoopt.study.plan import Plan, plan
from jaxcoopt.study.run_chunks import work_off
from jaxcoopt.study.store import Store
from jaxcoopt.study.store_layout import Layout
from jaxcoopt.study.store_size import bytes_of, check_room, points_in, seeds_in, size_in_bytes
from jaxcoopt.study.trajectories import Trajectories, trajectories_of
from jaxcoopt.theory.auto import warn_of_links

CLOCKS = ("bits", "seconds")
RECORDS = 20  # of a run, unless said otherwise


def sweep(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    grid: Mapping[str, Values] | Sequence[Mapping[str, Any]],
    *,
    seeds: int | Sequence[int] = 1,
    steps: int,
    seed: int = 0,
    record_every: int | None = None,
    record: Record | None = None,
    initial: Initial | None = None,
    tol: float | None = None,
    clock: Clock | None = None,
    stop: Stop | None = None,
    store: str | Path | None = None,
    memory: int | str | None = None,
    progress: bool = False,
    title: str = "sweep",
) -> Any:
    """Run every point of `grid` with every seed and return an xarray.Dataset over (names of grid, seed, iteration).

    grid: dotted name of a setting of method, problem, network or clock -> its values: a list of numbers or texts, or a
    dict label -> object (a network, a channel, a whole problem); or a list of points, each a dict name -> value
    (`sample` draws them at random). seeds: how many, or run numbers: seed r draws what run r of `solve` with this
    `seed` does, so that all points see the same starts, failures and batches. Statistics as in `solve`, `steps` / 20
    apart; `record` adds metrics of your own, and trajectories, the same nodes of all points.

    Numbers ride the runs axis; what changes shapes or code is compiled anew. Chunks of it, as large as `memory` allows
    (that the process may take, on a GPU of the GPU's, bytes or "4GiB"; None: half of what is free), go over all local
    devices, and over all processes after `jax.distributed.initialize`. store: a Zarr store, read with
    xarray.open_zarr(store, consolidated=False); killed and called again, it goes on where it stood, and ends with the
    same bits; files that are damaged are named in the log and made anew. None: in memory. Diverged runs have status 2
    and are warned of.

    Raises ValueError or TypeError for settings that cannot be run or a store made with others, OSError for a store that
    cannot be written or a disk too small, FileExistsError where another sweep writes, MemoryError where not even one
    chunk fits, or without a store not all of the numbers.
    """
    place, progress = None if store is None else located("store", store), a_flag("progress", progress)
    job, layout = planned(
        Trio(problem, network, method, received_clock(clock)),
        grid,
        seeds=seeds,
        steps=steps,
        seed=seed,
        record_every=record_every,
        record=record,
        initial=initial,
        tol=tol,
        stop=stop,
        memory=memory,
        store=place,
        title=title,
    )
    return finished(job, layout, place, progress)


def finished(job: Job, layout: Layout, store: Path | None, progress: bool = False) -> Any:
    """Runs what the store lacks, and warns of what its numbers do not show."""
    place = Store(store)
    warn_of_links(((trio.method, trio.network) for trio in job.plan.groups()), stacklevel=4)
    work_off(job, layout, place, progress)
    table = place.dataset()
    _warn(job, table)
    return table


def planned(
    trio: Trio,
    grid: Any,
    *,
    seeds: object,
    steps: int,
    seed: int = 0,
    record_every: int | None = None,
    record: Record | None = None,
    initial: Initial | None = None,
    tol: float | None = None,
    stop: Stop | None = None,
    memory: int | str | None = None,
    store: Path | None = None,
    title: str = "sweep",
) -> tuple[Job, Layout]:
    """What is to be run and how it is laid out, all checked."""
    limit = None if memory is None else size_in_bytes("memory", memory)
    record = received_record(record, record_every)
    steps, every = spacing(steps, record.every)
    seed, initial, stop = check_seed("seed", seed), received_start(initial), received_stop(tol, stop)
    if not isinstance(title, str):
        raise TypeError(f"title: expected a text, got {shown(title)}")
    if len(title) > TITLE:
        raise ValueError(f"title: expected {TITLE:,} letters at most, got {len(title):,}: {title:.60}")
    trio = Trio(*received(*trio[:3]), received_clock(trio.clock))
    check_base(trio)
    check_size(trio.problem, points_in(grid), seeds, steps, every, store, len(record.metrics))
    numbers = check_seeds(seeds)
    laid = plan(trio, grid if _are_axes(grid) else axes_of(grid, trio))
    check_points(laid, initial, stop)
    extra = extra_of(record, trio.problem, trio.network)
    job = Job(laid, steps, every, int(seed), numbers, stop, initial, extra, record.training_every)
    paths = trajectories_of(laid, extra)
    shape, rides = (*laid.shape, len(numbers)), (*laid.rides, True)
    tiles = cut(shape, rides, chunk_width(job, limit, paths.numbers))
    given = {"steps": steps, "record_every": every, "seed": seed, "seeds": numbers}
    given |= {"tol": tol_of(stop), "initial": initial} | _where_given(stop, record, paths)
    axes = {f"grid.{axis.dim}": {"names": list(axis.labels), "values": axis.entries} for axis in laid.axes}
    settings = {key: text for name, part in trio._asdict().items() for key, text in described(name, part).items()}
    layout = Layout(
        axes=laid.axes,
        seeds=numbers,
        iterations=np.cumsum(job.lengths),
        variables={name: UNITS[name] for name in _variables(laid)} | {own.name: own.unit for own in record.metrics},
        dtype=np.dtype(float_dtype()),
        tiles=tiles,
        settings=settings | described("sweep", given) | described("sweep", axes),
        versions=deciding(),
        title=title,
        trajectories=paths,
    )
    if record.trajectories:
        check_room(layout.runs, layout.bytes, store)
    return job, layout


def _where_given(stop: Stop | None, record: Record, paths: Trajectories) -> dict[str, Any]:
    """Of what most sweeps do without."""
    given: dict[str, Any] = {} if beside_tol(stop) is None else {"stop": stop}
    given |= {"metrics": record.metrics} if record.metrics else {}
    given |= {"training_every": record.training_every} if record.training_every else {}
    return given | ({"trajectories": record.trajectories, "nodes": paths.labels} if record.trajectories else {})


def spacing(steps: int, record_every: int | None) -> tuple[int, int]:
    """Iterations in all, and from one record to the next."""
    steps = at_least_one("steps", steps)
    return steps, max(1, steps // RECORDS) if record_every is None else at_least_one("record_every", record_every)


def check_size(
    problem: Problem, points: int, seeds: object, steps: int, every: int, store: Path | None, metrics: int = 0
) -> None:
    """Raise MemoryError or OSError for more numbers than there is room for, before any of the points is made."""
    runs, records = points * seeds_in(seeds), 1 + -(-steps // every)
    variables = len([*_statistics(problem), *CLOCKS]) + metrics
    check_room(runs, bytes_of(runs, records, variables, np.dtype(float_dtype()).itemsize), store)


def _are_axes(grid: object) -> bool:
    return isinstance(grid, tuple) and all(isinstance(axis, Axis) for axis in grid)


def _variables(plan: Plan) -> tuple[str, ...]:
    """The statistics that any of the points has."""
    problems = (plan.group(indices[:, 0].tolist()).problem for indices in blocks(plan))
    return (*dict.fromkeys(name for problem in problems for name in _statistics(problem)), *CLOCKS)


def _statistics(problem: Problem) -> Iterator[str]:
    """But for what was sent."""
    if problem.allocation is not None:
        yield from ("allocation_cost", "allocation_gap", "budget_residual", "box_violation")
    if problem.training is not None:
        yield from ("training_loss", "consensus_error")
        yield from ("training_gap",) if problem.training.loss.convex else ()


def _warn(job: Job, table: Any) -> None:
    """Of what the numbers do not show."""
    for note in dict.fromkeys(job.optima.notes):
        warnings.warn(note, RuntimeWarning, stacklevel=3)
    lines = diverged_points(table)
    if lines:
        warnings.warn("\n".join(lines), RuntimeWarning, stacklevel=3)
