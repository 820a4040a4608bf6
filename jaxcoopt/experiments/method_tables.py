"""Tables that say how the nodes move and what their links carry, made from the settings of what they build."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from typing import Annotated, Any, Literal, Optional

import optax
from pydantic import Field, create_model

from jaxcoopt.channel import QSGD, Clip, Ideal, LogQuantizer, Natural, RandK, Sign, TopK, UniformQuantizer, channel
from jaxcoopt.experiments.amounts import MadeTable, Table
from jaxcoopt.experiments.own_kinds import MARK, one_of, told_apart
from jaxcoopt.methods import method
from jaxcoopt.methods.nonlinearities import Nonlinearity
from jaxcoopt.methods.optimizer import Optimizer, optimizer
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.network.failures import Bursts, Failures, Independent, NodeFailures, Outages
from jaxcoopt.problem.bounds import Bounds, Limit, Multiplier, Penalty
from jaxcoopt.run.clocks import Clock, Synchronous
from jaxcoopt.run.stops import Stop, Tolerance
from jaxcoopt.setting import Setting, settings_in, settings_of

CHANNELS = {
    "ideal": Ideal,
    "log": LogQuantizer,
    "uniform": UniformQuantizer,
    "sign": Sign,
    "clip": Clip,
    "natural": Natural,
    "qsgd": QSGD,
    "top_k": TopK,
    "rand_k": RandK,
}
BOUNDS = {"penalty": Penalty, "multiplier": Multiplier, "limit": Limit}
KIND_OF = {make: kind for kind, make in BOUNDS.items()}
FAILURES = {"independent": Independent, "bursts": Bursts, "node_failures": NodeFailures, "outages": Outages}
CLOCKS = {"synchronous": Synchronous}
STOPS = {"tolerance": Tolerance}


Whole = Annotated[int, Field(lt=2**31)]  # what iterations and samples are counted in


class Sgd(Table):
    """optax.sgd."""

    kind: Literal["sgd"]
    learning_rate: float
    """Step along what the optimizer is given."""
    momentum: float | None = None
    """Of the heavy-ball term, in [0, 1)."""
    nesterov: bool = False
    """Whether the momentum looks ahead."""


class Adam(Table):
    """optax.adam."""

    kind: Literal["adam"]
    learning_rate: float
    """Step along what the optimizer is given."""
    b1: float = 0.9
    """Decay of the mean."""
    b2: float = 0.999
    """Decay of the mean square."""


class ScheduleTable(Table):
    """A number that changes as a run goes on."""

    values: list[float] = Field(min_length=1)
    """Before the first of `until`, before the second, ..., and from the last on."""
    until: list[Whole]
    """Iterations, increasing, one less than there are values."""


# Rows that differ in their settings only are one table, by the first one's name.
ROWS = [entry for i, entry in enumerate(ENTRIES) if entry.make not in [before.make for before in ENTRIES[:i]]]
METHODS = {entry.name: entry.make for entry in ROWS}
OPTIMIZERS: Mapping[str, Callable[..., Any]] = {
    "sgd": partial(optimizer, optax.sgd),
    "adam": partial(optimizer, optax.adam),
}
MAKERS: Mapping[str, Callable[..., Any]] = CHANNELS | BOUNDS | FAILURES | CLOCKS | STOPS | OPTIMIZERS | METHODS


PROBE = 1000  # a number that no setting has: it tells where what a function is given comes to stand


def _declared(make: Callable[..., Any]) -> dict[str, tuple[Setting, Any]]:
    """Setting and default (MISSING without one) by name. A function's parameter is the setting that it becomes."""
    if is_dataclass(make):
        declared = settings_of(make)  # pyright: ignore[reportArgumentType]
        return {each.name: (declared[each.name], each.default) for each in fields(make) if each.name in declared}
    defaults = {each.name: each.default for each in inspect.signature(make).parameters.values()}
    given = {name: at if isinstance(at, Bounds) else PROBE + i for i, (name, at) in enumerate(defaults.items())}
    landed = [(value, each) for owner in _with_parts(make(**given)) for _, each, value in settings_in(owner)]
    empty = inspect.Parameter.empty
    return {
        name: (
            next(each for value, each in landed if type(value) is type(given[name]) and value == given[name]),
            MISSING if default is empty else default,
        )
        for name, default in defaults.items()
    }


def _with_parts(owner: object) -> list[object]:
    return [owner, *(part for _, each, value in settings_in(owner) if each.part for part in _with_parts(value))]


def _type(declared: Setting, default: object, of_method: bool) -> Any:
    """What a TOML file may give for a setting: of a method a number may change in phases, and a step be "auto"."""
    optional = declared.optional or default is None
    if declared.part is Bounds:
        return BoundsTable
    if declared.part is Optimizer:
        return OptimizerTable | None
    if declared.choices:
        return Optional[Literal[declared.choices]] if optional else Literal[declared.choices]  # noqa: UP045
    if declared.flag:
        return bool
    if declared.whole:
        return Optional[Whole] if optional else Whole  # noqa: UP045 (an Annotated type has no operator |)
    if "edges" in declared.axes:
        return list[list[float]] if "length" in declared.axes else float | list[float]
    number = float | ScheduleTable if of_method else float
    number = number | Literal["auto"] if of_method and declared.auto else number
    return number | None if optional else number


@cache
def _table(kind: str, make: Callable[..., Any], of_method: bool = False) -> type[Table]:
    columns: dict[str, Any] = {}
    for name, (declared, default) in _declared(make).items():
        if declared.part is Nonlinearity:
            continue
        value: Any = ... if default is MISSING else default
        if isinstance(value, Bounds):
            value = _as_table(value)
        types = _type(declared, default, of_method)
        columns[name] = (types, Field(value, description=declared.doc))
    return model(kind, make.__doc__, columns)


def _as_table(bounds: Bounds) -> Table:
    """That of an object, of a class of the user's, too."""
    make = type(bounds)
    kind = KIND_OF.get(make, f"{make.__module__}{MARK}{make.__qualname__}")
    return _table(kind, make, of_method=False)(**{"kind": kind} | {name: at for name, _, at in settings_in(bounds)})


def model(kind: str, doc: str | None, columns: Mapping[str, Any]) -> type[Table]:
    """A table of that `kind` with these columns, name to (type, Field)."""
    title = "".join(part.capitalize() for part in kind.split("_"))
    all_columns: dict[str, Any] = {"kind": (Literal[kind], ...), **columns}
    return create_model(title, __base__=MadeTable, __doc__=doc, **all_columns)


def _one_of(makers: Mapping[str, Callable[..., Any]], base: type, of_method: bool) -> Any:
    table_of = partial(_table, of_method=of_method)
    return one_of([table_of(kind, make) for kind, make in makers.items()], base, table_of)


def _methods(half: str, base: type) -> Any:
    return _one_of({entry.name: entry.make for entry in ROWS if entry.half == half}, base, of_method=True)


BoundsTable: Any = _one_of(BOUNDS, Bounds, of_method=False)
OptimizerTable: Any = told_apart([Sgd, Adam])
FailuresTable: Any = _one_of(FAILURES, Failures, of_method=False)
StopTable: Any = _one_of(STOPS, Stop, of_method=False)
ClockTable: Any = _one_of(CLOCKS, Clock, of_method=False)
Channel: Any = _one_of(CHANNELS, channel.Channel, of_method=False)
AllocationMethod: Any = _methods("allocation", method.AllocationMethod)
TrainingMethod: Any = _methods("training", method.TrainingMethod)


class Method(Table):
    """How the nodes move: one table for each half of the problem."""

    allocation: AllocationMethod | None = None  # pyright: ignore[reportInvalidTypeForm]
    """Of the CPU shares."""
    training: TrainingMethod | None = None  # pyright: ignore[reportInvalidTypeForm]
    """Of the model parameters."""
