"""How the pooled fit moves with the problem, from its optimality conditions, in either mode and any order."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.problem.scores import is_linear, scale_of
from jaxcoopt.problem.training_optimum import COLUMNS, PooledFit, fit_runs

Units = tuple[Array, Array] | None  # see `_units`


@jax.custom_jvp
def fitted(training: Training) -> PooledFit:
    """The pooled optimum of an aligned training half: G(y) = gradient of the pooled loss = 0."""
    return jax.tree.map(jnp.asarray, fit_runs(training))


@fitted.defjvp
def _fitted_jvp(primals: tuple[Training], tangents: tuple[Training]) -> tuple[PooledFit, PooledFit]:
    """H dy + dG = 0 with the Hessian H, in y that are measured alike whatever the features' units; the smallest dy
    where that leaves it open (softmax's common bias).
    """
    (training,), (moved,) = primals, tangents
    fit = fitted(training)
    params = fit.params if fit.loss.ndim else jax.tree.map(lambda leaf: leaf[..., None], fit.params)
    units = _units(lax.stop_gradient(training))
    measured = _measured(params, units)
    y = jnp.concatenate([leaf.reshape(-1, leaf.shape[-1]) for leaf in jax.tree.leaves(measured)])
    turned = jax.jvp(lambda at: _slope(at, units, params, y), (training,), (moved,))[1]
    dy = -jnp.einsum("rij,jr->ir", _inverse_hessian(training, units, params, y), turned)
    dloss = jax.jvp(lambda at, y: _loss(at, units, params, y), (training, y), (moved, dy))[1]
    dparams = _in_units(_unravel(params, dy), units)
    dparams = jax.tree.map(lambda leaf, like: leaf.reshape(like.shape), dparams, fit.params)
    return fit, PooledFit(dparams, dloss.reshape(fit.loss.shape))


@jax.jit
def _units(training: Training) -> Units:
    """(means [features], scales [features, runs]) of the pooled features, where the loss is one of linear scores."""
    loss = training.loss
    if not is_linear(loss):
        return None
    share = training.batch().share
    weights = jnp.ones(share.shape[0], share.dtype) if training.weights is None else training.weights
    share = (share * (weights / weights.sum())[:, None])[..., None]
    mean = (share * training.features).sum(axis=(0, 1))
    mean = mean if loss.intercept else jnp.zeros_like(mean)
    size = jnp.sqrt((share * (training.features - mean[None, None]) ** 2).sum(axis=(0, 1)))
    l2 = jnp.atleast_1d(loss.l2)[None]
    return mean, scale_of(size[:, None], l2, jnp)


def _measured(params: Params, units: Units) -> Params:
    """Weights times their feature's scale, and the bias at the features' means."""
    if units is None:
        return params
    weights = params["weights"]
    found = {"weights": weights * _beside(units[1], weights)}
    return found | ({"bias": params["bias"] + jnp.tensordot(units[0], weights, 1)} if "bias" in params else {})


def _in_units(measured: Params, units: Units) -> Params:
    """The other way round."""
    if units is None:
        return measured
    weights = measured["weights"] / _beside(units[1], measured["weights"])
    found = {"weights": weights}
    return found | ({"bias": measured["bias"] - jnp.tensordot(units[0], weights, 1)} if "bias" in measured else {})


def _beside(scale: Float[Array, "features runs"], weights: Array) -> Array:
    return scale.reshape(scale.shape[0], *(1,) * (weights.ndim - 2), scale.shape[1])


def _unravel(like: Params, y: Float[Array, "numbers runs"]) -> Params:
    """One vector for each run as parameters, leaves [*shape, runs]."""
    one_run = jax.tree.map(lambda leaf: leaf[..., 0], like)
    return jax.vmap(ravel_pytree(one_run)[1], in_axes=-1, out_axes=-1)(y)


@jax.jit
def _loss(training: Training, units: Units, like: Params, y: Float[Array, "numbers runs"]) -> Float[Array, " runs"]:
    params = _in_units(_unravel(like, y), units)
    return training.pooled_loss(jax.tree.map(lambda leaf: leaf[None], params))


@jax.jit
def _slope(
    training: Training, units: Units, like: Params, y: Float[Array, "numbers runs"]
) -> Float[Array, "numbers runs"]:
    return jax.grad(lambda at: _loss(training, units, like, at).sum())(y)


@jax.jit
def _inverse_hessian(training: Training, units: Units, like: Params, y: Array) -> Float[Array, "runs numbers k"]:
    def column(direction: Array) -> Array:
        along = jnp.broadcast_to(direction[:, None], y.shape)
        return jax.jvp(lambda at: _slope(training, units, like, at), (y,), (along,))[1]

    hessian = jnp.moveaxis(lax.map(column, jnp.eye(len(y)), batch_size=COLUMNS), -1, 0)
    scale = jnp.ones_like(hessian[..., 0])
    if units is None:  # parameters of any meaning: measured by their own curvature
        diagonal = jnp.diagonal(lax.stop_gradient(hessian), axis1=1, axis2=2)
        scale = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1))
    return (
        scale[:, :, None]
        * jnp.linalg.pinv(scale[:, :, None] * hessian * scale[:, None], hermitian=True)
        * scale[:, None]
    )
