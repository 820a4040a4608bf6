"""From the `method` and `channel` tables to a co-optimizer."""

from typing import Any

from jaxcoopt.experiments.amounts import Table
from jaxcoopt.experiments.method_tables import MAKERS, Method, PhasesTable
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.phases import Phases


def build_method(method: Method, channel: Any) -> CoOptimizer:
    """Both halves over one channel."""
    return CoOptimizer(_made(method.allocation), _made(method.training), _made(channel))


def _made(value: Any) -> Any:
    """What a table with a kind stands for; numbers and texts stand for themselves."""
    if isinstance(value, PhasesTable):
        return Phases(value.values, value.until)
    if not isinstance(value, Table):
        return value
    settings = {name: _made(getattr(value, name)) for name in type(value).model_fields}
    return MAKERS[settings.pop("kind")](**settings)
