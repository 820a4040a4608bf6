"""What a sweep was made of, as text that another process can compare: numbers as they are, arrays by a digest."""

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import jax
import numpy as np

from jaxcoopt.arrays import float_dtype
from jaxcoopt.versions import versions

SHOWN = 5  # differences


def described(name: str, value: object) -> dict[str, str]:
    """Every setting in a value, by its dotted name."""
    return dict(_walk(name, value))


def deciding() -> dict[str, str]:
    """Versions of all that decides a bit: libraries, this package's own code, the float type, the kind of device."""
    return versions() | {
        "code": _code_digest(),
        "precision": np.dtype(float_dtype()).name,
        "device": jax.default_backend(),
        "processor": platform.machine(),
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A line for each name whose values differ."""
    names = [name for name in (*before, *(n for n in now if n not in before)) if before.get(name) != now.get(name)]
    return [f"{name}: {before.get(name, 'absent')} there, {now.get(name, 'absent')} here" for name in names]


def _walk(name: str, value: object) -> Iterator[tuple[str, str]]:
    if is_dataclass(value) and not isinstance(value, type):
        yield name, type(value).__name__
        for field in fields(value):
            yield from _walk(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(f"{name}.{key}", item)
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from _walk(f"{name}.{i}", item)
    elif hasattr(value, "__array__") and np.asarray(value).ndim:
        yield name, _array(np.asarray(value))
    elif callable(value):
        yield name, _function(value)
    else:
        item = getattr(value, "item", None)
        yield name, str(value if item is None else item())


def _array(value: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return f"{value.dtype.name}{list(value.shape)} {digest[:16]}"


def _function(value: Callable[..., object]) -> str:
    """Its name, and a digest of what it does where that can be read."""
    code = getattr(value, "__code__", None)
    name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    if code is None:
        return name
    inside = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    text = code.co_code + repr([each for each in code.co_consts if not hasattr(each, "co_code")]).encode()
    text += "".join(f"{key}={each}" for key, each in _walk("", inside)).encode()
    return f"{name} {hashlib.sha256(text).hexdigest()[:16]}"


@cache
def _code_digest() -> str:
    """Of the package's source: what is worked on changes without its version."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
