"""Tables that say what is minimised: the costs of CPU and the training loss."""

from dataclasses import MISSING, fields
from functools import partial
from typing import Any, Literal

from pydantic import Field

from jaxcoopt.experiments.amounts import Amount, Table
from jaxcoopt.experiments.method_tables import model
from jaxcoopt.experiments.own_kinds import one_of
from jaxcoopt.problem import costs, losses
from jaxcoopt.setting import settings_of

COSTS = {"quadratic": costs.Quadratic, "power": costs.Power, "queueing": costs.Queueing}
LOSSES = {
    "linear": losses.Linear,
    "logistic": losses.Logistic,
    "hinge": losses.SmoothHinge,
    "softmax": losses.Softmax,
    "mlp": losses.MLP,
}


class LatencyCost(Table):
    """price * work / x: what the seconds of one iteration cost."""

    kind: Literal["latency"]
    work: Amount | None = None
    """CPU-seconds at one unit of CPU; left out: the experiment's `work`."""
    price: float = Field(1.0, gt=0)
    """Of a second."""


def _table(kind: str, make: Any, number: object) -> type[Table]:
    """What a cost or a loss is built from, but for the number of classes, which the data say."""
    columns: dict[str, Any] = {}
    declared = settings_of(make)
    for each in fields(make):
        if each.name not in declared or each.name == "classes":
            continue
        known, default = declared[each.name], each.default
        types = bool if known.flag else list[int] if known.sizes else number
        default = ... if default is MISSING else list(default) if known.sizes else default
        least = 1 if known.sizes else None
        columns[each.name] = (types, Field(default, description=known.doc, min_length=least))
    return model(kind, make.__doc__, columns)


_cost, _loss = partial(_table, number=Amount), partial(_table, number=float)
Cost: Any = one_of([LatencyCost, *(_cost(kind, make) for kind, make in COSTS.items())], costs.Cost, _cost)
Loss: Any = one_of([_loss(kind, make) for kind, make in LOSSES.items()], losses.Loss, _loss)


class AllocationTable(Table):
    """The CPU half of the problem: share a budget at least cost."""

    budget: Amount
    """CPU units in all, such as {of_demand = 1.0}; amounts that differ between nodes are added up."""
    lower: Amount | None = None
    """The least share of a node."""
    upper: Amount | None = None
    """The largest share of a node."""
    cost: list[Cost] = Field(min_length=1)  # pyright: ignore[reportInvalidTypeForm]
    """One or more families, which are added up."""
    start: Literal["feasible", "demand"] = "feasible"
    """Where the shares start: a feasible point, or what every node demands (when that is the budget in all)."""


class TrainingTable(Table):
    """The training half of the problem."""

    loss: Loss  # pyright: ignore[reportInvalidTypeForm]
    """What is minimised."""
    weights: Literal["samples", "equal"] = "samples"
    """samples: a node counts as much as it has samples, so that the pooled loss is minimised; equal: all the same."""
