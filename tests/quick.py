"""Which cases of a long test the plain test command runs; the others are slow."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def others_slow(cases: Iterable[Any], kept: Callable[[Any], bool]) -> list[Any]:
    """The cases for `parametrize`, marked slow but for those that are to be kept."""
    return [case if kept(case) else _slow(case) for case in cases]


def _slow(case: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
