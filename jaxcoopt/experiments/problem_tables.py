"""Tables that say what is minimised: the costs of CPU and the training loss."""

from typing import Annotated, Literal

from pydantic import Field

from jaxcoopt.experiments.amounts import Amount, Table


class QuadraticCost(Table):
    """curvature / 2 (x - center)^2."""

    kind: Literal["quadratic"]
    curvature: Amount
    """Above 0."""
    center: Amount
    """The cheapest share, in CPU units."""


class LatencyCost(Table):
    """price * work / x: what the seconds of one iteration cost."""

    kind: Literal["latency"]
    work: Amount | None = None
    """CPU-seconds at one unit of CPU; left out: the experiment's `work`."""
    price: float = Field(1.0, gt=0)
    """Of a second."""


class PowerCost(Table):
    """coefficient * x^exponent: the price of the power drawn."""

    kind: Literal["power"]
    coefficient: Amount
    """Above 0."""
    exponent: Amount = 2.0
    """At least 1."""


class QueueingCost(Table):
    """1 / (capacity - x): the mean time in a queue."""

    kind: Literal["queueing"]
    capacity: Amount
    """In CPU units, above every share."""


Cost = Annotated[QuadraticCost | LatencyCost | PowerCost | QueueingCost, Field(discriminator="kind")]


class Allocation(Table):
    """The CPU half of the problem: share a budget at least cost."""

    budget: Amount
    """CPU units in all, such as {of_demand = 1.0}; amounts that differ between nodes are added up."""
    lower: Amount | None = None
    """The least share of a node."""
    upper: Amount | None = None
    """The largest share of a node."""
    cost: list[Cost] = Field(min_length=1)
    """One or more families, which are added up."""
    start: Literal["feasible", "demand"] = "feasible"
    """Where the shares start: a feasible point, or what every node demands (when that is the budget in all)."""


class LinearLoss(Table):
    """Least squares, for regression."""

    kind: Literal["linear"]
    l2: float = 0.0
    """l2 / 2 |weights|^2 is added."""
    intercept: bool = True
    """Whether there is a bias."""


class LogisticLoss(Table):
    """Logistic regression, for two classes."""

    kind: Literal["logistic"]
    l2: float = 0.0
    """l2 / 2 |weights|^2 is added."""
    intercept: bool = True
    """Whether there is a bias."""


class HingeLoss(Table):
    """Support vector machine with a smoothed hinge, for two classes."""

    kind: Literal["hinge"]
    l2: float = 0.0
    """l2 / 2 |weights|^2 is added."""
    sharpness: float = 10.0
    """mu of softplus(mu (1 - margin)) / mu."""
    intercept: bool = True
    """Whether there is a bias."""


class SoftmaxLoss(Table):
    """Multinomial logistic regression, for any number of classes."""

    kind: Literal["softmax"]
    l2: float = 0.0
    """l2 / 2 |weights|^2 is added."""
    intercept: bool = True
    """Whether there is a bias."""


class MLPLoss(Table):
    """A small neural network; not convex, so no training gap is recorded."""

    kind: Literal["mlp"]
    hidden: list[int] = Field([32], min_length=1)
    """Neurons of each hidden layer."""
    l2: float = 0.0
    """l2 / 2 |weights|^2 is added."""


Loss = Annotated[LinearLoss | LogisticLoss | HingeLoss | SoftmaxLoss | MLPLoss, Field(discriminator="kind")]


class Training(Table):
    """The training half of the problem."""

    loss: Loss
    """What is minimised."""
    weights: Literal["samples", "equal"] = "samples"
    """samples: a node counts as much as it has samples, so that the pooled loss is minimised; equal: all the same."""
