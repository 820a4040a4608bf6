"""Kinds of the user's own: where a table has kind = "module:Name", the class of that name, imported."""

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, partial, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, ValidationError, WrapValidator

from jaxcoopt.experiments.amounts import Table
from jaxcoopt.experiments.explain import explain
from jaxcoopt.run.metric import Metric

MARK = ":"
WORD = 80  # characters of a name in errors
TableOf = Callable[[str, type], type[Table]]


def told_apart(tables: Sequence[type[Table]]) -> Any:
    """Any of the tables, by `kind`."""
    return Annotated[reduce(or_, tables), Field(discriminator="kind")]


def one_of(tables: Sequence[type[Table]], base: type, table_of: TableOf) -> Any:
    """What a key may hold: one of the tables, told apart by `kind`, or one for a subclass of `base` of the user's own.

    table_of: from the kind and the class to its table.
    """
    own = WrapValidator(partial(_validated, base, cache(table_of)))
    return Annotated[told_apart(tables), own, SerializeAsAny()]  # pyright: ignore[reportCallIssue]


def imported(kind: str, base: type = object) -> type:
    """The class "module:Name", looked for in the current folder, too. Raises ValueError saying what is wrong."""
    found = _named("kind", kind)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"kind: {kind!r:.{WORD}} is no class derived from jaxcoopt's {base.__name__}")
    if not is_dataclass(found):
        raise ValueError(
            f"kind: {kind!r:.{WORD}} is no dataclass; put @jaxcoopt.pytree and @dataclass(frozen=True) above it"
        )
    return found


def own_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics "module:NAME", looked for in the current folder, too. Raises ValueError saying what is wrong."""
    found = [_named("metrics", name) for name in names]
    for name, each in zip(names, found, strict=True):
        if not isinstance(each, Metric):
            raise ValueError(f"metrics: {name!r:.{WORD}} is no jaxcoopt.Metric, but {type(each).__name__}")
    return found


def _named(key: str, text: str) -> Any:
    """What "module:NAME" names."""
    module, mark, name = text.partition(MARK)
    if not (module and mark and name):
        raise ValueError(f'{key}: expected "module:NAME", got {text!r:.{WORD}}')
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the module raises
        raise ValueError(
            f"{key}: {text!r:.{WORD}} cannot be imported ({type(error).__name__}: {error!s:.200})"
        ) from error
    finally:
        sys.path.remove(here)


def made_of(known: Mapping[str, Any], kind: str) -> Any:
    """What makes an object of a kind: a known one, or the user's class."""
    return imported(kind) if MARK in kind else known[kind]


def _validated(base: type, table_of: TableOf, value: object, known: Callable[[Any], Any]) -> Any:
    if isinstance(value, Table) and MARK in str(getattr(value, "kind", "")):
        return value
    if not isinstance(value, dict) or not isinstance(kind := value.get("kind"), str) or MARK not in kind:
        return known(value)
    table = table_of(kind, imported(kind, base))
    try:
        return table.model_validate(value)
    except ValidationError as error:
        raise ValueError(explain(error, dict(value), table)) from None
