"""Chunks worked off: over the local devices, over processes, with a progress bar."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxcoopt.run.progress import counted_runs
from jaxcoopt.run.status import Status
from jaxcoopt.study.batcher import Job, Outcome, run_chunk
from jaxcoopt.study.processes import is_ours, meet
from jaxcoopt.study.store import Store
from jaxcoopt.study.store_layout import Layout

Chunk = tuple[int, ...]


def work_off(job: Job, layout: Layout, store: Store, progress: bool = False) -> None:
    """Runs what the store lacks, this process its share."""
    with store.locked() if jax.process_index() == 0 else nullcontext():
        layout = _opened(layout, store)
        tiles = layout.tiles
        ours = [chunk for number, chunk in enumerate(tiles) if is_ours(number)]
        missing = set(store.missing(ours))
        todo = [chunk for chunk in ours if chunk in missing]
        fresh = {_group(job, chunk) for chunk in todo}
        with counted_runs(progress, sum(map(tiles.size, ours)), len(fresh)) as done:
            before = [chunk for chunk in ours if chunk not in missing]
            done(sum(map(tiles.size, before)), None, store.diverged(tiles, before) if progress else 0)
            for chunk, outcome in _outcomes(job, layout, todo):
                store.write(tiles, chunk, outcome)
                inside, group = tiles.inside(chunk), _group(job, chunk)
                broken = int((outcome.status[inside] == Status.DIVERGED).sum())
                done(tiles.size(chunk), _news(outcome, inside), broken, group in fresh)
                fresh.discard(group)
        meet()


def _group(job: Job, chunk: Chunk) -> Chunk:
    """The indices of the axes that make groups, each of which is compiled by itself."""
    return tuple(at for at, rides in zip(chunk, job.plan.rides, strict=False) if not rides)


def _opened(layout: Layout, store: Store) -> Layout:
    """The first process makes or mends the store; all see that it is theirs."""
    if jax.process_count() > 1 and store.path is None:
        raise ValueError("store: several processes need one that all of them see; give a path")
    if jax.process_index() == 0:
        if store.exists:
            store.check(layout.settings, layout.versions)
            store.mend(replace(layout, tiles=store.tiles()))
        else:
            store.create(layout)
    meet()
    store.check(layout.settings, layout.versions)
    return replace(layout, tiles=store.tiles())


def _outcomes(job: Job, layout: Layout, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Outcome]]:
    """Each chunk's outcome, as it is done; a thread for each device, which has a chunk at a time."""
    devices = jax.local_devices()
    if len(devices) == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield chunk, run_chunk(job, layout.tiles.indices(chunk), device=devices[0])
        return
    waiting, running = iter(chunks), {}
    with ThreadPoolExecutor(len(devices)) as pool:

        def start(device: Any) -> None:
            for chunk in itertools.islice(waiting, 1):
                future = pool.submit(run_chunk, job, layout.tiles.indices(chunk), device=device)
                running[future] = chunk, device

        for device in devices:
            start(device)
        while running:
            finished: set[Future[Outcome]] = wait(running, return_when=FIRST_COMPLETED).done
            for future in finished:
                chunk, device = running.pop(future)
                start(device)
                yield chunk, future.result()


def _news(outcome: Outcome, inside: np.ndarray) -> str:
    """Where the runs of a chunk ended."""
    parts = []
    for name, label in (("training_gap", "training gap"), ("allocation_gap", "allocation gap")):
        last = outcome.traces[name][-1, inside] if name in outcome.traces else np.zeros(0)
        last = last[np.isfinite(last)]
        parts += [f"{label} {np.median(last):.1e}"] if last.size else []
    return ", ".join(parts)
