"""The compiled program called until the end, and what its records say of each run."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.arrays import Numbers
from jaxcoopt.containers import free_memory
from jaxcoopt.errors import check_fits
from jaxcoopt.host import as_jax, numpy_for
from jaxcoopt.platform import choices
from jaxcoopt.run.loop import Carry, Setup
from jaxcoopt.run.metric import TRAJECTORIES
from jaxcoopt.run.progress import progress_bar
from jaxcoopt.run.shards import Spread, spread_runs
from jaxcoopt.run.status import FLAGS, final_status, first_or_last, half_of, lost_halves
from jaxcoopt.run.stops import stopping_at_end

Records = dict[str, Any]
Placing = Callable[[Setup, Carry], Spread]

ENTRY = 40  # bytes of a number in a list
CALL_SECONDS = 0.2  # to a call, where records are closer: as often as a progress bar wants news


def intervals(steps: int, record_every: int, start: int = 0, each: int = 0) -> list[int]:
    """Iterations before each record: those at the multiples of `record_every` and at the end; the first is iteration 0,
    where a run starts there. each: bytes that a record takes; raises MemoryError for more of them than fit.
    """
    each, free, count = each + ENTRY, free_memory(), 1 + -(-steps // record_every)
    check_fits("record_every: records", count, int(free // each), count * each, free)
    end = start + steps
    marks = [start, *range(start - start % record_every + record_every, end, record_every), end]
    return [0] * (start == 0) + [after - before for before, after in pairwise(marks)]


def drive(
    setup: Setup,
    carry: Carry,
    lengths: list[int],
    progress: bool = False,
    spread: Placing = spread_runs,
    start: int = 0,
) -> tuple[Carry, Records]:
    """Several records to a call, about `CALL_SECONDS` long, until the end or until every run has left; start: the
    iteration that the carry is of.
    """
    runs = len(setup.runs)
    if setup.evaluation is not None:
        end = as_jax(np.int32(start + sum(lengths)))
        setup = replace(setup, evaluation=replace(setup.evaluation, end=end))
    go, setup, carry, gather = spread(setup, carry)
    parts, at, count, most = [], 0, 1, choices().records
    with progress_bar(progress, sum(lengths)) as report:
        while at < len(lengths):
            batch = lengths[at : at + count]
            begin = time.perf_counter()
            padded = np.array(batch + [0] * (most - len(batch)), np.int32)
            carry, *found = go(setup, carry, *as_jax((padded, np.int32(len(batch)))))
            stacked, made = jax.device_get(found)
            records = stacked.apart()
            parts.append(jax.tree.map(lambda rows, made=made: rows[:made, ..., :runs], records))
            last = {name: parts[-1][name][-1] for name in records if name != TRAJECTORIES}
            report(int(carry.iteration) - start, last)
            if np.all(last["over"]):
                break
            if at:  # the first call compiles, and runs no iterations
                count = int(np.clip(CALL_SECONDS * made / (time.perf_counter() - begin), 1, most))
            at += made
    return gather(carry), jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


def ending(setup: Setup, records: Records, iteration: Numbers) -> tuple[Records, Any, Any]:
    """The trace, each run's status and the record at which it left; iteration: of the end.

    After a half has left the finite numbers its last record stands, and the other half's go on. Seconds without an end
    are infinite in it: outside of what is compiled, where jax_debug_infs looks for infinities.
    """
    xp = numpy_for(setup, records)
    trace = {name: values for name, values in records.items() if name not in (*FLAGS, TRAJECTORIES)}
    stop, share = (setup.stop, setup.mean_share) if xp is jnp else jax.device_get((setup.stop, setup.mean_share))
    done, over = records["converged"], records["over"]
    if stop is not None:  # the end is looked at, too
        last = {name: values[-1] for name, values in trace.items()}
        ended = stopping_at_end(stop, last, iteration, share, done.shape[1])
        done, over = (xp.concatenate([flags[:-1], flags[-1:] | ended[None]]) for flags in (done, over))
    status, left = final_status(trace, done, records["diverged"], share)
    lost = {half: done | flags for half, flags in lost_halves(trace).items()}
    every = xp.arange(len(done))[:, None]
    rows = {half: xp.minimum(every, first_or_last(flags)[None]) for half, flags in (lost | {None: over}).items()}
    stands = {name: xp.take_along_axis(values, rows[half_of(name)], axis=0) for name, values in trace.items()}
    seconds = stands["seconds"]
    stands["seconds"] = xp.where(seconds < np.finfo(seconds.dtype).max, seconds, np.inf)
    return stands, status, left
