"""Numbers that differ from node to node, as one writes them in a TOML file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Count = Annotated[int, Field(ge=1, lt=2**31)]  # iterations are counted in 32 bits
Seed = Annotated[int, Field(ge=0)]  # NumPy's generators take no negative one


class Table(BaseModel):
    """A TOML table: unknown keys and wrong types are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class MadeTable(Table):
    """A table that is made at run time, whose keys say what they are: nobody looks for that in a source file."""

    model_config = ConfigDict(use_attribute_docstrings=False)


class RandomAmount(Table):
    """Drawn at random for each node, from the experiment's seed: uniform in [low, high], or log-uniform."""

    low: float
    """The least."""
    high: float
    """The largest."""
    log: bool = False
    """Whether the logarithm is uniform."""


class OfDemand(Table):
    """This many times the node's demand; needs a [demand] table."""

    of_demand: float
    """How many times."""


class OfSamples(Table):
    """This many times the number of samples that the node holds; needs a [data] table."""

    of_samples: float
    """How many times."""


TABLES = ("of_demand", "of_samples", "spread")


def _form(value: object) -> str | None:
    """The tag of an amount; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, Table):
        value = value.model_dump()
    if not isinstance(value, dict):
        return None
    return next((tag for tag in TABLES if tag in value), "spread")


Amount = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[list[float], Tag("list")]
    | Annotated[RandomAmount, Tag("spread")]
    | Annotated[OfDemand, Tag("of_demand")]
    | Annotated[OfSamples, Tag("of_samples")],
    Discriminator(
        _form,
        custom_error_type="amount",
        custom_error_message="a number, a list with one for each node, {low = .., high = ..}, {of_demand = ..} or "
        "{of_samples = ..}",
    ),
]
"""One number for all nodes, a list with one for each, or a table: RandomAmount, OfDemand, OfSamples."""


class Amounts:
    """Amounts as numbers: how many nodes there are, their demand and samples, and a seed for what is drawn."""

    def __init__(
        self,
        nodes: int,
        demand: Float[np.ndarray, " nodes"] | None,
        samples: Int[np.ndarray, " nodes"] | None,
        seed: int,
    ) -> None:
        self.nodes, self.demand, self.samples, self.seed = nodes, demand, samples, seed

    def value(self, name: str, amount: Amount) -> float | np.ndarray:
        """A scalar or [nodes]; raises ValueError naming the key for a list of the wrong length or a missing table."""
        match amount:
            case RandomAmount():
                return self._spread(name, amount)
            case OfDemand():
                return amount.of_demand * self._needed(f"{name}.of_demand", self.demand, "demand")
            case OfSamples():
                return amount.of_samples * self._needed(f"{name}.of_samples", self.samples, "data")
            case list():
                if len(amount) != self.nodes:
                    raise ValueError(
                        f"{name}: expected one number for each of the {self.nodes} nodes, got {len(amount)}"
                    )
                return np.asarray(amount)
            case _:
                return amount

    def _spread(self, name: str, spread: RandomAmount) -> Float[np.ndarray, " nodes"]:
        if not spread.low <= spread.high or (spread.log and spread.low <= 0):
            kind = "0 < low <= high" if spread.log else "low <= high"
            raise ValueError(f"{name}: expected {kind}, got low = {spread.low:g} and high = {spread.high:g}")
        uniform = np.random.default_rng([self.seed, *name.encode()]).uniform(size=self.nodes)
        if spread.log:
            return spread.low * (spread.high / spread.low) ** uniform
        return spread.low + (spread.high - spread.low) * uniform

    def _needed(self, name: str, per_node: np.ndarray | None, table: str) -> np.ndarray:
        if per_node is None:
            raise ValueError(f"{name}: there is no [{table}] table to take it from; add one, or give numbers")
        return per_node


@contextmanager
def under(path: str) -> Iterator[None]:
    """Errors inside get the dotted path of the table that they are about."""
    try:
        yield
    except (ValueError, TypeError, MemoryError, OSError) as error:
        raise type(error)(f"{path}.{error}") from error
