"""Optax optimizers whose numbers are settings: swept, tuned, and changed in phases, without compiling anew."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass
from functools import cache
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from jaxcoopt.arrays import shown
from jaxcoopt.methods.schedule import is_schedule
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import setting

Maker = Callable[..., optax.GradientTransformation]


class Optimizer(abc.ABC):
    """What a training method moves by in place of its own step: see `optimizer`."""

    @property
    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """Optax's, of one run."""


@pytree(static=("given",))
@dataclass(frozen=True)
class Fixed(Optimizer):
    """An optax transformation as it is, its numbers compiled in."""

    given: optax.GradientTransformation

    @property
    def transformation(self) -> optax.GradientTransformation:
        """As given."""
        return self.given


def optimizer(make: Maker, **given: Any) -> Optimizer:
    """make(**given), an optax optimizer whose numbers are settings of the method.

    make: a function that gives an optax transformation, one of optax or of your own. given: its arguments; those that
    are real numbers, a number, [runs] or `Schedule`, are at least 0, and are swept and tuned by name, such as
    "training.optimizer.learning_rate"; whole numbers, flags, texts, functions and None are compiled in. An argument
    that is left out is make's own, and no setting.

    >>> import jaxcoopt as jc, optax
    >>> adam = jc.methods.optimizer(optax.adam, learning_rate=0.1, b1=0.9)
    >>> method = jc.CoOptimizer(training=jc.methods.GradientTracking(optimizer=adam))

    The numbers of a schedule are settings of a function that makes it. Where optax looks at them, as in this schedule,
    take it of height 1 and scale it:

    >>> def warming(peak):
    ...     shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=100, decay_steps=1000)
    ...     return optax.adam(lambda step: peak * shape(step))
    >>> warm = jc.methods.optimizer(warming, peak=0.1)

    Raises TypeError for what is no function, or cannot be hashed.
    """
    if not callable(make):
        raise TypeError(
            f"optimizer: expected a function such as optax.adam, and its arguments by name, got {shown(make)}"
        )
    given = {name: np.asarray(value) if isinstance(value, list | tuple) else value for name, value in given.items()}
    numbers = tuple(name for name, value in given.items() if _is_number(value))
    kind = _kind(make, tuple(given), numbers)
    return kind(**given)


def received_optimizer(given: Any) -> Any:
    """A plain optax transformation as an `Optimizer`, all else as it is."""
    return Fixed(given) if isinstance(given, optax.GradientTransformation) else given


def for_each_node(optimizer: Optimizer, call: str, *trees: PyTree) -> Any:
    """`init` or `update` on each node's pytree, over nodes (first axis) and runs (last): clipping and norms stay within
    a node, and each run has its own numbers.
    """
    along = jax.tree.map(lambda leaf: 0 if np.ndim(leaf) else None, optimizer)

    def one(own: Optimizer, *of_node: PyTree) -> Any:
        return getattr(own.transformation, call)(*of_node)

    runs = jax.vmap(one, in_axes=(along, *[-1] * len(trees)), out_axes=-1)
    return jax.vmap(runs, in_axes=(None, *[0] * len(trees)))(optimizer, *trees)


def _is_number(value: object) -> bool:
    if is_schedule(value) or isinstance(value, float):
        return True
    return hasattr(value, "dtype") and np.issubdtype(getattr(value, "dtype"), np.floating)  # noqa: B009


@cache
def _kind(make: Maker, names: tuple[str, ...], numbers: tuple[str, ...]) -> type:
    """A class with a field for each argument: one for a function and the names, so that JAX knows it again."""
    doc = getattr(make, "__name__", type(make).__name__)
    columns = [
        (name, Any, setting(least=0, doc=f"{name} of {doc}.")) if name in numbers else (name, Any) for name in names
    ]
    fixed = tuple(name for name in names if name not in numbers)

    def transformation(self: object) -> optax.GradientTransformation:
        given = {each.name: getattr(self, each.name) for each in fields(self)}  # pyright: ignore[reportArgumentType]
        try:
            made = make(**given)
        except jax.errors.ConcretizationTypeError as error:
            raise TypeError(
                f"optimizer: {doc} looks at its numbers while it is made, and these are settings; leave them out of "
                "what is swept, or scale a schedule of height 1: lambda step: peak * shape(step)"
            ) from error
        if not isinstance(made, optax.GradientTransformation):
            raise TypeError(f"optimizer: {doc} gives {shown(made)}, expected an optax transformation")
        return made

    title = "".join(part.capitalize() for part in doc.strip("<>").split("_"))
    made = make_dataclass(
        title or "Optimizer",
        columns,
        bases=(Optimizer,),
        frozen=True,
        namespace={"transformation": property(transformation), "__doc__": f"{doc} of optax, its numbers as settings."},
    )
    return pytree(static=fixed)(made)
