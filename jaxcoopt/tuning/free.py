"""The settings that are tuned, as free numbers: where they start, and what they stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcoopt.arrays import float_dtype
from jaxcoopt.errors import finite
from jaxcoopt.methods.phases import Phases
from jaxcoopt.sweeps.names import Place, Trio, assigned, find, read
from jaxcoopt.tuning.admissible import Interval, free_weights, interval, weights_of

WEIGHTS = ("weights", "network.weights")
SPREAD = 1.0  # of the random starts around the given one: a factor of e, about
Free = dict[str, Float[Array, "starts *shape"]]


class Parameter(NamedTuple):
    """A setting by its name; place and interval are None for the link weights."""

    name: str
    place: Place | None
    interval: Interval | None


@dataclass(frozen=True)
class Parameters:
    """All that is tuned, on top of `trio`."""

    trio: Trio
    each: tuple[Parameter, ...]

    @property
    def of_links(self) -> bool:
        """Whether the link weights are among them."""
        return any(place is None for _, place, _ in self.each)

    def start(self, starts: int, seed: int) -> Free:
        """What the settings are, and random numbers around it for the other starts, [starts] each."""
        rng, free = np.random.default_rng(seed), {}
        for name, place, inside in self.each:
            if place is None or inside is None:
                free[name] = free_weights(self.trio.network)[None]
                continue
            first = np.vectorize(inside.free)(read(self.trio, place))
            steps = rng.normal(size=(starts, *(1,) * first.ndim))  # the same for all phases
            steps[0] = 0
            free[name] = first + SPREAD * steps
        return {name: jnp.asarray(value, float_dtype()) for name, value in free.items()}

    def values(self, free: Free) -> dict[str, Array]:
        """The settings themselves, [starts] or [starts, phases] each; link weights [1, graphs, edges]."""
        return {name: self._value(inside, free[name]) for name, _, inside in self.each}

    def _value(self, inside: Interval | None, free: Array) -> Array:
        return weights_of(self.trio.network, free[0])[None] if inside is None else inside.value(free)

    def applied(self, trio: Trio, values: Mapping[str, Any]) -> Trio:
        """A problem, network and method with these values."""
        for name, place, _ in self.each:
            if place is None:
                trio = trio._replace(network=trio.network.with_weights(values[name]))
            else:
                trio = assigned(trio, place, values[name])
        return trio


def parameters_of(given: Sequence[str] | Mapping[str, Any], trio: Trio, starts: int) -> Parameters:
    """From names, or names with the interval (low, high) that each may take.

    Raises ValueError or TypeError for names that are not there, are no numbers, or cannot be tuned.
    """
    if isinstance(given, str) or not given:
        raise ValueError(f"parameters: expected a list of names such as ['training.step'], got {given!r}")
    each = []
    for name in given:
        if name in WEIGHTS:
            if starts > 1:
                raise ValueError("parameters: link weights are tuned from one start; use starts=1")
            each.append(Parameter(name, None, None))
            continue
        place = find(name, trio, "parameters")
        if isinstance(read(trio, place), Phases):
            place = Place(place.root, (*place.path, "values"))
        _check(name, place, read(trio, place))
        limits = given[name] if isinstance(given, Mapping) else None
        each.append(Parameter(name, place, interval(trio, place) if limits is None else _interval(name, limits)))
    return Parameters(trio, tuple(each))


def _check(name: str, place: Place, value: Any) -> None:
    if place.root != "method":
        raise ValueError(
            f"parameters: {name!r} is a setting of the {place.root}; tuned are those of the method and the link "
            "'weights'. How the optimum answers to a problem's constants: jax.grad of jaxcoopt.reference"
        )
    if place.path[-1] == "width":
        raise ValueError(f"parameters: {name!r} smooths derivatives and changes no run; tune another setting")
    if isinstance(value, bool) or not isinstance(value, (int, float, np.ndarray, jnp.ndarray, np.number)):
        what = "an object: name a number in it" if hasattr(value, "__dataclass_fields__") else repr(value)
        raise TypeError(f"parameters: {name!r} is no number but {what}; give it a number to start from")
    if np.ndim(finite(f"parameters: {name}", value)) > (place.path[-1] == "values"):
        raise ValueError(f"parameters: {name!r} differs between the runs; give one number to start from")


def _interval(name: str, limits: Any) -> Interval:
    low, high = (float(limit) for limit in limits)
    if not low < high or np.isinf(low):
        raise ValueError(f"parameters: {name}: expected (low, high) with low < high, got {limits!r}")
    return Interval(low, high)
