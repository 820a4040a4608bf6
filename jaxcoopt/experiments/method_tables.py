"""Tables that say how the nodes move and what their links carry, made from the signatures of what they build."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Optional

import optax
from pydantic import Field, create_model

from jaxcoopt.channel import QSGD, Clip, Ideal, LogQuantizer, Natural, RandK, Sign, TopK, UniformQuantizer
from jaxcoopt.experiments.amounts import Table
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.methods.responses import Response
from jaxcoopt.problem.bounds import Bounds, Limit, Multiplier, Penalty

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


Whole = Annotated[int, Field(lt=2**31)]  # what iterations and samples are counted in


def sgd(learning_rate: float, momentum: float | None = None, nesterov: bool = False) -> optax.GradientTransformation:
    """optax.sgd."""
    return optax.sgd(learning_rate, momentum, nesterov)


def adam(learning_rate: float, b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
    """optax.adam."""
    return optax.adam(learning_rate, b1, b2)


class PhasesTable(Table):
    """A number that changes as a run goes on."""

    values: list[float] = Field(min_length=1)
    """Before the first of `until`, before the second, ..., and from the last on."""
    until: list[Whole]
    """Iterations, increasing, one less than there are values."""


OPTIMIZERS = {"sgd": sgd, "adam": adam}
# Rows that differ in their settings only are one table, by the first one's name.
ROWS = [entry for i, entry in enumerate(ENTRIES) if entry.make not in [before.make for before in ENTRIES[:i]]]
METHODS = {entry.name: entry.make for entry in ROWS}
MAKERS: Mapping[str, Callable[..., Any]] = CHANNELS | BOUNDS | OPTIMIZERS | METHODS

WORDS = {
    "b1": "Decay of the mean.",
    "b2": "Decay of the mean square.",
    "damping": "Of the neighbours' memory, in (0, 1].",
    "form": "The penalty's shape.",
    "high": "The larger power of the price difference, above 1.",
    "inner": "Gradient steps on a node's own problem.",
    "levels": "How many levels a message's norm is cut into.",
    "low": "The smaller power of the price difference, in (0, 1).",
    "nesterov": "Whether the momentum looks ahead.",
    "rescale": "Whether what is kept is scaled up, so that the mean is right.",
    "width": "Of a smoothed level's edge, in levels.",
    "batch_size": "Samples of a node's mini-batch; left out: all.",
    "bits": "Bits of a number, one of them its sign; left out: as many as the float type's range needs.",
    "bounds": "How the bounds are kept.",
    "count": "How many numbers of a message are kept.",
    "curvature": "At least that of a node's loss.",
    "derivative": "Of the quantizer, where something is differentiated; left out: by placement.",
    "exponent": "Of the price difference, in (0, 1).",
    "gain": "Of what moves a node or its price.",
    "learning_rate": "Step along what the optimizer is given.",
    "level": "The largest price difference, or the distance of the levels.",
    "limit": "The largest size of what is sent.",
    "momentum": "Of the heavy-ball term, in [0, 1).",
    "optimizer": "An optax optimizer that takes the place of the plain step.",
    "order": "cta: mix, then move; atc: move, then mix.",
    "penalty": "Of a violation, the c of ADMM.",
    "placement": "What is quantized: the value itself, its difference to the neighbour's, or its change.",
    "relaxation": "Of ADMM, in [1/2, 1); in Python None keeps nothing of links that are down.",
    "rho": "Distance of the levels' logarithms.",
    "scale": "The level in the middle, or the size of what is sent.",
    "sharpness": "One over the width of the edge, in CPU units.",
    "start": "Whether the first iteration mixes; local makes exact diffusion NIDS.",
    "step": 'How far a node moves; "auto": half of the known bound.',
    "weight": "The price far outside.",
}
"""What keys are for, in errors."""


def _annotation(parameter: inspect.Parameter, hint: Any, of_method: bool) -> Any:
    """What a TOML file may give for a parameter: a number where the signature leaves it open, in phases for a method,
    and "auto" for its step.
    """
    optional = parameter.default is None
    if hint is Any:
        number = float | PhasesTable if of_method else float
        number = number | Literal["auto"] if of_method and parameter.name == "step" else number
        return number | None if optional else number
    if hint is Bounds:
        return BoundsTable
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if optax.GradientTransformation in parts:
        return OptimizerTable | None
    if int in parts:
        return Optional[Whole] if optional else Whole  # noqa: UP045 (an Annotated type has no operator |)
    return hint


def _table(kind: str, make: Callable[..., Any]) -> type[Table]:
    hints = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for name, parameter in inspect.signature(make).parameters.items():
        if hints[name] is Response:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        if isinstance(default, Bounds):
            default = BOUND_TABLES[type(default)](kind=KIND_OF[type(default)])
        kinds = _annotation(parameter, hints[name], make in METHODS.values())
        fields[name] = (kinds, Field(default, description=WORDS.get(name)))
    title = "".join(part.capitalize() for part in kind.split("_"))
    return create_model(title, __base__=Table, __doc__=make.__doc__, **fields)


def _one_of(makers: Mapping[str, Callable[..., Any]]) -> Any:
    """Any of the tables, told apart by `kind`."""
    tables = [_table(kind, make) for kind, make in makers.items()]
    return Annotated[reduce(or_, tables), Field(discriminator="kind")]


BOUND_TABLES: Any = {make: _table(kind, make) for kind, make in BOUNDS.items()}
BoundsTable: Any = Annotated[reduce(or_, BOUND_TABLES.values()), Field(discriminator="kind")]
OptimizerTable: Any = _one_of(OPTIMIZERS)
Channel: Any = _one_of(CHANNELS)
AllocationMethod: Any = _one_of({entry.name: entry.make for entry in ROWS if entry.half == "allocation"})
TrainingMethod: Any = _one_of({entry.name: entry.make for entry in ROWS if entry.half == "training"})


class Method(Table):
    """How the nodes move: one table for each half of the problem."""

    allocation: AllocationMethod | None = None  # pyright: ignore[reportInvalidTypeForm]
    """Of the CPU shares."""
    training: TrainingMethod | None = None  # pyright: ignore[reportInvalidTypeForm]
    """Of the model parameters."""
