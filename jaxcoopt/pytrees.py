"""Frozen dataclasses as pytrees: every number is a leaf, only what is named static is not."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, overload

import jax

Class = TypeVar("Class", bound=type)


@overload
def pytree(cls: Class) -> Class: ...
@overload
def pytree(*, static: tuple[str, ...]) -> Callable[[Class], Class]: ...
def pytree(cls: Any = None, *, static: tuple[str, ...] = ()) -> Any:
    """Register a frozen dataclass with JAX; fields named in `static` are compiled in, all others are leaves."""

    def register(cls: Class) -> Class:
        leaves = [field.name for field in fields(cls) if field.name not in static]
        return jax.tree_util.register_dataclass(cls, data_fields=leaves, meta_fields=list(static))

    return register if cls is None else register(cls)
