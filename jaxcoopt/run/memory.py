"""What a run needs of memory, known before anything of it is allocated."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.arrays import float_dtype
from jaxcoopt.containers import free_memory
from jaxcoopt.errors import at_least_one
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.platform import choices
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.problem.samples import shape_of
from jaxcoopt.run.check import check_run, received, received_start
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.prepare import prepare
from jaxcoopt.run.shards import devices_for, program_for, spread_shapes
from jaxcoopt.shown import briefly
from jaxcoopt.theory.auto import with_placeholders

# Bytes of the host that a first run takes beside its arrays, for the compiler and its programs: with one half, and what
# the second adds. Measured at 44 to 94 MiB for an allocation alone, 55 to 141 MiB for both (tests/test_engine.py).
COMPILING, SECOND_HALF = 112 * 2**20, 56 * 2**20
MORE_OF_A_GPU = (
    "; JAX takes 75 % of a GPU's memory, and more with XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 in the environment"
)


@dataclass(frozen=True)
class Memory:
    """Bytes that `runs` runs take on their device, as the compiler lays them out, and that are free there.

    setup: problem, network and settings; state: what the runs take along; working: what an iteration needs beside it;
    compiling: what the compiler and its programs take, where the device shares the host's memory.
    """

    runs: int
    setup: int
    state: int
    working: int
    compiling: int
    available: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.setup + self.state + self.working + self.compiling

    @property
    def most_runs(self) -> int:
        """How many runs would fit: state and working memory grow with them."""
        room = self.available - self.setup - self.compiling
        return max(0, room * self.runs // max(1, self.state + self.working))

    def __str__(self) -> str:
        parts = {
            "problem and network": self.setup,
            "state": self.state,
            "working": self.working,
            "compiling": self.compiling,
        }
        sizes = ", ".join(f"{name} {readable(size)}" for name, size in parts.items())
        return (
            f"{self.runs} runs need {readable(self.total)} ({sizes}); {readable(self.available)} are free, "
            f"enough for {self.most_runs} runs"
        )

    def __repr__(self) -> str:
        return f"Memory: {self}"


def memory(
    problem: Problem, network: Network, method: CoOptimizer, runs: int = 1, *, initial: Initial | None = None
) -> Memory:
    """What `solve` with these arguments will need: its program is compiled and asked, nothing is allocated or run.

    Raises ValueError or TypeError for what `solve` does not take.
    """
    runs = at_least_one("runs", runs)
    problem, network, method = received(problem, network, method)
    initial = received_start(initial)
    check_run(problem, network, with_placeholders(method), runs, 0, initial)
    return layout_of(problem, network, method, runs, initial)


def layout_of(
    problem: Problem, network: Network, method: CoOptimizer, runs: int, initial: Initial | None = None
) -> Memory:
    """As `memory`, of arguments that are checked."""
    method = with_placeholders(method)
    setup, carry = jax.eval_shape(
        lambda problem, network, initial: prepare(problem, network, method, runs, 0, initial, None, Optimum()),
        problem,
        network,
        initial,
    )
    lengths, count = jax.ShapeDtypeStruct((choices().records,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)
    setup, carry = spread_shapes(setup, carry)
    layout: Any = program_for(runs).lower(setup, carry, lengths, count).compile().memory_analysis()
    working = layout.temp_size_in_bytes + layout.output_size_in_bytes - layout.alias_size_in_bytes
    devices, state = devices_for(runs), _bytes(carry)
    given = layout.argument_size_in_bytes - state // devices
    # CPU devices share the host's memory. On others the state starts out on the first one.
    on_host = jax.default_backend() == "cpu"
    times = devices if on_host else 1
    compiling = compiler_memory(problem) if on_host else 0
    return Memory(runs, times * given, state, times * working, compiling, available())


def compiler_memory(problem: Problem) -> int:
    """Bytes of the host for compiling a problem's program."""
    both = problem.allocation is not None and problem.training is not None
    return COMPILING + both * SECOND_HALF


def check_memory(problem: Problem, network: Network, method: CoOptimizer, runs: int, initial: Initial | None) -> None:
    """Raise MemoryError, with the number of runs that would fit, for a run that the device has no room for."""
    if at_most(problem, network, method, runs) + compiler_memory(problem) < available() // 4:
        return
    need = layout_of(problem, network, method, runs, initial)
    if need.total > need.available:
        more = "" if of_device() is None else MORE_OF_A_GPU
        raise MemoryError(
            f"runs: {need}; ask for fewer at a time, or for fewer samples (of a batch, too) or parameters{more}"
        )


def available() -> int:
    """Bytes free on the default device."""
    own = of_device()
    return free_memory() if own is None else own.limit - own.taken


@briefly
@dataclass(frozen=True)
class OfDevice:
    """Bytes that JAX may take of a device's own memory, and those that it has taken."""

    limit: int
    taken: int


def of_device() -> OfDevice | None:
    """Of the default device; None where it shares the host's memory, or does not tell.

    Unless told otherwise, JAX takes three quarters of a GPU's memory when it starts, and the limit is that.
    """
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return None
    return OfDevice(stats["bytes_limit"], stats.get("bytes_in_use", 0))


def at_most(problem: Problem, network: Network, method: CoOptimizer, runs: int) -> int:
    """A bound far above what is needed, from the sizes alone: where even that fits, nothing need be compiled."""
    given = sum(np.size(leaf) for leaf in jax.tree.leaves((problem, network)))
    numbers = scores = 0
    if problem.training is not None:
        loss, (_, samples) = problem.training.loss, shape_of(problem.training.features)
        params = params_like(loss, problem.training.one_sample)
        numbers, scores = sum(leaf.size for leaf in jax.tree.leaves(params)), samples * loss.outputs
        if method.training is not None and (drawn := method.training.batch_size) is not None:
            sample = sum(leaf.size for leaf in jax.tree.leaves(problem.training.features)) / (network.nodes * samples)
            scores = max(scores, drawn * (int(sample) + 1 + loss.outputs))  # a record goes through all samples
    links = 8 * network.edges.count if network.fails else 0
    each = network.nodes * (100 + 30 * numbers + 4 * scores) + links
    return (4 * given + runs * each) * np.dtype(float_dtype()).itemsize


def _bytes(tree: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def readable(size: float | int) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
