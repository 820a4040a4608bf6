"""Arithmetic on parameters: pytrees with leaves [nodes, *shape, runs]."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcoopt.along_runs import scaled
from jaxcoopt.problem.models import Params


def plus(*trees: Params) -> Params:
    """The sum, leaf by leaf."""
    return jax.tree.map(lambda first, *rest: sum(rest, start=first), *trees)


def minus(a: Params, b: Params) -> Params:
    """a - b, leaf by leaf."""
    return jax.tree.map(jnp.subtract, a, b)


def times(factor: ArrayLike, tree: Params) -> Params:
    """A number, scalar or [runs], times every leaf."""
    return jax.tree.map(lambda leaf: scaled(factor, leaf), tree)


def zeros(tree: Params) -> Params:
    """0 of the same shapes."""
    return jax.tree.map(jnp.zeros_like, tree)
