"""The settings that are tuned, as free numbers: where they start, and what they stand for."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcoopt.arrays import float_dtype, shown
from jaxcoopt.errors import finite
from jaxcoopt.methods.check import check_method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.schedule import Schedule
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock
from jaxcoopt.run.names import Place, Trio, assigned, find, read
from jaxcoopt.shown import briefly
from jaxcoopt.tuning.admissible import Interval, bound_of, declared_at, free_weights, interval, is_step, weights_of

WEIGHTS = ("weights", "network.weights")
SPREAD, LINK_SPREAD = 1.0, 0.3  # of the random starts around the given one: a factor of e, about; of each link
FAR = 30.0  # free numbers that stand for the ends of an interval
Free = dict[str, Float[Array, "starts ..."]]
Values = dict[str, Float[Array, "starts ..."]]  # of the settings that these stand for
Case = tuple[Problem, Network]


@briefly
@dataclass(frozen=True)
class LinkWeights:
    """One number for each link of each graph, [graphs, edges]."""

    name: str

    def given(self, trio: Trio) -> np.ndarray:
        """Those that the network has."""
        return np.asarray(trio.network.edges.weights)

    def start(self, trio: Trio, starts: int, rng: np.random.Generator) -> np.ndarray:
        """Free numbers of each start; the first stands for what is given."""
        first = free_weights(trio.network)
        return first + LINK_SPREAD * _but_the_first(rng.normal(size=(starts, *first.shape)))

    def value(self, trio: Trio, free: Array) -> Array:
        """What the free numbers of each start stand for."""
        return jax.vmap(partial(weights_of, trio.network))(free)

    def applied(self, trio: Trio, value: ArrayLike) -> Trio:
        """With these weights."""
        return trio._replace(network=trio.network.with_weights(value))


@briefly
@dataclass(frozen=True)
class TunedNumber:
    """A number of the method, or one for each phase; of_theory: whether its largest value is `theory.step_bound`."""

    name: str
    place: Place
    inside: Interval
    of_theory: bool = False

    def given(self, trio: Trio) -> np.ndarray:
        """What the method has."""
        return np.asarray(read(trio, self.place), float)

    def start(self, trio: Trio, starts: int, rng: np.random.Generator) -> np.ndarray:
        """Free numbers of each start; the first stands for what is given, the same step from there in all phases."""
        first = np.vectorize(self.inside.free)(self.given(trio))
        return first + SPREAD * _but_the_first(rng.normal(size=(starts, *(1,) * first.ndim)))

    def value(self, trio: Trio, free: Array) -> Array:
        """What the free numbers of each start stand for."""
        return self.inside.value(free)

    def applied(self, trio: Trio, value: ArrayLike) -> Trio:
        """With this value."""
        return assigned(trio, self.place, value)


def _but_the_first(steps: np.ndarray) -> np.ndarray:
    steps[0] = 0
    return steps


@briefly
@dataclass(frozen=True)
class Parameters:
    """All that is tuned, on top of `trio`; cases: every problem and network that is run."""

    trio: Trio
    each: tuple[LinkWeights | TunedNumber, ...]
    cases: tuple[Case, ...]

    @property
    def of_links(self) -> bool:
        """Whether the link weights are among them."""
        return any(isinstance(each, LinkWeights) for each in self.each)

    def start(self, starts: int, seed: int) -> Free:
        """What the settings are, and random numbers around it for the other starts."""
        rng = np.random.default_rng(seed % 2**64)
        free = {each.name: each.start(self.trio, starts, rng) for each in self.each}
        return self.admitted({name: jnp.asarray(value, float_dtype()) for name, value in free.items()})

    def given(self, starts: int) -> Values:
        """The settings as they are, the same for each start; also where they are at an end of what they may be."""
        found = {each.name: jnp.asarray(each.given(self.trio), float_dtype()) for each in self.each}
        return {name: jnp.broadcast_to(value, (starts, *value.shape)) for name, value in found.items()}

    def values(self, free: Free) -> Values:
        """The settings themselves, [starts] or [starts, phases] each; link weights [starts, graphs, edges]."""
        return {each.name: each.value(self.trio, free[each.name]) for each in self.each}

    def applied(self, trio: Trio, values: Mapping[str, Any]) -> Trio:
        """A problem, network and method with these values."""
        for each in self.each:
            trio = each.applied(trio, values[each.name])
        return trio

    def admitted(self, free: Free) -> Free:
        """The same with steps brought below `theory.step_bound`, which moves with the other settings of each start."""
        steps = [each for each in self.each if isinstance(each, TunedNumber) and each.of_theory]
        if not steps or len(self.each) == 1:
            return free
        values, free = self.values(free), dict(free)
        for start in range(starts_of(free)):
            at = self.applied(self.trio, {name: value[start] for name, value in values.items()})
            cases = [(problem, at.network if self.of_links else network) for problem, network in self.cases]
            for each in steps:
                bound = bound_of(at.method, each.place, cases)
                if bound is None or bound.value >= each.inside.high:
                    continue
                most = each.inside.free(bound.value, margin=0.0)
                free[each.name] = free[each.name].at[start].min(most)
        return free


def parameters_of(
    given: Sequence[str] | Mapping[str, Any],
    method: CoOptimizer,
    cases: Sequence[Case],
    runs: int = 1,
    clock: Clock = SYNCHRONOUS,
) -> Parameters:
    """From names, or names with the interval (low, high) that each may take; cases: all that is run, the first of
    which the names may speak of; runs: of the method's other settings.

    Raises ValueError or TypeError for names that are not there, are no numbers, or cannot be tuned.
    """
    if not isinstance(given, Sequence | Mapping) or isinstance(given, str) or not given:
        raise ValueError(f"parameters: expected a list of names such as ['training.step'], got {shown(given)}")
    trio, found = Trio(*cases[0], method, clock), {}
    for name in given:
        limits = given[name] if isinstance(given, Mapping) else None
        each = _link_weights(name, limits) if name in WEIGHTS else _setting(name, limits, trio, cases, runs)
        where = each.place if isinstance(each, TunedNumber) else WEIGHTS
        if where in found:
            raise ValueError(f"parameters: {found[where].name!r} and {name!r} are the same; name it once")
        found[where] = each
    return Parameters(trio, tuple(found.values()), tuple(cases))


def _link_weights(name: str, limits: object) -> LinkWeights:
    if limits is not None:
        raise ValueError(
            f"parameters: {name!r} take no interval, got {shown(limits)}: they stay above 0, and each node's sum below "
            "1; give None"
        )
    return LinkWeights(name)


def _setting(name: str, limits: object, trio: Trio, cases: Sequence[Case], runs: int) -> TunedNumber:
    place = find(name, trio, "parameters")
    if isinstance(read(trio, place), Schedule):
        place = Place(place.root, (*place.path, "values"))
    value = read(trio, place)
    _check(name, place, trio, value)
    if limits is not None:
        return TunedNumber(name, place, _given_interval(name, limits, place, trio, runs))
    inside, bound = interval(trio.method, place), bound_of(trio.method, place, cases) if is_step(place) else None
    if bound is None:
        return TunedNumber(name, place, inside)
    if np.max(value) < bound.value:
        return TunedNumber(name, place, Interval(inside.low, bound.value), of_theory=True)
    if bound.sharp:
        raise ValueError(
            f"parameters: {name} starts at {np.max(value):.3g}, and from {bound.value:.3g} on the iteration grows "
            "without limit; start below, or with step='auto'"
        )
    warnings.warn(
        f"parameters: {name} starts at {np.max(value):.3g}, beyond the {bound.value:.3g} up to which it is proved to "
        f"converge ({bound.source}), so it is tuned without that bound; start below it to be kept there, or give (low, "
        "high)",
        RuntimeWarning,
        stacklevel=4,
    )
    return TunedNumber(name, place, inside)


def _check(name: str, place: Place, trio: Trio, value: object) -> None:
    if place.root != "method":
        raise ValueError(
            f"parameters: {name!r} is a setting of the {place.root}; tuned are those of the method and the link "
            "'weights'. How the optimum answers to a problem's constants: jax.grad of jaxcoopt.reference"
        )
    declared = declared_at(trio.method, place)
    if declared is not None and declared.tuned is None:
        raise ValueError(f"parameters: {name!r} smooths derivatives and changes no run; tune another setting")
    if isinstance(value, bool) or not isinstance(value, (int, float, np.ndarray, jnp.ndarray, np.number)):
        what = "an object: name a number in it" if hasattr(value, "__dataclass_fields__") else shown(value)
        raise TypeError(f"parameters: {name!r} is no number but {what}; give it a number to start from")
    if declared is not None and declared.compiled:
        raise TypeError(f"parameters: {name!r} is compiled into the program and has no slope; sweep it: jaxcoopt.sweep")
    if np.ndim(finite(f"parameters: {name}", value)) > (place.path[-1] == "values"):
        raise ValueError(f"parameters: {name!r} differs between the runs; give one number to start from")


def _given_interval(name: str, limits: Any, place: Place, trio: Trio, runs: int) -> Interval:
    try:
        low, high = (float(limit) for limit in limits)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"parameters: {name}: expected (low, high), two numbers, or None, got {shown(limits)}"
        ) from error
    if not low < high or np.isinf(low):
        raise ValueError(f"parameters: {name}: expected (low, high) with low < high, got {shown(limits)}")
    value, inside = read(trio, place), Interval(low, high)
    if np.min(value) < low or np.max(value) > high:
        raise ValueError(
            f"parameters: {name}: starts at {value}, outside of {limits!r}; start from within, or widen it"
        )
    for end in (-FAR, FAR if np.isfinite(high) else 0.0):  # what the method's own check says of both ends
        value = np.full(np.shape(value), float(inside.value(jnp.asarray(end))))
        check_method(assigned(trio, place, value if value.ndim else value.item()).method, trio.problem, runs)
    return inside


def starts_of(free: Mapping[str, Array]) -> int:
    """How many there are."""
    return len(next(iter(free.values())))
