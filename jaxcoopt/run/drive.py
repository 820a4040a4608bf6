"""The compiled program called until the end, and what its records say of each run."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.errors import traced
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
            padded = jnp.asarray(batch + [0] * (MOST_RECORDS - len(batch)), jnp.int32)
            carry, records, made = go(setup, carry, padded, jnp.asarray(len(batch), jnp.int32))
            made = int(made)
            parts.append(jax.tree.map(lambda rows, made=made: np.asarray(rows)[:made, :runs], records))
            last = {name: rows[-1] for name, rows in parts[-1].items()}
            report(int(carry.iteration), last)
            if np.all(last["over"]):
                break
            if at:  # the first call compiles, and runs no iterations
                count = int(np.clip(CALL_SECONDS * made / (time.perf_counter() - begin), 1, MOST_RECORDS))
            at += made
    return gather(carry), jax.tree.map(lambda *rows: jnp.asarray(np.concatenate(rows)), *parts)


def ending(setup: Setup, records: Record) -> tuple[Record, jax.Array, jax.Array]:
    """The trace, each run's status and the record at which it left.

    After a half has left the finite numbers its last record stands, and the other half's go on. Seconds without an end
    are infinite in it: outside of what is compiled, where jax_debug_infs looks for infinities.
    """
    trace, status, left = _ending(setup, records)
    seconds = trace["seconds"]
    if traced(seconds):
        return trace | {"seconds": jnp.where(seconds < jnp.finfo(seconds.dtype).max, seconds, jnp.inf)}, status, left
    known = np.asarray(seconds)
    return trace | {"seconds": jnp.asarray(np.where(known < np.finfo(known.dtype).max, known, np.inf))}, status, left


@jax.jit
def _ending(setup: Setup, records: Record) -> tuple[Record, jax.Array, jax.Array]:
    trace = {name: values for name, values in records.items() if name not in FLAGS}
    done, over = records["converged"], records["over"]
    if setup.tol is not None:  # the end is looked at, too
        last = {name: values[-1] for name, values in trace.items()}
        ended = converged(last, setup.tol, setup.mean_share)
        done, over = (flags.at[-1].set(flags[-1] | ended) for flags in (done, over))
    status, left = final_status(trace, done, records["diverged"], setup.mean_share)
    lost = {half: done | flags for half, flags in lost_halves(trace).items()}
    every = jnp.arange(len(done))[:, None]
    rows = {half: jnp.minimum(every, first_or_last(flags)[None]) for half, flags in (lost | {None: over}).items()}
    stands = {name: jnp.take_along_axis(values, rows[half_of(name)], axis=0) for name, values in trace.items()}
    return stands, status, left
