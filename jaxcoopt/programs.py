"""How much of compiled programs stays.

JAX keeps every program, and each new shape of a problem needs 3 to 6 of them. When it needed some 60, these took about
110 MiB on a CPU, of which 30 were the loop's: thirty numbers of nodes would have taken 3 GiB for good.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import jax
import numpy as np
import psutil
from jaxtyping import PyTree

from jaxcoopt.errors import traced
from jaxcoopt.host import inside_jit

MOST = 768 * 2**20  # bytes that calls with new shapes have taken, before JAX's programs are let go
_inside: ContextVar[bool] = ContextVar("inside", default=False)
_seen: set[int] = set()  # shapes, since that last happened
_taken = 0


@contextmanager
def bounded_programs(*arguments: PyTree) -> Iterator[None]:
    """Around a call with these arguments: programs of earlier ones are let go first, where they have taken `MOST` and
    these are new. Nothing within another such call, or inside someone's jit or grad.
    """
    global _taken
    shape = None if _inside.get() or traced(arguments) or inside_jit() else _shape(arguments)
    if shape is None or shape in _seen:
        yield
        return
    if _taken > MOST:
        free_programs()
    before, token = psutil.Process().memory_info().rss, _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)
        _seen.add(shape)
        _taken += max(0, psutil.Process().memory_info().rss - before)


def free_programs() -> None:
    """Let all of JAX's compiled programs go; what is needed again is compiled again."""
    global _taken
    jax.clear_caches()
    gc.collect()
    with suppress(OSError, AttributeError):  # the C library keeps what is freed, and only glibc's can be told not to
        ctypes.CDLL(None).malloc_trim(0)
    _seen.clear()
    _taken = 0


def _shape(arguments: PyTree) -> int | None:
    """What programs are compiled for, as a number; None for what has no such thing."""
    leaves, structure = jax.tree.flatten(arguments)
    try:
        return hash((structure, tuple((np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves)))
    except Exception:  # whatever an object raises that is no array
        return None
