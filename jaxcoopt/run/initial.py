"""Where the nodes stand at iteration 0."""

from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from jaxcoopt.arrays import FAR, Numbers, float_dtype
from jaxcoopt.compensated import Pair
from jaxcoopt.errors import finite, traced
from jaxcoopt.host import as_jax, in_type, numpy_for
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import box, feasible_point
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Training
from jaxcoopt.pytrees import pytree

Columns = TypeVar("Columns", np.ndarray, Array)
BUDGET_TOLERANCE = 1e-6  # a given start may miss the budget by this, relatively; what it misses is spread


@pytree
@dataclass(frozen=True)
class Initial:
    """A start given by the user: allocation [nodes] or [nodes, runs]; params, a pytree with leaves [*shape],
    [nodes, *shape] or [nodes, *shape, runs]. None: a feasible allocation; random parameters, the same at all nodes.
    """

    allocation: Any = None
    params: Any = None


def initial_allocation(given: object, allocation: Allocation, nodes: int, runs: int) -> Pair:
    """x(0) [nodes, runs], meeting the budget to float64's rounding whatever the run's precision."""
    if traced(given, allocation):
        x = feasible_point(aligned_allocation(allocation), nodes) if given is None else _columns(jnp.asarray(given))
        x = jnp.broadcast_to(x.astype(float_dtype()), (nodes, runs))
        return Pair(x, jnp.zeros_like(x))
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        x = feasible_point(exact, nodes) if given is None else _checked(given, exact, nodes, runs)
        lower, upper = box(exact)
        # One column where all runs start alike: extended precision is slow, [nodes, runs] may be many.
        shape = np.broadcast_shapes(*map(np.shape, (x, lower, upper, exact.budget)))
        x, lower, upper = (np.broadcast_to(each, shape) for each in (x, lower, upper))
        x = _on_budget(x, exact.budget, lower, upper)
    high = x.astype(float_dtype())
    low = (x - high).astype(float_dtype())
    return Pair(*as_jax(tuple(np.broadcast_to(side, (nodes, runs)) for side in (high, low))))


def _on_budget(x: np.ndarray, budget: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """x, in extended precision, with what it misses of the budget spread over the nodes by the room that they have.

    The last rounding goes to the node with the most room: spread evenly it would lead out of the box. A node that was
    put outside its box stays where it is, unless no other has room.
    """
    inside = (x >= lower) & (x <= upper)
    for share in (_by_room, _to_the_roomiest):
        missing = budget - x.astype(np.longdouble).sum(axis=0)
        room = np.where(inside, np.maximum(np.where(missing > 0, upper - x, x - lower), 0), 0)
        moved = x.astype(np.longdouble) + missing * share(room)
        x = np.where((room > 0) & (room < FAR / 2), np.clip(moved, lower, upper), moved)
    return x


def _by_room(room: np.ndarray) -> np.ndarray:
    """In proportion to the room; nodes without a bound take all, and all take alike where there is no room."""
    endless = room >= FAR / 2
    room = np.where(endless.any(axis=0), endless, room)
    total = room.sum(axis=0)
    return np.where(total > 0, room / np.where(total > 0, total, 1), 1 / len(room))


def _to_the_roomiest(room: np.ndarray) -> np.ndarray:
    return np.arange(len(room))[:, None] == room.argmax(axis=0)


def _columns(x: Columns) -> Columns:
    return x[:, None] if x.ndim == 1 else x


def _checked(given: object, allocation: Allocation, nodes: int, runs: int) -> np.ndarray:
    x = finite("initial.allocation", given)
    if x.shape not in ((nodes,), (nodes, 1), (nodes, runs)):
        raise ValueError(
            f"initial.allocation: expected [nodes] = ({nodes},) or [nodes, runs] = ({nodes}, {runs}), got {x.shape}"
        )
    x = _columns(x)
    total, budget = np.broadcast_arrays(x.sum(axis=0), allocation.budget)
    missed = np.abs(total - budget) - BUDGET_TOLERANCE * np.maximum(1.0, np.abs(budget))
    worst = int(np.argmax(missed))
    if missed[worst] > 0:
        raise ValueError(
            f"initial.allocation: it sums to {total[worst]:.9g}{f' in run {worst}' if len(total) > 1 else ''}, the "
            f"budget is {budget[worst]:.9g}; start with the budget met (it is then kept at every "
            "iteration), or leave it None for a feasible start"
        )
    return x


def random_params(training: Training, nodes: int, runs: Int[Array, " runs"], key: Array) -> Params:
    """Leaves [nodes, *shape, runs]: a random start for each run (numbered by `runs`), the same at all nodes."""
    one = training.one_sample
    drawn = jax.vmap(lambda run: training.loss.init(jax.random.fold_in(key, run), one), out_axes=-1)(runs)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf.astype(float_dtype()), (nodes, *leaf.shape)), drawn)


def given_params(given: Params, training: Training, nodes: int, runs: int) -> Params:
    """The same from what the user gave."""
    like = params_like(training.loss, training.one_sample)
    drawn = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*leaf.shape, runs), float_dtype()), like)
    if jax.tree.structure(given) != jax.tree.structure(drawn):
        raise ValueError(
            f"initial.params: expected the structure {jax.tree.structure(drawn)}, got {jax.tree.structure(given)}"
        )
    return jax.tree_util.tree_map_with_path(lambda path, leaf, like: _stacked(path, leaf, like, nodes), given, drawn)


def _stacked(path: KeyPath, leaf: ArrayLike, drawn: jax.ShapeDtypeStruct, nodes: int) -> Numbers:
    name = f"initial.params{jax.tree_util.keystr(path)}"
    if not traced(leaf):
        finite(name, leaf)
    leaf, (*shape, runs) = in_type(leaf, float_dtype()), drawn.shape
    layouts = {(*shape,): leaf[None, ..., None], (nodes, *shape): leaf[..., None], (nodes, *shape, runs): leaf}
    if leaf.shape not in layouts:
        raise ValueError(
            f"{name}: expected {tuple(shape)}, [nodes, ...] = {(nodes, *shape)} or [nodes, ..., runs] = "
            f"{(nodes, *shape, runs)}, got {leaf.shape}"
        )
    return numpy_for(leaf).broadcast_to(layouts[leaf.shape], (nodes, *shape, runs))
