"""The samples that training goes over: one array or any pytree of arrays [nodes, samples, ...]."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from jaxcoopt.arrays import Tree, float_dtype

Sample = int | PyTree  # the number of features where a sample is a vector, else a pytree of jax.ShapeDtypeStruct


def shape_of(features: PyTree) -> tuple[int, int]:
    """(nodes, samples)."""
    nodes, samples = np.shape(jax.tree.leaves(features)[0])[:2]
    return nodes, samples


def one_sample(features: PyTree) -> Sample:
    """What `Loss.init` is told of a sample."""
    if is_rows(features):
        return np.shape(features)[2]
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf)[2:], type_of(leaf)), features)


def is_rows(features: PyTree) -> bool:
    """Whether it is one array [nodes, samples, features]."""
    return jax.tree_util.all_leaves([features]) and np.ndim(features) == 3


def type_of(leaf: ArrayLike) -> np.dtype:
    """The type in which a loss is given it: whole numbers stay what they are, as token ids must."""
    return np.dtype(np.int32) if is_whole(leaf) else np.dtype(float_dtype())


def is_whole(values: ArrayLike) -> bool:
    """Whether the type of an array is one of whole numbers or truth values."""
    return not jnp.issubdtype(jnp.result_type(values), jnp.floating)


def as_one_node(features: Tree, keep: np.ndarray) -> Tree:
    """The samples of all nodes where `keep` [nodes, samples] is true, [kept, ...], in NumPy."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[keep], features)


def flattened(tree: Tree) -> Tree:
    """The samples of all nodes as those of one: leaves [1, nodes * samples, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), tree)
