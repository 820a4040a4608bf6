"""The loop inside someone else's jit or grad: of known lengths, and differentiated in little memory."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcoopt.run.loop import Carry, Setup, iterations_in_reverse, moved_on, recorded

RESIDUALS = 8  # sets the blocks: about 35 iterations of 10,000; larger ones take less memory and more time (NOTES)


def unrolled(setup: Setup, carry: Carry, lengths: list[int]) -> tuple[Carry, dict[str, Any]]:
    """All of `lengths`, one record after each, in blocks of about sqrt(steps / `RESIDUALS`) iterations.

    Reverse mode keeps the carry before each block, runs the block again and keeps what that needs: memory grows with
    the square root of the steps, however far records are apart, and every iteration is run twice.
    """
    block = max(1, math.isqrt(sum(lengths) // RESIDUALS))
    every, far = lengths[1], lengths[1] >= 2 * block  # far: blocks lie within the intervals, not around them
    whole = lengths[1:].count(every)
    first = recorded(setup, carry)
    if far:
        in_blocks = partial(_interval_in_blocks, setup, length=every, block=block)
        carry, middle = lax.scan(lambda at, _: in_blocks(at), carry, length=whole)
    else:
        carry, middle = _grouped(partial(_interval, setup, length=every), carry, whole, max(1, block // every))
    parts = [jax.tree.map(lambda value: value[None], first), middle]
    for length in lengths[1 + whole :]:
        carry, last = _interval_in_blocks(setup, carry, length, block) if far else _interval(setup, carry, length)
        parts.append(jax.tree.map(lambda value: value[None], last))
    return carry, jax.tree.map(lambda *values: jnp.concatenate(values), *parts)


def _interval(setup: Setup, carry: Carry, length: int) -> tuple[Carry, Any]:
    """`length` iterations, then one record."""
    new = moved_on(setup, carry, length, partial(iterations_in_reverse, looking=setup.stop is not None))
    return new, recorded(setup, new)


def _grouped(interval: Callable[..., Any], carry: Carry, count: int, group: int) -> tuple[Carry, Any]:
    """`count` intervals, each of (carry) -> (carry, record), run again group by group."""
    group = _divisor(count, group)

    def together(at: Carry, size: int) -> tuple[Carry, Any]:
        return lax.scan(lambda at, _: interval(at), at, length=size)

    again = jax.checkpoint(together, static_argnums=1, prevent_cse=False)
    carry, records = lax.scan(lambda at, _: again(at, group), carry, length=count // group)
    records = jax.tree.map(lambda rows: rows.reshape(-1, *rows.shape[2:]), records)
    if count % group:
        carry, rest = again(carry, count % group)
        records = jax.tree.map(lambda *rows: jnp.concatenate(rows), records, rest)
    return carry, records


def _interval_in_blocks(setup: Setup, carry: Carry, length: int, block: int) -> tuple[Carry, Any]:
    """`_interval`, of which reverse mode keeps the carries between blocks."""
    new = moved_on(setup, carry, length, partial(_in_blocks, block=block))
    return new, jax.checkpoint(partial(recorded, setup), prevent_cse=False)(new)


def _in_blocks(setup: Setup, carry: Carry, length: int, block: int) -> Carry:
    """`length` iterations, run again block by block."""
    block = _divisor(length, block)

    def again(at: Carry, size: int) -> Carry:  # a function of this call's own: JAX keeps what it traced of global ones
        some = partial(iterations_in_reverse, setup, length=size, looking=setup.stop is not None)
        return jax.checkpoint(some, prevent_cse=False)(at)

    carry, _ = lax.scan(lambda at, _: (again(at, block), None), carry, length=length // block)
    return again(carry, length % block) if length % block else carry


def _divisor(count: int, near: int) -> int:
    """A divisor of count within a factor of 2 of `near`, which leaves no rest to compile apart, or `near` itself."""
    fits = [size for size in range(max(1, near // 2), min(count, 2 * near) + 1) if count % size == 0]
    return min(fits, key=lambda size: abs(math.log(size / near)), default=min(near, count))
