"""The compiled program called until the end, and what its records say of each run."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.host import as_jax, numpy_for
from jaxcoopt.run.loop import MOST_RECORDS, Carry, Setup
from jaxcoopt.run.progress import progress_bar
from jaxcoopt.run.shards import Spread, spread_runs
from jaxcoopt.run.status import FLAGS, converged, final_status, first_or_last, half_of, lost_halves

Record = dict[str, Any]
Placing = Callable[[Setup, Carry], Spread]

CALL_SECONDS = 0.2  # to a call, where records are closer: as often as a progress bar wants news


def intervals(steps: int, record_every: int) -> list[int]:
    """Iterations before each record, the first of which is iteration 0."""
    return [0, *[record_every] * (steps // record_every), *[steps % record_every] * (steps % record_every > 0)]


def drive(
    setup: Setup, carry: Carry, lengths: list[int], progress: bool = False, spread: Placing = spread_runs
) -> tuple[Carry, Record]:
    """Several records to a call, about `CALL_SECONDS` long, until the end or until every run has left."""
    runs = len(setup.runs)
    go, setup, carry, gather = spread(setup, carry)
    parts, at, count = [], 0, 1
    with progress_bar(progress, sum(lengths)) as report:
        while at < len(lengths):
            batch = lengths[at : at + count]
            begin = time.perf_counter()
            padded = np.array(batch + [0] * (MOST_RECORDS - len(batch)), np.int32)
            carry, *found = go(setup, carry, *as_jax((padded, np.int32(len(batch)))))
            records, made = jax.device_get(found)
            parts.append({name: rows[:made, :runs] for name, rows in records.items()})
            last = {name: rows[-1] for name, rows in parts[-1].items()}
            report(int(carry.iteration), last)
            if np.all(last["over"]):
                break
            if at:  # the first call compiles, and runs no iterations
                count = int(np.clip(CALL_SECONDS * made / (time.perf_counter() - begin), 1, MOST_RECORDS))
            at += made
    return gather(carry), jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


def ending(setup: Setup, records: Record) -> tuple[Record, Any, Any]:
    """The trace, each run's status and the record at which it left.

    After a half has left the finite numbers its last record stands, and the other half's go on. Seconds without an end
    are infinite in it: outside of what is compiled, where jax_debug_infs looks for infinities.
    """
    xp, trace = numpy_for(setup, records), {name: values for name, values in records.items() if name not in FLAGS}
    tol, share = (setup.tol, setup.mean_share) if xp is jnp else jax.device_get((setup.tol, setup.mean_share))
    done, over = records["converged"], records["over"]
    if setup.tol is not None:  # the end is looked at, too
        last = {name: values[-1] for name, values in trace.items()}
        ended = converged(last, tol, share)
        done, over = (xp.concatenate([flags[:-1], flags[-1:] | ended[None]]) for flags in (done, over))
    status, left = final_status(trace, done, records["diverged"], share)
    lost = {half: done | flags for half, flags in lost_halves(trace).items()}
    every = xp.arange(len(done))[:, None]
    rows = {half: xp.minimum(every, first_or_last(flags)[None]) for half, flags in (lost | {None: over}).items()}
    stands = {name: xp.take_along_axis(values, rows[half_of(name)], axis=0) for name, values in trace.items()}
    seconds = stands["seconds"]
    stands["seconds"] = xp.where(seconds < np.finfo(seconds.dtype).max, seconds, np.inf)
    return stands, status, left
