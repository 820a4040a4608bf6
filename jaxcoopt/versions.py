"""Which versions computed a number."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("jaxcoopt", "jax", "jaxlib", "numpy", "scipy", "optax")


def versions(*more: str) -> dict[str, str]:
    """Of this package and of what computes its numbers, of more packages where they are installed, and of Python."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
