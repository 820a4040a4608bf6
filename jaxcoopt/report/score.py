"""How well a model predicts samples that it was not trained on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxcoopt.problem.losses import Loss
from jaxcoopt.problem.models import Params

METRICS = {"real": "r2", "binary": "accuracy", "integer": "accuracy"}


def metric(loss: Loss) -> str | None:
    """ "accuracy" for classes, "r2" for regression, None for a loss that makes no predictions."""
    return METRICS.get(loss.targets)


def score(
    loss: Loss, params: Params, features: Float[np.ndarray, "samples features"], targets: Shaped[np.ndarray, " samples"]
) -> Float[np.ndarray, " runs"]:
    """Accuracy or R2 of params, leaves [*shape, runs], over the samples; raises TypeError without predictions."""
    with jax.enable_x64(True):
        stacked = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)[None]), params)
        predicted = np.asarray(loss.predict(stacked, jnp.asarray(np.asarray(features, np.float64)[None])))[0]
    predicted, truth = predicted.astype(np.float64), np.asarray(targets, np.float64)[:, None]
    if loss.targets == "binary":
        return np.mean((predicted > 0) == (truth > 0), axis=0)
    if loss.targets == "integer":
        return np.mean(predicted == truth, axis=0)
    return 1 - np.mean((predicted - truth) ** 2, axis=0) / np.var(truth)


def reference_params(params: Params) -> Params:
    """An optimum's parameters, leaves [*shape], with the runs axis that `score` expects."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[..., None], params)
