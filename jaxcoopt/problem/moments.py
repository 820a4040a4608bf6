"""Least squares by second moments: gradients that do not pass over the samples again."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

from jaxcoopt.linear import symmetric
from jaxcoopt.problem.models import Params
from jaxcoopt.pytrees import pytree

SMALL_FEATURES, SMALL_RUNS = 20, 32  # sizes up to which sums of products are quicker on a CPU (benchmarks/NOTES.md)


@pytree
@dataclass(frozen=True)
class Moments:
    """Weighted means over a node's samples: of x x^T [nodes, features, features], x y and x [nodes, features, 1] and y
    [nodes, 1].
    """

    second: Float[Array, "nodes features features"]
    product: Float[Array, "nodes features 1"]
    features: Float[Array, "nodes features 1"]
    target: Float[Array, "nodes 1"]


def moments_of(
    features: Float[Array, "nodes samples features"],
    targets: Float[Array, "nodes samples"],
    share: Float[Array, "nodes samples"],
) -> Moments:
    """The moments of all samples, each with its share in the node's mean."""
    weighted = share[..., None] * features
    return Moments(
        second=jnp.einsum("nsf,nsg->nfg", weighted, features, precision=Precision.HIGHEST),
        product=jnp.einsum("nsf,ns->nf", weighted, targets, precision=Precision.HIGHEST)[..., None],
        features=weighted.sum(axis=1)[..., None],
        target=(share * targets).sum(axis=1, keepdims=True),
    )


def least_squares_gradient(params: Params, moments: Moments) -> Params:
    """d/d(w, b) of the mean of (x.w + b - y)^2 / 2: E[x x^T] w + E[x] b - E[x y] and E[x].w + b - E[y]."""
    weights = params["weights"]
    slope = symmetric(_times, moments.second, weights) - moments.product
    if "bias" not in params:
        return {"weights": slope}
    bias = params["bias"]
    return {
        "weights": slope + moments.features * bias[:, None],
        "bias": (moments.features * weights).sum(axis=1) + bias - moments.target,
    }


def _times(second: Float[Array, "nodes features features"], weights: Float[Array, "nodes features runs"]) -> Array:
    """E[x x^T] w. Products so small go through no library: a matrix product of 10 x 10 x 4 takes ten times as long."""
    features, runs = weights.shape[1:]
    if features <= SMALL_FEATURES and 1 < runs < SMALL_RUNS:
        return (second[..., None] * weights[:, None]).sum(axis=2)
    return jnp.einsum("nfg,ngr->nfr", second, weights, precision=Precision.HIGHEST)
