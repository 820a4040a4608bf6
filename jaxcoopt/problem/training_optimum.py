"""Training's optimum: the pooled problem by Newton's method, accepted by a certificate that knows no units."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from jaxcoopt.host import as_jax
from jaxcoopt.problem.allocation_optimum import zero_if_rounding
from jaxcoopt.problem.batch import Batch
from jaxcoopt.problem.losses import Loss, Ridge, SmoothHinge, params_like
from jaxcoopt.problem.newton import ACCURACY, ROUNDING, Found, Objective, Seen, by_curvature, dense_step, descend
from jaxcoopt.problem.problem import Training
from jaxcoopt.problem.samples import as_one_node, one_sample, shape_of
from jaxcoopt.problem.scores import DENSE, Pool, Scores, is_linear, krylov_step, pool_scores
from jaxcoopt.shown import briefly

COLUMNS = 64  # of a Hessian at once: what its memory goes by
NOTHING = 1e-24  # of the loss at 0: the rounding of residuals that vanish, squared
DOUBTFUL = 1e-6  # curvature, relative to the largest, below which an optimum without l2 may be none
SHARPER = 4.0  # the hinge is sharpened by this factor from one fit to the next


class PooledFit(NamedTuple):
    """One node's parameters at the optimum, and the pooled loss there."""

    params: Any
    loss: Any


def fit_runs(training: Training) -> PooledFit:
    """Minimise sum_i g_i(y) / sum_i weights_i over one y; call under jax.enable_x64 with an aligned training half.

    Leaves end in [runs] where the loss's constants have a runs axis: each run by itself. RuntimeError: no optimum.
    """
    features, labels, share = _samples(training)
    pool = pool_scores(training.loss, features, labels, share) if is_linear(training.loss) else None
    sizes = [leaf.shape[0] for leaf in jax.tree.leaves(training.loss) if leaf.ndim]
    runs = range(sizes[0]) if sizes else (None,)
    losses = [jax.tree.map(lambda leaf, r=r: leaf[r] if leaf.ndim else leaf, training.loss) for r in runs]
    if pool is not None:
        fits = [_fit_scores(loss, pool) for loss in losses]
    else:
        batch = Batch(*as_jax(jax.tree.map(lambda array: array[None], (features, labels, share))))
        fits = [_fit_any(loss, batch) for loss in losses]
    return PooledFit(*jax.tree.map(lambda *leaves: np.stack(leaves, axis=-1), *fits)) if sizes else fits[0]


def _samples(training: Training) -> tuple[Any, Any, np.ndarray]:
    """All nodes' samples as one node's, without padding, each with its share of the pooled mean."""
    shape = shape_of(training.features)
    mask = np.ones(shape, bool) if training.mask is None else np.asarray(training.mask)
    weights = np.ones(shape[0]) if training.weights is None else np.asarray(training.weights)
    keep = mask & (weights > 0)[:, None]
    share = np.broadcast_to((weights / weights.sum() / mask.sum(axis=1))[:, None], mask.shape)
    return as_one_node(training.features, keep), as_one_node(training.targets, keep), share[keep]


def _fit_scores(loss: Ridge, pool: Pool) -> PooledFit:
    _check_classes(loss, pool.labels)
    objective = Scores.of(loss, pool)
    v, free = objective.start, loss.targets != "real" and not loss.l2 > 0
    first = objective.look(v).value
    for softer in _ever_sharper(loss):
        v = descend(replace(objective, loss=softer), v, 1e-3).v
    found = descend(objective, v)
    doubtful = not found.settled or found.weakest < DOUBTFUL
    if free and (objective.separated(found.v) or (doubtful and objective.separable())):
        raise RuntimeError(
            "training has no optimum: some direction of the weights lowers the loss of some samples for ever and "
            "raises that of none, as a loss without l2 on separable data has none, so give l2 > 0"
        )
    _check_settled(found)
    return PooledFit(objective.params(found.v), zero_if_rounding(found.value, first, NOTHING))


def _ever_sharper(loss: Loss) -> Iterator[Loss]:
    """The same loss, softer at first: a sharp hinge has no curvature but at its margin, where Newton cannot start."""
    if isinstance(loss, SmoothHinge):
        sharpness, last = 1.0, float(loss.sharpness)
        while sharpness < last:
            yield replace(loss, sharpness=np.asarray(sharpness))
            sharpness *= SHARPER


def _check_classes(loss: Ridge, labels: np.ndarray) -> None:
    if loss.targets in ("binary", "integer") and loss.intercept:
        found, classes = len(np.unique(labels)), getattr(loss, "classes", 2)
        if found < classes:
            raise RuntimeError(
                f"training has no optimum: only {found} of {classes} classes have samples, and the intercept, which "
                "l2 leaves out, then grows without limit: give samples of every class, or intercept=False"
            )


def _check_settled(found: Found) -> None:
    if not found.settled:
        raise RuntimeError(
            "training has no optimum that could be found: from a loss of "
            f"{found.value:.3e} another Newton step gains {found.falls:.1e} (wanted {ACCURACY:g} of the loss, and ever "
            "shorter steps); a loss that nothing holds back may have none, so give l2 > 0"
        )


@briefly
@dataclass(frozen=True)
class _Any(Objective):
    """A loss whose parameters are any pytree, as a function of all of them in one vector."""

    loss: Loss
    batch: Batch
    like: Any
    rounding: float

    def look(self, v: np.ndarray) -> Seen:
        value, slope = _value(self.loss, self.batch, self.like, v)
        return Seen(v, float(value), np.asarray(slope))

    def step(self, at: Seen) -> tuple[np.ndarray, float]:
        v, slope = at.v, at.slope
        if v.size > DENSE:
            product = lambda d: np.asarray(_product(self.loss, self.batch, self.like, v, d))  # noqa: E731
            return krylov_step(product, slope), 1.0
        hessian = np.asarray(_hessian(self.loss, self.batch, self.like, v))
        unit = by_curvature(hessian)
        step, weakest = dense_step(unit[:, None] * hessian * unit, unit * slope, self.rounding * float(unit.max()))
        return unit * step, weakest


def _fit_any(loss: Loss, batch: Batch) -> PooledFit:
    like = jax.tree.map(lambda leaf: np.zeros(leaf.shape), params_like(loss, one_sample(batch.features)))
    start = np.zeros(sum(leaf.size for leaf in jax.tree.leaves(like)))
    first, slope = _value(loss, batch, like, start)
    with np.errstate(all="ignore"):  # without an optimum it may run out of numbers
        found = descend(_Any(loss, batch, like, ROUNDING * float(np.linalg.norm(slope))), start)
    _check_settled(found)
    return PooledFit(_laid_out(found.v, like), zero_if_rounding(found.value, first, NOTHING))


def _laid_out(vector: np.ndarray, like: PyTree) -> PyTree:
    """What `ravel_pytree` put in a row."""
    leaves, structure = jax.tree.flatten(like)
    parts = np.split(vector, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return structure.unflatten([part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def _loss(loss: Loss, batch: Batch, like: PyTree, vector: Float[Array, " numbers"]) -> Float[Array, ""]:
    params = jax.tree.map(lambda leaf: leaf[None, ..., None], ravel_pytree(like)[1](vector))
    samples = loss.of_batch(params, batch)
    return jnp.sum(batch.share[..., None] * samples) + loss.penalty(params).sum()


_value = jax.jit(jax.value_and_grad(_loss, argnums=3))


@jax.jit
def _product(loss: Loss, batch: Batch, like: PyTree, vector: Array, direction: Array) -> Array:
    return jax.jvp(lambda at: jax.grad(_loss, argnums=3)(loss, batch, like, at), (vector,), (direction,))[1]


@jax.jit
def _hessian(loss: Loss, batch: Batch, like: PyTree, vector: Array) -> Array:
    column = lambda direction: _product(loss, batch, like, vector, direction)  # noqa: E731
    return lax.map(column, jnp.eye(vector.size), batch_size=COLUMNS)
