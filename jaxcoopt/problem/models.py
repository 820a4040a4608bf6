"""Predictions of the models that losses are built on: arithmetic shared by them, one matrix product over all runs."""

import jax
import jax.numpy as jnp
from jax.lax import Precision
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from jaxcoopt.along_runs import along_runs, scaled
from jaxcoopt.arrays import float_dtype

Params = PyTree


def linear_init(key: Array, features: int, outputs: tuple[int, ...], intercept: bool) -> dict[str, Array]:
    """One node's start {"weights": [features, *outputs], "bias": [*outputs]}: small normal weights, zero bias."""
    weights = 0.1 * jax.random.normal(key, (features, *outputs), float_dtype()) / jnp.sqrt(float(features))
    return {"weights": weights} | ({"bias": jnp.zeros(outputs, float_dtype())} if intercept else {})


def linear_scores(params: dict[str, Array], features: Float[Array, "nodes samples features *runs"]) -> Array:
    """Features times weights plus bias: [nodes, samples, *outputs, runs]; features may differ per run."""
    per_run = "r" if features.ndim == 4 else ""
    outputs = "c" if params["weights"].ndim == 4 else ""
    scores = jnp.einsum(
        f"nsf{per_run},nf{outputs}r->ns{outputs}r", features, params["weights"], precision=Precision.HIGHEST
    )
    return scores + params["bias"][:, None] if "bias" in params else scores


def ridge(l2: ArrayLike, params: dict[str, Array]) -> Float[Array, "nodes runs"]:
    """l2/2 |weights|^2 at each node and run; the bias is not penalised."""
    weights = params["weights"]
    square = jnp.sum(weights**2, axis=tuple(range(1, weights.ndim - 1)))
    return 0.5 * along_runs(l2, square) * square


def ridge_gradient(l2: ArrayLike, params: dict[str, Array]) -> dict[str, Array]:
    """l2 weights, and 0 for the bias: not from `ridge`, of which reverse mode would keep l2 at the weights' size."""
    return {name: scaled(l2, leaf) if name == "weights" else jnp.zeros_like(leaf) for name, leaf in params.items()}


def mlp_init(key: Array, sizes: tuple[int, ...]) -> list[dict[str, Array]]:
    """One node's start of a multilayer perceptron: weights of variance 1 / fan-in (LeCun), zero biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {
            "weights": jax.random.normal(k, (n_in, n_out), float_dtype()) / jnp.sqrt(float(n_in)),
            "bias": jnp.zeros((n_out,), float_dtype()),
        }
        for k, n_in, n_out in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp_scores(layers: list[dict[str, Array]], features: Float[Array, "nodes samples features *runs"]) -> Array:
    """Linear layers with tanh between them: [nodes, samples, outputs, runs]."""
    hidden = features
    for layer in layers[:-1]:
        hidden = jnp.tanh(linear_scores(layer, hidden))
    return linear_scores(layers[-1], hidden)
