"""Build a sweep from its file, and run it or say what it would take."""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.notes import noted
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.sweep_axes import axes_of_keys
from jaxcoopt.experiments.sweep_tables import SweepExperiment
from jaxcoopt.run.memory import memory
from jaxcoopt.run.names import Trio
from jaxcoopt.shown import briefly
from jaxcoopt.study.batcher import Job, run_chunk
from jaxcoopt.study.store_layout import Layout
from jaxcoopt.study.sweep import check_size, finished, planned, spacing

TRIED, LONGER = 10, 110  # iterations that are timed to say how long all will take


@briefly
@dataclass(frozen=True)
class SweepEstimate:
    """points, groups (each compiled by itself), runs and chunks; bytes of memory and of the store; seconds in all."""

    points: int
    groups: int
    runs: int
    chunks: int
    chunk_runs: int
    memory: int
    store: int
    seconds: float


def play_sweep(
    settings: SweepExperiment, store: Path, *, limit: int | None = None, progress: bool = False
) -> tuple[Any, list[str]]:
    """Runs what the store lacks: (the xarray.Dataset, what was warned of).

    Raises what `jaxcoopt.sweep` raises.
    """
    with noted(settings.precision) as notes:
        job, layout = _planned(settings, store, limit)
        table = finished(job, layout, store, progress)
    return table, notes


def estimate(settings: SweepExperiment, store: Path, *, limit: int | None = None) -> SweepEstimate:
    """What it would take: the first chunk is compiled, and a few of its iterations are timed."""
    with jax.enable_x64(settings.precision == "float64"):
        job, layout = _planned(settings, store, limit)
        tiles, plan = layout.tiles, job.plan
        trio = plan.columns(tiles.indices((0,) * len(tiles.tile))[:-1])
        with jax.default_device(jax.local_devices()[0]):
            need = memory(trio.problem, trio.network, trio.method, tiles.runs)
        groups = math.prod(size for size, rides in zip(plan.shape, plan.rides, strict=True) if not rides)
        devices = min(jax.local_device_count(), len(tiles))
        return SweepEstimate(
            points=math.prod(plan.shape),
            groups=groups,
            runs=math.prod(tiles.shape),
            chunks=len(tiles),
            chunk_runs=tiles.runs,
            memory=need.setup + devices * (need.state + need.working),
            store=layout.bytes,
            seconds=_seconds(job, layout, groups, devices),
        )


def _planned(settings: SweepExperiment, store: Path, limit: int | None) -> tuple[Job, Layout]:
    if settings.shard != "runs":
        raise ValueError("shard: a sweep spreads its chunks of runs over the devices; leave it out")
    table = settings.model_dump(mode="json", exclude_none=True, exclude={"sweep"})
    base = build(Experiment.model_validate(table))
    steps, every = spacing(settings.steps, settings.record_every)
    check_size(base.problem, settings.sweep.size, settings.sweep.seeds, steps, every, store, len(base.record.metrics))
    return planned(
        Trio(base.problem, base.network, base.method, base.clock),
        axes_of_keys(table, settings.sweep, base),
        seeds=settings.sweep.seeds,
        steps=settings.steps,
        seed=settings.seed,
        record=base.record,
        initial=base.initial,
        tol=settings.tol,
        stop=base.stop,
        memory=limit,
        store=store,
        title=settings.title,
    )


def _seconds(job: Job, layout: Layout, groups: int, devices: int) -> float:
    """Compiling, once a group; for each chunk what it takes to begin, and its iterations at the pace of a few."""
    indices = layout.tiles.indices((0,) * len(layout.tiles.tile))

    def timed(steps: int) -> float:
        steps = min(job.steps, steps)
        every, start = min(job.record_every, steps), time.perf_counter()
        run_chunk(replace(job, steps=steps, record_every=every), indices)
        return time.perf_counter() - start

    first = timed(TRIED)
    few, more = (min(timed(steps) for _ in range(2)) for steps in (TRIED, LONGER))
    apart = min(job.steps, LONGER) - min(job.steps, TRIED)
    pace = max(0.0, more - few) / apart if apart else 0.0
    chunk = few + pace * (job.steps - min(job.steps, TRIED))
    return groups * max(0.0, first - few) + chunk * len(layout.tiles) / devices
