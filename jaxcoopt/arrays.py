"""Array conventions: nodes first, runs last, one float type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array

# A bound at or beyond this is not there. Infinity itself would stop whoever looks for it with jax_debug_infs.
FAR = float(np.finfo(np.float32).max)


def there(bound: Any) -> Any:
    """Whether a bound is there."""
    return abs(bound) < FAR


def float_dtype() -> Any:
    """float32, or float64 when jax_enable_x64 is set."""
    return canonicalize_dtype(float)


def stored(tree: Any, always: Array) -> Any:
    """The same arrays, computed once; always: a scalar that is true, but not known to the compiler.

    XLA otherwise computes a value again in every gather that reads it, d times for d neighbours, and may round it
    differently each time. An `optimization_barrier` does not stop that on the CPU; a branch does.
    """
    return lax.cond(always, lambda: tree, lambda: jax.tree.map(jnp.zeros_like, tree))
