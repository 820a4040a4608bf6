"""The least an iteration can take on this machine, from rates measured in the same process."""

import functools
import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.engine.case import SAMPLES, Case
from benchmarks.engine.instance import Instance, make_channel
from jaxcoopt.compiler import LEAST_WIDE, options_for
from jaxcoopt.run.shards import split_like_runs
from jaxcoopt.shown import briefly

SECONDS, REPEATS = 0.02, 5  # of one timed call at least, and how many; the quickest counts
GEMM = 1024


@briefly
@dataclass(frozen=True)
class Floor:
    """bytes over bandwidth [bytes/s], and flops over the GEMM rate plus quantized values times the cost of one [s].

    The larger of the two is the floor. An iteration may come below it by a little: neighbours that several nodes read
    are in the cache by then, and the rates are those of the moment at which they were measured.
    """

    bytes: float
    bandwidth: float
    flops: float
    gemm_rate: float
    quantized: int
    quantize_seconds: float

    @property
    def memory_seconds(self) -> float:
        """What moving the bytes takes."""
        return self.bytes / self.bandwidth

    @property
    def compute_seconds(self) -> float:
        """What the operations take."""
        return self.flops / self.gemm_rate + self.quantized * self.quantize_seconds

    @property
    def seconds(self) -> float:
        """The floor of an iteration."""
        return max(self.memory_seconds, self.compute_seconds)

    def table(self) -> dict[str, Any]:
        """For the JSON."""
        times = {"memory_seconds": self.memory_seconds, "compute_seconds": self.compute_seconds}
        return asdict(self) | times | {"seconds": self.seconds}


def make_floor(instance: Instance) -> Floor:
    """Measures the three rates at the case's size, and counts."""
    case = instance.case
    dtype = jnp.dtype(case.precision)
    links = sum(matrix.nnz - case.nodes for matrix in instance.laplacians) / len(instance.laplacians)
    quantized = case.values if case.channel == "log" else 0
    return Floor(
        bytes=bytes_moved(case, links / case.nodes),
        bandwidth=bandwidth(working_set(case), dtype, case.runs),
        flops=gradient_flops(case),
        gemm_rate=gemm_rate(dtype),
        quantized=quantized,
        quantize_seconds=quantize_seconds(case, dtype) if quantized else 0.0,
    )


def gradient_flops(case: Case) -> float:
    """Of the shorter way to X^T (X y - t): by the Gram matrix, or through the samples."""
    return 2.0 * case.nodes * case.runs * case.params * min(case.params, 2 * SAMPLES)


def bytes_moved(case: Case, degree: float) -> float:
    """y, z, grad and x: one read and one write; each message: one write (quantized ones only) and degree + 1 reads;
    the data once, as Gram matrices where these are smaller.
    """
    state = 2 * case.nodes * case.runs * (3 * case.params + 1)
    messages = case.values * (degree + 1 + (case.channel == "log"))
    data = case.nodes * case.params * (min(case.params, SAMPLES) + 1)
    return float((state + messages + data) * case.float_bytes)


def working_set(case: Case) -> int:
    """Bytes of y, z, grad, x and the messages, which is what an iteration goes through."""
    return (case.nodes * case.runs * (3 * case.params + 1) + case.values) * case.float_bytes


def bandwidth(size: int, dtype: Any, runs: int) -> float:
    """Bytes a second of y = a x + y with x and y of `size` bytes together: two reads and a write each."""
    rows = max(1, size // (2 * dtype.itemsize * runs))
    a, shape = jnp.asarray(1e-3, dtype), (rows, runs)
    seconds = seconds_of(lambda at: (at[0], a * at[0] + at[1]), (jnp.ones(shape, dtype), jnp.zeros(shape, dtype)), runs)
    return 3 * rows * runs * dtype.itemsize / seconds


@functools.cache
def gemm_rate(dtype: Any) -> float:
    """Flops a second of a large matrix product in full precision; measured once a process."""
    a = jnp.full((GEMM, GEMM), 1 / GEMM, dtype)
    return 2 * GEMM**3 / seconds_of(lambda b: jnp.matmul(a, b, precision=lax.Precision.HIGHEST), a)


def quantize_seconds(case: Case, dtype: Any) -> float:
    """Of one value in a loop that does nothing else, over as many values as an iteration sends."""
    u = jnp.linspace(-3, 3, case.values, dtype=dtype).reshape(case.nodes, -1, case.runs)
    return seconds_of(make_channel(case).quantize, u, case.runs) / case.values


def seconds_of(function: Any, start: Any, runs: int = 1) -> float:
    """The quickest application of `function`, u -> function(u), inside a jitted loop.

    With the vectors that the engine asks for at 16 runs and more, and spread over as many devices as it spreads `runs`
    over, the last axis of all leaves: a floor measured with less would flatter it.
    """

    def loop_of(u: Any, length: Any) -> Any:
        return lax.fori_loop(0, length, lambda _, at: function(at), u)

    start, loop_of = split_like_runs(start, loop_of, runs)
    loop = jax.jit(loop_of, compiler_options=options_for(LEAST_WIDE))

    def timed(length: int) -> float:
        begin = time.perf_counter()
        jax.block_until_ready(loop(start, jnp.asarray(length, jnp.int32)))
        return time.perf_counter() - begin

    timed(1)  # compiles
    length = max(1, round(SECONDS / max(timed(1), 1e-9)))
    length = max(length, round(length * SECONDS / timed(length)))
    return min(timed(length) for _ in range(REPEATS)) / length
