"""How curved the losses and the costs are: Hessians, smoothness constants, and the stiffness of bound handling."""

from functools import singledispatch

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from scipy.sparse import linalg

from jaxcoopt.arrays import shown
from jaxcoopt.errors import a_flag
from jaxcoopt.host import as_jax
from jaxcoopt.problem import losses
from jaxcoopt.problem.align import aligned, aligned_allocation, sample_axes
from jaxcoopt.problem.bounds import Bounds, Multiplier, Penalty
from jaxcoopt.problem.box import box, finite_box
from jaxcoopt.problem.costs import Cost, Quadratic, Sum, curvature
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.samples import shape_of
from jaxcoopt.theory.check import received_problem

POINTS = 129  # where f'' is looked at, over each node's box
DENSE = 256  # rows of a matrix of second moments up to which all its eigenvalues are computed


class NoNumber(Exception):
    """No number can be given; the message says why, for whoever asked."""


# ---------------------------------------------------------------- training


def linear_hessians(training: Training) -> Float[np.ndarray, "nodes size size"]:
    """w_i (E[x x^T] + l2 I) of least squares, x ending in a 1 for the bias, which l2 leaves out."""
    loss, features = training.loss, _with_one(training)
    assert isinstance(loss, losses.Linear)
    if np.ndim(loss.l2):
        raise NoNumber("l2 differs between runs")
    second = np.einsum("nsf,ns,nsg->nfg", features, _share(training), features, optimize=True)
    ridge = np.full(features.shape[2], float(loss.l2))
    ridge[np.shape(training.features)[2] :] = 0
    return _weights(training)[:, None, None] * (second + np.diag(ridge))


def hessians_at(training: Training, params: Params) -> Float[np.ndarray, "nodes size size"]:
    """d2g_i / dy2 of any loss at one y, leaves [*shape], by automatic differentiation; flattened as the pytree is."""
    with jax.enable_x64(True):
        half = aligned(Problem(training=training), shape_of(training.features)[0]).training
        assert half is not None
        flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params))
        nodes, size = shape_of(half.features)[0], flat.size

        def stacked(columns: Array) -> Params:  # [size, runs] to leaves [nodes, *shape, runs]
            tree = jax.vmap(unravel, in_axes=1, out_axes=-1)(columns)
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (nodes, *leaf.shape)), tree)

        at, along = stacked(jnp.repeat(flat[:, None], size, axis=1)), stacked(jnp.eye(size))
        slopes = jax.jit(lambda a, d: jax.jvp(half.gradient, (a,), (d,))[1])(at, along)
        leaves = [np.asarray(leaf).reshape(nodes, -1, size) for leaf in jax.tree.leaves(slopes)]
    return np.concatenate(leaves, axis=1)


def smoothness(training: Training, *, samples: bool = False) -> float | np.ndarray:
    """L, the largest smoothness constant of the g_i, scalar or [runs]: max_i w_i (c lambda_max(E[x x^T]) + l2).

    c bounds the second derivative of the loss in the score: 1 linear, 1/4 logistic, sharpness/4 smooth hinge, 1/2
    softmax. samples: the largest over mini-batches instead, where E[x x^T] is that of one sample. Raises `NoNumber` for
    losses that have none.
    """
    if not isinstance(training, Training):
        raise TypeError(f"training: expected a jaxcoopt.Training, got {shown(training)}")
    problem = received_problem(Problem(training=training), sample_axes(training)[0])
    assert problem.training is not None
    return smoothness_of(problem.training, samples=a_flag("samples", samples))


def smoothness_of(training: Training, *, samples: bool = False) -> float | np.ndarray:
    """The same, of data that are checked."""
    bend, features, share = _second_derivative(training.loss), _with_one(training), _share(training)
    if samples:
        largest = np.where(share > 0, np.sum(features**2, axis=2), 0).max(axis=1)
    else:
        largest = np.array([_largest(rows, part) for rows, part in zip(features, share, strict=True)])
    l2 = np.asarray(getattr(training.loss, "l2", 0.0), np.float64)
    per_node = _weights(training)[:, None] * (np.atleast_1d(bend) * largest[:, None] + l2)
    total = per_node.max(axis=0)
    return total if np.ndim(bend) or l2.ndim else float(total[0])


@singledispatch
def _second_derivative(loss: losses.Loss) -> float | np.ndarray:
    raise NoNumber(f"the loss {type(loss).__name__} has no smoothness constant that is known")


@_second_derivative.register
def _(loss: losses.Linear) -> float | np.ndarray:
    return 1.0


@_second_derivative.register
def _(loss: losses.Logistic) -> float | np.ndarray:
    return 0.25


@_second_derivative.register
def _(loss: losses.SmoothHinge) -> float | np.ndarray:
    return np.asarray(loss.sharpness, np.float64) / 4


@_second_derivative.register
def _(loss: losses.Softmax) -> float | np.ndarray:
    return 0.5


def _with_one(training: Training) -> Float[np.ndarray, "nodes samples size"]:
    features = np.asarray(training.features, np.float64)
    if training.mask is not None:
        features = np.where(np.asarray(training.mask, bool)[..., None], features, 0)
    if not getattr(training.loss, "intercept", True):
        return features
    return np.concatenate([features, np.ones((*features.shape[:2], 1))], axis=2)


def _share(training: Training) -> Float[np.ndarray, "nodes samples"]:
    shape = shape_of(training.features)
    mask = np.ones(shape) if training.mask is None else np.asarray(training.mask, np.float64)
    return mask / mask.sum(axis=1, keepdims=True)


def _weights(training: Training) -> Float[np.ndarray, " nodes"]:
    nodes, _ = shape_of(training.features)
    return np.ones(nodes) if training.weights is None else np.asarray(training.weights, np.float64)


def _largest(rows: Float[np.ndarray, "samples size"], share: Float[np.ndarray, " samples"]) -> float:
    """lambda_max of sum_s share_s x_s x_s^T, from the smaller of the two Gram matrices."""
    scaled = np.sqrt(share)[:, None] * rows
    if min(scaled.shape) <= DENSE:
        gram = scaled @ scaled.T if scaled.shape[0] < scaled.shape[1] else scaled.T @ scaled
        return float(np.linalg.eigvalsh(gram)[-1])
    start = np.random.default_rng(0).normal(size=min(scaled.shape))
    top = linalg.svds(scaled, k=1, tol=1e-4, v0=start, return_singular_vectors=False)  # pyright: ignore
    return float(np.asarray(top)[0]) ** 2


# ---------------------------------------------------------------- allocation


def constant_curvature(cost: Cost) -> bool:
    """Whether f'' is the same everywhere."""
    return isinstance(cost, Quadratic) or (isinstance(cost, Sum) and all(map(constant_curvature, cost.terms)))


def _constant_curvature(cost: Cost) -> ArrayLike:
    """f'' of such a cost, aligned: a scalar or [nodes, 1 or runs]."""
    if isinstance(cost, Sum):
        return sum(map(_constant_curvature, cost.terms))
    assert isinstance(cost, Quadratic)
    return cost.curvature


def curvature_range(allocation: Allocation, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """(least, most) of f_i'' over each node's box, [nodes, 1 or runs] each, looked at in `POINTS` points.

    Towards a side without bound, or where the cost ends, f'' may grow without limit: it is looked at to where the
    equal share's neighbourhood ends, and `most` is infinite where it is largest there; `least` then 0.
    """
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        first, last = finite_box(exact, nodes)
        if constant_curvature(exact.cost):
            bend = np.broadcast_to(_constant_curvature(exact.cost), first.shape)
            return bend, bend
        lower, upper = box(exact)
        parts = np.linspace(0, 1, POINTS)
        bend = np.asarray(_bend(*as_jax((exact.cost, first, last, parts))))
    open_low, open_high = lower < first, upper > last  # cut there by `finite_box`
    least, most = bend.min(axis=0), bend.max(axis=0)
    at_end = (open_low & (bend.argmax(axis=0) == 0)) | (open_high & (bend.argmax(axis=0) == POINTS - 1))
    end_least = (open_low & (bend.argmin(axis=0) == 0)) | (open_high & (bend.argmin(axis=0) == POINTS - 1))
    return np.where(end_least, 0.0, least), np.where(at_end | ~np.isfinite(most), np.inf, most)


@jax.jit
def _bend(cost: Cost, first: Array, last: Array, parts: Array) -> Array:
    return jax.lax.map(lambda part: curvature(cost, first + part * (last - first)), parts)


@singledispatch
def stiffness(bounds: Bounds, allocation: Allocation) -> float | np.ndarray:
    """What a bound's price adds to f'' at most, absolute, scalar or [runs]; `NoNumber` where it is no such thing.

    A softplus penalty adds weight sharpness / 4 in the middle of its edge, a square one 2 weight beyond it.
    """
    raise NoNumber(f"what the bounds {type(bounds).__name__} add to the curvature is not known")


@stiffness.register
def _(bounds: Penalty, allocation: Allocation) -> float | np.ndarray:
    if not bounded(allocation):
        return 0.0
    weight = np.asarray(bounds.weight, np.float64)
    return weight * np.asarray(bounds.sharpness, np.float64) / 4 if bounds.form == "softplus" else 2 * weight


@stiffness.register
def _(bounds: Multiplier, allocation: Allocation) -> float | np.ndarray:
    return 0.0


def bounded(allocation: Allocation) -> bool:
    """Whether any node has a finite bound."""
    sides = (side for side in (allocation.lower, allocation.upper) if side is not None)
    return any(bool(np.isfinite(np.asarray(side, np.float64)).any()) for side in sides)
