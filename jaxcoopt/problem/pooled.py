"""Training's optimum: the pooled problem by SciPy's trust-region Newton method, polished by plain Newton steps."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxcoopt.problem.losses import Loss
from jaxcoopt.problem.market import zero_if_rounding
from jaxcoopt.problem.problem import Batch, Training

GRADIENT_NORM = 1e-10  # the optimum is accepted below this, relative to max(1, |gradient at the start|)


class PooledFit(NamedTuple):
    """One node's parameters at the optimum, and the pooled loss there."""

    params: Any
    loss: Any


def fit_runs(training: Training) -> PooledFit:
    """`fit_pooled`, leaves ending in [runs] where the loss's constants have a runs axis: each run by itself."""
    sizes = [leaf.shape[0] for leaf in jax.tree.leaves(training.loss) if leaf.ndim]
    if not sizes:
        return fit_pooled(training)
    losses = (jax.tree.map(lambda leaf, r=r: leaf[r] if leaf.ndim else leaf, training.loss) for r in range(sizes[0]))
    fits = [fit_pooled(replace(training, loss=loss)) for loss in losses]
    return PooledFit(*jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-1), *fits))


def fit_pooled(training: Training) -> PooledFit:
    """Minimise sum_i g_i(y) / sum_i weights_i over one y; call under jax.enable_x64 with an aligned training half."""
    import scipy.optimize  # not at the top: it takes a third of a second

    batch, unravel, start = _pool(training)

    @jax.jit
    def loss(batch: Batch, vector: jax.Array) -> jax.Array:
        params = jax.tree.map(lambda leaf: leaf[None, ..., None], unravel(vector))
        samples = training.loss.samples(params, batch.features, batch.labels)
        return jnp.sum(batch.share[..., None] * samples) + training.loss.penalty(params).sum()

    value_and_gradient = jax.jit(jax.value_and_grad(loss, argnums=1))

    @jax.jit
    def curve(batch: Batch, vector: jax.Array, direction: jax.Array) -> jax.Array:
        return jax.jvp(lambda at: jax.grad(loss, argnums=1)(batch, at), (vector,), (direction,))[1]

    def fun(v: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = value_and_gradient(batch, v)
        return float(value), np.asarray(slope)

    def product(v: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.asarray(curve(batch, v, d))

    options = {"gtol": 1e-6, "maxiter": 500}
    with np.errstate(all="ignore"):  # without an optimum it may run out of numbers; how small the gradient got decides
        found = scipy.optimize.minimize(fun, start, jac=True, hessp=product, method="trust-krylov", options=options)
        vector, size = _polish(fun, product, found.x)
    if not size <= GRADIENT_NORM * max(1.0, float(np.linalg.norm(fun(start)[1]))):
        raise RuntimeError(
            f"training has no optimum that could be found: the gradient norm stays at {size:.1e} (wanted "
            f"{GRADIENT_NORM:g}); {_advice(training.loss, batch.labels)}"
        )
    best = zero_if_rounding(jnp.asarray(fun(vector)[0]), jnp.asarray(fun(start)[0]))
    return PooledFit(jax.tree.map(np.asarray, unravel(jnp.asarray(vector))), best)


def _advice(loss: Loss, labels: Any) -> str:
    """Why there may be no optimum, and what to do."""
    if loss.targets in ("binary", "integer") and getattr(loss, "intercept", False):
        found, classes = len(np.unique(np.asarray(labels))), getattr(loss, "classes", 2)
        if found < classes:
            return (
                f"only {found} of {classes} classes have samples, and the intercept, which l2 leaves out, then grows "
                "without limit: give samples of every class, or intercept=False"
            )
    return "a loss without l2 on separable data has none, so give l2 > 0"


def _pool(training: Training) -> tuple[Batch, Any, np.ndarray]:
    """All nodes' samples as one node's, without padding, each with its share of the pooled mean."""
    batch = jax.jit(Training.batch)(training)
    weights = np.ones(batch.share.shape[0]) if training.weights is None else np.asarray(training.weights)
    share = np.asarray(batch.share) * (weights / weights.sum())[:, None]
    keep = share > 0
    pooled = Batch(*(jnp.asarray(np.asarray(array)[keep][None]) for array in (batch.features, batch.labels, share)))
    shapes = jax.eval_shape(lambda key: training.loss.init(key, training.features.shape[2]), jax.random.key(0))
    start, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape)), shapes))
    return pooled, unravel, np.asarray(start)


def _polish(fun: Any, product: Any, vector: np.ndarray) -> tuple[np.ndarray, float]:
    """Newton steps, which go on where a trust region's loss differences drown in rounding; keeps the best point."""
    import scipy.sparse.linalg  # not at the top: it takes a third of a second

    best, smallest = vector, float(np.linalg.norm(fun(vector)[1]))
    for _ in range(8):
        slope = fun(best)[1]
        operator = scipy.sparse.linalg.LinearOperator(  # pyright: ignore
            (best.size, best.size),
            lambda d, at=best: product(at, np.asarray(d).ravel()),
            dtype=np.float64,  # pyright: ignore
        )
        step, _ = scipy.sparse.linalg.minres(operator, -slope, rtol=1e-4, maxiter=2000)
        size = float(np.linalg.norm(fun(best + step)[1]))
        if not size < smallest:
            break
        best, smallest = best + step, size
        if smallest < 0.01 * GRADIENT_NORM:
            break
    return best, smallest
