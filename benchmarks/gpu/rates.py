"""What the device itself can do: the speed of a copy, and what a turn of a loop costs."""

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.gpu.timed import slope
from jaxcoopt.compiler import options_for

LARGE, CACHED = 2**32, 2**24  # bytes of a copied array: far above any cache, and within a GPU's second level


def measure(small: bool) -> dict[str, Any]:
    """Bytes a second of copies (a read and a write each), and microseconds of an empty turn."""
    large, cached = (2**24, 2**18) if small else (LARGE, CACHED)
    return {
        "copy_bytes": large,
        "copy_bandwidth": copy_bandwidth(large),
        "cached_bytes": cached,
        "cached_bandwidth": copy_bandwidth(cached),
        "turn_us": turn_us(options_for(64)),
        "turn_without_graph_us": turn_us({}),
    }


def copy_bandwidth(size: int) -> float:
    """Bytes a second, read and written, of x <- a x."""
    return 2 * size * 1e6 / _turn(jnp.ones(size // 4, jnp.float32), options_for(64))


def turn_us(options: dict[str, Any]) -> float:
    """A loop whose length is not known, as ours, over an array that is as good as none."""
    return _turn(jnp.ones(256, jnp.float32), options)


def _turn(x: jax.Array, options: dict[str, Any]) -> float:
    def looped(x: jax.Array, length: jax.Array) -> jax.Array:
        return lax.fori_loop(0, length, lambda _, at: at * jnp.float32(0.999), x)

    program = jax.jit(looped, donate_argnums=0, compiler_options=options)
    held = [x]

    def advance(iterations: int) -> None:
        held[0] = jax.block_until_ready(program(held[0], jnp.asarray(iterations, jnp.int32)))

    return slope(advance).us


def seconds_of(call: Any, repeats: int = 5) -> list[float]:
    """Of calls that were made once before; each is waited for."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return times
