"""How the pooled fit moves with the problem, from its optimality conditions, in either mode and any order."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxcoopt.problem.pooled import PooledFit, fit_runs
from jaxcoopt.problem.problem import Training

COLUMNS = 64  # of the Hessian at once: what its memory goes by


@jax.custom_jvp
def fitted(training: Training) -> PooledFit:
    """The pooled optimum of an aligned training half: G(y) = gradient of the pooled loss = 0."""
    return jax.tree.map(jnp.asarray, fit_runs(training))


@fitted.defjvp
def _fitted_jvp(primals: tuple[Training], tangents: tuple[Training]) -> tuple[PooledFit, PooledFit]:
    """H dy + dG = 0 with the Hessian H; the smallest dy where that leaves it open (softmax's common bias)."""
    (training,), (moved,) = primals, tangents
    fit = fitted(training)
    params = fit.params if fit.loss.ndim else jax.tree.map(lambda leaf: leaf[..., None], fit.params)
    y = jnp.concatenate([leaf.reshape(-1, leaf.shape[-1]) for leaf in jax.tree.leaves(params)])
    turned = jax.jvp(lambda at: _slope(at, params, y), (training,), (moved,))[1]
    dy = -jnp.einsum("rij,jr->ir", _inverse_hessian(training, params, y), turned)
    dloss = jax.jvp(lambda at, y: _loss(at, params, y), (training, y), (moved, dy))[1]
    dparams = jax.tree.map(lambda leaf, like: leaf.reshape(like.shape), _unravel(params, dy), fit.params)
    return fit, PooledFit(dparams, dloss.reshape(fit.loss.shape))


def _unravel(like: Any, y: Float[Array, "numbers runs"]) -> Any:
    """One vector for each run as parameters, leaves [*shape, runs]."""
    one_run = jax.tree.map(lambda leaf: leaf[..., 0], like)
    return jax.vmap(ravel_pytree(one_run)[1], in_axes=-1, out_axes=-1)(y)


@jax.jit
def _loss(training: Training, like: Any, y: Float[Array, "numbers runs"]) -> Float[Array, " runs"]:
    return training.pooled_loss(jax.tree.map(lambda leaf: leaf[None], _unravel(like, y)))


@jax.jit
def _slope(training: Training, like: Any, y: Float[Array, "numbers runs"]) -> Float[Array, "numbers runs"]:
    return jax.grad(lambda at: _loss(training, like, at).sum())(y)


@jax.jit
def _inverse_hessian(training: Training, like: Any, y: Float[Array, "numbers runs"]) -> Float[Array, "runs numbers k"]:
    def column(direction: Array) -> Array:
        along = jnp.broadcast_to(direction[:, None], y.shape)
        return jax.jvp(lambda at: _slope(training, like, at), (y,), (along,))[1]

    hessian = lax.map(column, jnp.eye(len(y)), batch_size=COLUMNS)
    return jnp.linalg.pinv(jnp.moveaxis(hessian, -1, 0), hermitian=True)
