"""Frozen dataclasses as pytrees: every number is a leaf, only what is named static is not."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar, overload

import jax

from jaxcoopt.setting import settings_of
from jaxcoopt.shown import briefly

Class = TypeVar("Class", bound=type)


@overload
def pytree(cls: Class) -> Class:
    """As a decorator by itself."""


@overload
def pytree(*, static: tuple[str, ...]) -> Callable[[Class], Class]:
    """As one that is told what else is compiled in."""


def pytree(cls: Any = None, *, static: tuple[str, ...] = ()) -> Any:
    """Register a frozen dataclass with JAX; fields named in `static` and settings that are `compiled` are compiled in,
    all others are leaves.

    Not by jax.tree_util.register_dataclass: in JAX 0.10 the structures of two such classes with as many leaves compare
    equal, so that jit may run the program that it compiled for the other class.

    `repr` is short: see `jaxcoopt.shown`.
    """

    def register(cls: Class) -> Class:
        compiled = (*static, *(name for name, each in settings_of(cls).items() if each.compiled))
        names = [field.name for field in fields(cls) if field.name not in compiled]
        keys = [jax.tree_util.GetAttrKey(name) for name in names]

        def flatten(tree: object) -> tuple[list[Any], tuple[Any, ...]]:
            return [getattr(tree, name) for name in names], tuple(getattr(tree, name) for name in compiled)

        def flatten_with_keys(tree: object) -> tuple[list[Any], tuple[Any, ...]]:
            leaves, fixed = flatten(tree)
            return list(zip(keys, leaves, strict=True)), fixed

        def unflatten(fixed: tuple[Any, ...], leaves: Iterable[object]) -> object:
            return cls(**dict(zip(names, leaves, strict=True)), **dict(zip(compiled, fixed, strict=True)))

        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
        return briefly(cls)

    return register if cls is None else register(cls)
