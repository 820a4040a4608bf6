"""Array conventions: nodes first, runs last, one float type; and plain arrays of all that users give."""

import array as arrays
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Number, Real
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.dtypes import canonicalize_dtype
from jax.tree_util import KeyPath
from jax.typing import ArrayLike
from jaxtyping import Array
from scipy import sparse

from jaxcoopt.platform import choices

PLAIN = frozenset(np.dtype(name) for name in "?bhilqBHILQfd")  # in this machine's byte order
LISTS = ("features", "targets", "mask", "weights", "work", "initial.allocation")  # that may be given as lists
LISTS = (*LISTS, *(f"optimum.{name}" for name in ("allocation", "allocation_cost", "price", "training_loss")))
DEEPEST = 8  # lists in lists

Numbers = np.ndarray | jax.Array
Given = ArrayLike | Sequence[object]  # numbers as they are given: lists of lists of them, too
Tree = TypeVar("Tree")

# A bound at or beyond this is not there. Infinity itself would stop whoever looks for it with jax_debug_infs.
FAR = float(np.finfo(np.float32).max)


def there(bound: Numbers) -> Numbers | np.bool_:
    """Whether a bound is there."""
    return abs(bound) < FAR


def float_dtype() -> np.dtype:
    """float32, or float64 when jax_enable_x64 is set."""
    return canonicalize_dtype(float)


def stored(tree: Tree, always: Array) -> Tree:
    """The same arrays, computed once; always: a scalar that is true, but not known to the compiler.

    XLA otherwise computes a value again in every gather that reads it, d times for d neighbours, and may round it
    differently each time. An `optimization_barrier` does not stop that on the CPU; a branch does.
    """
    if choices().barriers:
        return lax.optimization_barrier(tree)
    return lax.cond(always, lambda: tree, lambda: jax.tree.map(jnp.zeros_like, tree))


def plain(name: str, value: object) -> Numbers:
    """`value` as a NumPy array of truth values, whole numbers, float32 or float64; a JAX array as it is, traced or not.

    The one conversion that every function of the package uses.

    Other byte orders, other sizes of floats, objects that are numbers, lists, tables and all that has `__array__` are
    converted. Raises TypeError, naming the argument, for what holds no real numbers, and for sparse matrices;
    ValueError for masked entries.
    """
    if isinstance(value, jax.Array):
        return _real(name, value)
    if type(value) is np.ndarray and value.dtype in PLAIN:
        return value
    if is_sparse(value):
        raise TypeError(f"{name}: got a sparse matrix ({type(value).__name__}); give a dense array: .toarray()")
    _refuse_masked(name, value)
    found = _read(name, value)
    if found.dtype == object:
        found = _of_objects(name, found)
    kind, size = found.dtype.kind, found.dtype.itemsize
    if kind == "V" and found.dtype.names is None and jnp.issubdtype(found.dtype, np.floating):  # bfloat16
        return found.astype(np.float32)
    if kind not in "biuf":
        raise no_numbers(name, value)
    if kind == "f" and size not in (4, 8):
        with np.errstate(over="ignore"):
            return found.astype(np.float32 if size < 4 else np.float64)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def plain_tree(tree: Tree, root: str = "") -> Tree:
    """The same pytree with every array in it plain. Raises, naming the leaf, for what holds no real numbers.

    root: what errors call the tree, "" for the problem, whose halves have names of their own.
    """

    def name_of(path: KeyPath) -> str:
        return (root + jax.tree_util.keystr(path)).lstrip(".")

    def is_leaf(path: KeyPath, node: object) -> bool:
        as_list = isinstance(node, list | tuple) and name_of(path).removeprefix("training.") in LISTS
        return as_list or is_sparse(node)

    def converted(path: KeyPath, leaf: object) -> object:
        if type(leaf) is float or leaf is None or (type(leaf) is int and abs(leaf) < 2**31):
            return leaf
        if isinstance(leaf, str) and leaf == "auto" and name_of(path).endswith(".step"):
            return leaf
        found = plain(name_of(path), leaf)
        if isinstance(leaf, int) and not isinstance(leaf, bool):
            return float(found)  # JAX refuses those beyond 64 bits, and cuts those beyond 32
        return leaf if isinstance(leaf, bool) else found[()] if isinstance(leaf, np.generic) else found

    return jax.tree_util.tree_map_with_path(converted, tree, is_leaf=is_leaf, is_leaf_takes_path=True)


def is_sparse(value: object) -> bool:
    """Whether it is a sparse matrix of SciPy or JAX; the latter is a pytree, which would be taken apart."""
    return sparse.issparse(value) or type(value).__module__.startswith("jax.experimental.sparse")


def no_numbers(name: str, value: object) -> TypeError:
    """The error for what does not hold real numbers."""
    return TypeError(f"{name}: expected a real number or an array of them, got {shown(value)}; convert it first")


def shown(value: object, most: int = 80) -> str:
    """What was given, in one short line, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of a class of the user's; or a whole number of too many digits
        digits = int(value.bit_length() * 0.30103) + 1 if isinstance(value, int) else 0
        return f"a whole number of {digits} digits" if digits else f"an object of {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def _real(name: str, value: jax.Array) -> jax.Array:
    known = jnp.issubdtype(value.dtype, np.number) and not jnp.issubdtype(value.dtype, np.complexfloating)
    if not (known or value.dtype == bool):
        raise TypeError(f"{name}: expected a real number or an array of them, got an array of {value.dtype}")
    return value


def _refuse_masked(name: str, value: object) -> None:
    mask = _mask(value, DEEPEST)
    if mask is None or not mask.any():
        return
    if not mask.ndim:
        raise ValueError(f"{name}: it is masked (numpy.ma.masked), so there is no number; give one")
    where = tuple(int(i) for i in np.argwhere(mask)[0])
    raise ValueError(
        f"{name}: {int(mask.sum())} of {mask.size} entries are masked, the first at index {where}, so there are no "
        "numbers; fill them (.filled(...)) or drop them"
    )


def _mask(value: object, depth: int) -> np.ndarray | None:
    """The mask of a masked array, or of a list that holds some; None where there is none."""
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.getmaskarray(value) if value.dtype.names is None else None
    if not isinstance(value, list | tuple) or not depth:
        return None
    parts = [_mask(part, depth - 1) for part in value]
    if all(part is None for part in parts):
        return None
    filled = [np.zeros(np.shape(of), bool) if part is None else part for part, of in zip(parts, value, strict=True)]
    same = len({part.shape for part in filled}) == 1
    return np.stack(filled) if same else np.concatenate([part.ravel() for part in filled])


def _read(name: str, value: object) -> np.ndarray:
    kinds = (np.generic, Number, Sequence, deque, memoryview, arrays.array)  # not whatever has a length, as graphs have
    if not isinstance(value, kinds) and not hasattr(value, "__array__") and not hasattr(value, "__array_interface__"):
        raise no_numbers(name, value)
    try:
        return np.asarray(value)
    except Exception as error:  # whatever a class of the user's raises
        if isinstance(error, ValueError) and isinstance(value, list | tuple | deque):
            advice = "pad them to one shape (training samples: and mark the padding in mask)"
            raise TypeError(f"{name}: its parts differ in shape; {advice}") from error
        if isinstance(value, list | tuple | deque):
            raise no_numbers(name, value) from error
        raise TypeError(
            f"{name}: {type(value).__name__} cannot be read as an array ({error!s:.100}); give a NumPy array"
        ) from error


def _of_objects(name: str, found: np.ndarray) -> np.ndarray:
    """Numbers that stand in an array as Python objects: whole ones as int64 where they fit, else float64."""
    items = found.ravel().tolist()
    if items and all(isinstance(item, list | tuple | np.ndarray | jax.Array) and np.ndim(item) for item in items):
        parts = np.asarray(plain(name, items))
        return parts.reshape(found.shape + parts.shape[1:])
    kinds = {type(item) for item in items}
    if not all(issubclass(kind, Real | Decimal | np.number | np.bool_) for kind in kinds):
        wrong = next(i for i, item in enumerate(items) if not isinstance(item, Real | Decimal | np.number | np.bool_))
        where = f" at index {tuple(int(i) for i in np.unravel_index(wrong, found.shape))}" if found.ndim else ""
        raise TypeError(
            f"{name}: expected a real number or an array of them, got {shown(items[wrong])}{where}; convert it first"
        )
    if kinds and kinds <= {bool, np.bool_}:
        return found.astype(bool)
    try:
        whole = all(issubclass(kind, Integral) and not issubclass(kind, bool) for kind in kinds)
        return found.astype(np.int64 if whole and max(map(abs, items), default=0) < 2**63 else np.float64)
    except OverflowError as error:
        raise ValueError(f"{name}: a number is too large for a float; give numbers below 1e308") from error
    except TypeError as error:  # a complex number of NumPy's
        raise no_numbers(name, found) from error
