"""From the `method` and `channel` tables to a co-optimizer, and from any table with a `kind` to its object."""

from typing import Any

from jaxcoopt.experiments.amounts import Table
from jaxcoopt.experiments.method_tables import MAKERS, Method, ScheduleTable
from jaxcoopt.experiments.own_kinds import made_of
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.schedule import Schedule


def build_method(method: Method, channel: Table, allocation_channel: Table | None = None) -> CoOptimizer:
    """Both halves over one channel, unless the allocation has its own."""
    return CoOptimizer(*map(made, (method.allocation, method.training, channel, allocation_channel)))


def made(value: object) -> Any:
    """What a table with a kind stands for; numbers and texts stand for themselves."""
    if isinstance(value, ScheduleTable):
        return Schedule(value.values, value.until)
    if not isinstance(value, Table):
        return value
    settings = {name: made(getattr(value, name)) for name in type(value).model_fields}
    return made_of(MAKERS, settings.pop("kind"))(**settings)
