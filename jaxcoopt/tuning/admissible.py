"""What values a setting may take, and free numbers that stand for them: tuning cannot leave the admissible set."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.curvature_flow import CurvatureFlow
from jaxcoopt.methods.diffusion import LEAD
from jaxcoopt.methods.phases import at_iteration
from jaxcoopt.network.network import Network
from jaxcoopt.sweeps.names import Place, Trio, read
from jaxcoopt.theory.curvature import Unknown
from jaxcoopt.theory.steps import known_bound

MARGIN = 1e-4  # of an interval, kept from its open ends
OF_FIELD = {"momentum": (0.0, 1.0), "relaxation": (0.5, 1.0), "damping": (0.0, 1.0)}
OF_GAIN = {CurvatureFlow: (0.0, 1.0), CHOCO: (0.0, 1.0), LEAD: (0.0, 1.0)}
MOST_MIXED = 0.99  # the sum of a node's weights: below 1 no eigenvalue of I - L leaves the unit circle


class Interval(NamedTuple):
    """The open interval (low, high); high may be infinite."""

    low: float
    high: float

    def value(self, free: Array) -> Array:
        """A number of the interval for any real one: low + exp(t), or low + (high - low) sigmoid(t)."""
        if math.isinf(self.high):
            return self.low + jnp.exp(free)
        return self.low + (self.high - self.low) * (MARGIN + (1 - 2 * MARGIN) * jax.nn.sigmoid(free))

    def free(self, value: float) -> float:
        """The way back, from well inside where the value is at an end."""
        if math.isinf(self.high):
            return math.log(max(value - self.low, 1e-12))
        part = ((value - self.low) / (self.high - self.low) - MARGIN) / (1 - 2 * MARGIN)
        part = min(max(part, 0.01), 0.99)
        return math.log(part) - math.log1p(-part)


def interval(trio: Trio, place: Place) -> Interval:
    """Of a setting of the method: what its check admits, and steps below the bound of `theory.step_bound` if known."""
    *way, field = place.path[:-1] if place.path[-1] == "values" else place.path
    owner = at_iteration(read(trio, Place(place.root, tuple(way))), np.asarray(0))
    if field == "gain":
        return Interval(*OF_GAIN.get(type(owner), (0.0, math.inf)))
    if field == "step" and way and way[0] in ("allocation", "training"):
        try:
            most = float(np.min(known_bound(owner, trio.problem, trio.network, trio.method.channel).value))
        except Unknown:
            most = math.inf
        return Interval(0.0, most)
    return Interval(*OF_FIELD.get(field, (0.0, math.inf)))


def weights_of(network: Network, free: Float[Array, "graphs edges"]) -> Float[Array, "graphs edges"]:
    """Symmetric, above 0 on links, no node's sum above `MOST_MIXED`: exp(t), all scaled where one is."""
    there = network.edges.weights > 0
    weights = jnp.where(there, jnp.exp(free), 0)
    ends = jnp.concatenate([network.edges.tail, network.edges.head])

    def sums(of_graph: Array) -> Array:
        return jnp.zeros(network.nodes, of_graph.dtype).at[ends].add(jnp.concatenate([of_graph, of_graph]))

    largest = jax.vmap(sums)(weights).max(axis=1, keepdims=True)
    return weights / jnp.maximum(1, largest / MOST_MIXED)


def free_weights(network: Network) -> Float[np.ndarray, "graphs edges"]:
    """The free numbers of the weights that the network has."""
    weights = np.asarray(network.edges.weights)
    return np.log(np.where(weights > 0, weights, 1))
