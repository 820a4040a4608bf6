"""Tables that say how the nodes move and what their links carry."""

from typing import Annotated, Literal

from pydantic import Field

from jaxcoopt.experiments.amounts import Table


class Ideal(Table):
    """Links carry numbers as they are."""

    kind: Literal["ideal"]


Placement = Literal["message", "difference", "innovation"]


class LogQuantizer(Table):
    """Logarithmic levels."""

    kind: Literal["log"]
    rho: float = 0.5
    """Distance of the levels' logarithms."""
    bits: int | None = None
    """Bits of a number, one of them its sign; left out: as many as the float type's range needs."""
    scale: float = 1.0
    """The level in the middle, with `bits`."""
    placement: Placement = "innovation"
    """What is quantized: the value itself, its difference to the neighbour's, or its change."""


class UniformQuantizer(Table):
    """Equally spaced levels."""

    kind: Literal["uniform"]
    step: float
    """Distance of the levels."""
    bits: int | None = None
    """Bits of a number, one of them its sign; left out: a float's."""
    placement: Placement = "innovation"
    """What is quantized: the value itself, its difference to the neighbour's, or its change."""


class Sign(Table):
    """One bit."""

    kind: Literal["sign"]
    scale: float = 1.0
    """The size of what is sent."""
    placement: Placement = "difference"
    """What is quantized: the value itself, its difference to the neighbour's, or its change."""


class Clip(Table):
    """Large numbers are cut."""

    kind: Literal["clip"]
    limit: float
    """The largest size of what is sent."""
    placement: Placement = "difference"
    """What is cut: the value itself, its difference to the neighbour's, or its change."""


Channel = Annotated[Ideal | LogQuantizer | UniformQuantizer | Sign | Clip, Field(discriminator="kind")]


class Penalty(Table):
    """A smooth penalty outside the bounds."""

    kind: Literal["penalty"]
    weight: float = 20.0
    """The price far outside."""
    sharpness: float = 50.0
    """One over the width of the edge, in CPU units."""
    form: Literal["softplus", "square"] = "softplus"
    """The penalty's shape."""


class LaplacianFlow(Table):
    """CPU flows along links from high to low price."""

    kind: Literal["laplacian_flow"]
    step: float
    """CPU units per price."""
    momentum: float = 0.0
    """Of the heavy-ball term, in [0, 1)."""
    bounds: Penalty = Penalty(kind="penalty")
    """How the price answers to the bounds."""


class Sgd(Table):
    """optax.sgd."""

    kind: Literal["sgd"]
    learning_rate: float
    """Step along the tracked gradient."""
    momentum: float | None = None
    """In [0, 1)."""
    nesterov: bool = False
    """Whether the momentum looks ahead."""


class Adam(Table):
    """optax.adam."""

    kind: Literal["adam"]
    learning_rate: float
    """Step, in units of the parameters."""
    b1: float = 0.9
    """Decay of the mean."""
    b2: float = 0.999
    """Decay of the mean square."""


class GradientTracking(Table):
    """Every node follows an estimate of the whole network's gradient."""

    kind: Literal["gradient_tracking"]
    step: float | None = None
    """Step along the tracked gradient; give this or `optimizer`."""
    optimizer: Annotated[Sgd | Adam, Field(discriminator="kind")] | None = None
    """An optax optimizer that takes the place of the plain step."""
    batch_size: int | None = None
    """Samples of a node's mini-batch; left out: all."""
    order: Literal["cta", "atc"] = "cta"
    """cta: mix, then move; atc: move, then mix."""


class Method(Table):
    """How the nodes move: one table for each half of the problem."""

    allocation: LaplacianFlow | None = None
    """Of the CPU shares."""
    training: GradientTracking | None = None
    """Of the model parameters."""
