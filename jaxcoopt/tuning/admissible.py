"""What values a setting may take, and free numbers that stand for them: tuning cannot leave the admissible set."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.schedule import in_each_phase
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.names import Place
from jaxcoopt.setting import Setting, settings_of
from jaxcoopt.theory.auto import HALVES
from jaxcoopt.theory.curvature import NoNumber
from jaxcoopt.theory.steps import StepBound, known_bound

MARGIN = 1e-4  # of an interval, kept from its open ends
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

    def free(self, value: float, margin: float = 0.01) -> float:
        """The way back, from that part of the interval inside where the value is nearer to an end."""
        if math.isinf(self.high):
            return math.log(max(value - self.low, 1e-12))
        part = ((value - self.low) / (self.high - self.low) - MARGIN) / (1 - 2 * MARGIN)
        part = min(max(part, margin), 1 - margin)
        return math.log(part) - math.log1p(-part)


def interval(method: CoOptimizer, place: Place) -> Interval:
    """Of a setting of the method, as it declares it; above 0 where it says nothing."""
    declared = declared_at(method, place)
    low, high = (0.0, math.inf) if declared is None or declared.interval is None else declared.interval
    return Interval(max(low, 0.0) if math.isinf(low) else low, high)


def declared_at(method: CoOptimizer, place: Place) -> Setting | None:
    """The setting there, None where it is not declared."""
    return settings_of(type(_owner(method, place))).get(_field(place))


def is_step(place: Place) -> bool:
    """Whether it is the step of a half of the method."""
    return _field(place) == "step" and len(_way(place)) == 1 and _way(place)[0] in HALVES


def bound_of(method: CoOptimizer, place: Place, cases: Sequence[tuple[Problem, Network]]) -> StepBound | None:
    """The least bound of `theory.step_bound` for a step in all cases and phases, None where one is not known."""
    phases, channel = in_each_phase(_owner(method, place)), method.channel_of(_way(place)[0])
    try:
        bounds = [known_bound(phase, *case, channel) for phase in phases for case in cases]
    except NoNumber:
        return None
    least = min(bounds, key=lambda bound: float(np.min(bound.value)))
    return replace(least, value=float(np.min(least.value)))


def _owner(method: CoOptimizer, place: Place) -> Any:
    return reduce(getattr, _way(place), method)


def _way(place: Place) -> tuple[str, ...]:
    return place.path[: -2 if place.path[-1] == "values" else -1]


def _field(place: Place) -> str:
    return place.path[-2 if place.path[-1] == "values" else -1]


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
