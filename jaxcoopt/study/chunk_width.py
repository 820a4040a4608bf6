"""How many runs a chunk has."""

import jax
import numpy as np
import psutil

from jaxcoopt.arrays import float_dtype
from jaxcoopt.platform import choices
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.memory import at_most, available, layout_of, of_device
from jaxcoopt.run.names import Trio
from jaxcoopt.study.batcher import Job
from jaxcoopt.study.trajectories import COPIES

WIDEST = 256  # runs; more do not pay (benchmarks/NOTES.md)
COMPILER = 400 * 2**20  # bytes that compiling a program takes, about
SLACK = 1.05  # on what is said to do


def chunk_width(job: Job, limit: int | None, numbers: int = 0) -> int:
    """Runs of a job: as many as pay, or fewer where they would not fit; limit: bytes that the process may take, of the
    device's memory where it has its own; numbers: those of a run's trajectories in a record.
    """
    kept = COPIES * numbers * len(job.lengths) * np.dtype(float_dtype()).itemsize
    trio = job.plan.columns(np.zeros((len(job.plan.axes), 1), int))
    widest = min(widest_for(trio.problem, trio.network.nodes), int(np.prod(job.plan.shape)) * len(job.seeds))
    return fitting(job.plan.columns(np.zeros((len(job.plan.axes), widest), int)), widest, limit, kept)


def widest_for(problem: Problem, nodes: int) -> int:
    """How many runs pay: `WIDEST`, or on a GPU as many times that as make an array of the parameters large enough."""
    numbers = 1
    if problem.training is not None:
        like = params_like(problem.training.loss, problem.training.one_sample)
        numbers = sum(leaf.size for leaf in jax.tree.leaves(like))
    each = np.dtype(float_dtype()).itemsize * nodes * numbers
    return WIDEST * max(1, choices().chunk_bytes // each // WIDEST)


def fitting(trio: Trio, widest: int, limit: int | None = None, kept: int = 0) -> int:
    """How many of so many runs fit at once; kept: bytes of a run's records beside what they take otherwise.

    Raises MemoryError where not even one does.
    """
    room = available() // 2
    if limit is not None:
        room = min(room, limit - _taken())
    devices = jax.local_device_count() if jax.default_backend() == "cpu" else 1
    if devices * (at_most(*trio[:3], widest) + widest * kept) < room:
        return widest
    with jax.default_device(jax.local_devices()[0]):  # a chunk is on one device
        need = layout_of(trio.problem, trio.network, trio.method, widest)
    each = devices * ((need.state + need.working) / widest + kept)
    fits = int((room - need.setup) // each)
    if fits < 1:
        raise MemoryError(_too_small(need.setup + each, limit, room))
    return min(widest, fits)


def _too_small(run: float, limit: int | None, room: int) -> str:
    """What a chunk of one run lacks, in MiB."""
    taken = _taken()  # again, as finding out has taken some, too
    if limit is None or run > available() // 2:
        return f"memory: a chunk of one run needs {_mib(run)}, and half of what is free is {_mib(room)}"
    return (
        f"memory: {_mib(limit)} are too few; give at least about {_mib(SLACK * (taken + run))} (the process and its "
        f"compiler take about {_mib(taken)}, a chunk of one run {_mib(run)})"
    )


def _taken() -> int:
    """Bytes that the process has taken of the device's own memory, or of the host's, what its compiler will take
    included.
    """
    device = of_device()
    return psutil.Process().memory_info().rss + COMPILER if device is None else device.taken


def _mib(size: float | int) -> str:
    return f"{np.ceil(size / 2**20):,.0f} MiB"
