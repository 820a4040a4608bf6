"""Names of before, which still work for a version."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def renamed(module: str, **names: str) -> Callable[[str], Any]:
    """A module's `__getattr__`: what was called by the keyword is called by its value now; it warns
    (DeprecationWarning).
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is called {names[name]} now", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(module), names[name])

    return find
