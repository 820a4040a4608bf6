"""How many runs a chunk has."""

import jax
import numpy as np
import psutil

from jaxcoopt.run.memory import at_most, available, memory
from jaxcoopt.sweeps.chunk import Job

WIDEST = 256  # runs; more do not pay (benchmarks/NOTES.md)
COMPILER = 400 * 2**20  # bytes that compiling a program takes, about


def chunk_width(job: Job, limit: int | None) -> int:
    """At most `WIDEST` runs, fewer where they would not fit: limit, bytes that the whole process may take.

    Raises MemoryError where not even one run fits.
    """
    widest = min(WIDEST, int(np.prod(job.plan.shape)) * len(job.seeds))
    room = available() // 2
    if limit is not None:
        room = min(room, limit - psutil.Process().memory_info().rss - COMPILER)
    devices = jax.local_device_count() if jax.default_backend() == "cpu" else 1
    trio = job.plan.columns(np.zeros((len(job.plan.axes), widest), int))
    if devices * at_most(trio.problem, trio.network, widest) < room:
        return widest
    with jax.default_device(jax.local_devices()[0]):  # a chunk is on one device
        need = memory(trio.problem, trio.network, trio.method, widest)
    each = devices * (need.state + need.working) / widest
    fits = int((room - need.setup) // each)
    if fits < 1:
        given = "half of what is free" if limit is None else f"the {limit:,} bytes given"
        raise MemoryError(
            f"memory: a chunk of one run needs {need.setup + each:,.0f} bytes, and {max(0, room):,} are left of "
            f"{given} beside what the process has taken and the compiler will take"
        )
    return min(widest, fits)
