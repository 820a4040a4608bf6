"""Times of an iteration: the slope between calls of few and of many iterations, so that a call's own cost falls out."""

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcoopt as jc
from benchmarks.gpu_program import Program
from jaxcoopt import compiler, platform
from jaxcoopt.run.loop import advance_records
from jaxcoopt.run.prepare import prepare

REPEATS = 5
TARGET = 0.1  # seconds that the longer call should take
MOST = 100_000  # iterations of it
WORKERS = 12  # programs that are compiled side by side


@dataclass(frozen=True)
class Slope:
    """Microseconds of one iteration: the median of several, the least and the most; and what a call costs beside."""

    us: float
    least: float
    most: float
    call_us: float
    iterations: int

    def json(self) -> dict[str, float]:
        """For the file; to four digits."""
        figures = {"us": self.us, "us_least": self.least, "us_most": self.most, "call_us": self.call_us}
        return {name: float(f"{value:.4g}") for name, value in figures.items()} | {"iterations": self.iterations}


def slope(advance: Callable[[int], None], unit: int = 2, target: float = TARGET, repeats: int = REPEATS) -> Slope:
    """advance(k) makes k iterations and waits for the device; k is a multiple of unit: graphs change in turns, and
    rivals replay so many at once.
    """

    def seconds(units: int) -> float:
        begin = time.perf_counter()
        advance(units * unit)
        return time.perf_counter() - begin

    for _ in range(2):  # the first compiles and makes a CUDA graph, the next one updates it
        seconds(1)
    many = 2
    while (taken := seconds(many)) < target / 3 and many * unit < MOST:
        many *= 4
    many = max(4, min(MOST // unit, round(many * target / taken)))
    few = max(1, many // 10)
    pairs = [(seconds(few), seconds(many)) for _ in range(repeats)]
    slopes = [1e6 * (long - short) / ((many - few) * unit) for short, long in pairs]
    middle = statistics.median(slopes)
    call = statistics.median([1e6 * short for short, _ in pairs]) - few * unit * middle
    return Slope(middle, min(slopes), max(slopes), max(call, 0.0), many * unit)


@dataclass
class Loop:
    """The compiled loop of one case and its arrays, which go on from call to call."""

    program: Any
    setup: Any
    carry: Any
    compile_seconds: float = 0.0

    def advance(self, iterations: int, records: int = 1) -> None:
        """So many iterations before each record, until the device is done."""
        lengths = np.zeros(platform.choices().records, np.int32)
        lengths[:records] = iterations
        self.carry, *rest = self.program(self.setup, self.carry, jnp.asarray(lengths), jnp.asarray(records, jnp.int32))
        jax.block_until_ready((self.carry, rest))

    def record_us(self, repeats: int = REPEATS) -> float:
        """Microseconds of a record: of a call that makes as many as it can, after no iteration each."""
        most = platform.choices().records
        times = []
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            self.advance(0, most)
            times.append(time.perf_counter() - begin)
        return 1e6 * statistics.median(times[1:]) / most

    def sizes(self) -> dict[str, int]:
        """Bytes of what stays the same, of the state, and of working memory."""
        layout = self.program.memory_analysis()
        return {
            "setup_bytes": _bytes(self.setup),
            "state_bytes": _bytes(self.carry),
            "working_bytes": int(getattr(layout, "temp_size_in_bytes", 0)),
        }


def _bytes(tree: Any) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def floor_us(sizes: Mapping[str, int], rates: Mapping[str, float]) -> float:
    """The state read and written once, and all else read once, at the speed of a copy that is as large; but
    no less than a turn of a loop takes.
    """
    state, rest = sizes["state_bytes"], sizes["setup_bytes"]
    bandwidth = rates["cached_bandwidth" if state + rest <= 2 * rates["cached_bytes"] else "copy_bandwidth"]
    return max(1e6 * (2 * state + rest) / bandwidth, rates["turn_us"])


def traced(program: Program, options: dict[str, Any] | None = None) -> tuple[Any, Any, Any]:
    """A case prepared and traced, with the platform's choices of now: (what can be compiled, setup, carry)."""
    problem, network = program.make()
    setup, carry = prepare(problem, network, program.method, program.runs, 0, None, None, jc.Optimum())
    setup, carry = jax.tree.map(jnp.asarray, (setup, carry))
    numbers = jnp.zeros(platform.choices().records, jnp.int32), jnp.asarray(1, jnp.int32)
    options = compiler.options_for(program.runs) if options is None else options
    jitted = jax.jit(advance_records, donate_argnames="carry", compiler_options=options)
    return jitted.lower(setup, carry, *numbers), setup, carry


def compiled(given: tuple[Any, Any, Any]) -> Loop:
    """What `traced` gave, compiled."""
    begin = time.perf_counter()
    program = given[0].compile()
    return Loop(program, given[1], given[2], round(time.perf_counter() - begin, 2))


def build(programs: list[Program], workers: int = WORKERS) -> list[Loop | Exception]:
    """All of them side by side, as one program keeps one core busy; errors in their places."""

    def one(program: Program) -> Loop | Exception:
        try:
            return compiled(traced(program))
        except Exception as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, programs))
