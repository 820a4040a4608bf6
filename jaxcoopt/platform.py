"""What differs between the compiled loop of a CPU and that of a GPU: every choice, with its reason, in one place."""

import os
from dataclasses import dataclass

import jax

from jaxcoopt.shown import briefly

FORCED = "JAXCOOPT_LOOP"  # "cpu" or "gpu": that loop, whatever the platform is, for tests and for compiling ahead


@briefly
@dataclass(frozen=True)
class Choices:
    """gathered: a node's neighbours are gathered at once and reduced, instead of one column after another. On a GPU
    that is one kernel whatever the degree, and nothing is stored; on a CPU it is [slots, nodes, ...] in memory.

    barriers: what several gathers read is kept from being computed again by an optimization barrier, instead of by a
    branch that is always taken. A branch is several kernels; XLA's CPU compiler sees through the barrier.

    pairs_reduced: compensated sums are one reduction of pairs, instead of a tree of log2(nodes) levels, which are as
    many kernels; the CPU compiler does not vectorise a reduction of pairs.

    newton_written_out: the Newton steps of a node's own problem are one kernel, instead of three for each; on a CPU the
    loop compiles in a third of the time.

    few_runs_as_rows: with few runs, all numbers of a node are one row of the loop's state. A CPU vectorises no loop as
    short as a few runs; a GPU copies every array twice for it.

    records: how many one call makes. A call is a turn through the host.

    runs_a_device: the least that another device is worth. A core's loops over fewer runs are too short for its vectors
    (benchmarks/NOTES.md); a GPU is busy with about 1,000, which is not measured yet.

    chunk_bytes: a sweep's chunks have as many runs as make one array of their parameters so large, and at least those
    that suit a core. 32 MiB leave room for a few arrays in a GPU's second-level cache; not measured yet.
    """

    gathered: bool
    barriers: bool
    pairs_reduced: bool
    newton_written_out: bool
    few_runs_as_rows: bool
    records: int
    runs_a_device: int
    chunk_bytes: int


CPU = Choices(
    gathered=False,
    barriers=False,
    pairs_reduced=False,
    newton_written_out=False,
    few_runs_as_rows=True,
    records=16,
    runs_a_device=16,
    chunk_bytes=0,
)
GPU = Choices(
    gathered=True,
    barriers=True,
    pairs_reduced=True,
    newton_written_out=True,
    few_runs_as_rows=False,
    records=64,
    runs_a_device=1024,
    chunk_bytes=2**25,
)


def choices() -> Choices:
    """Those of the platform that JAX runs on, or of the one that the environment variable JAXCOOPT_LOOP names."""
    return GPU if on_gpu() else CPU


def on_gpu() -> bool:
    """Whether the loop is one for a GPU. Raises ValueError for another JAXCOOPT_LOOP than "cpu" or "gpu"."""
    forced = os.environ.get(FORCED, "")
    if forced not in ("", "cpu", "gpu"):
        raise ValueError(f"{FORCED}: expected cpu or gpu, got {forced!r}")
    return (forced or jax.default_backend()) in ("gpu", "cuda", "rocm")
