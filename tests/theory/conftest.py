"""The library's own checks, without the array types' in front of them."""

import jaxtyping
import pytest


@pytest.fixture
def untyped():
    """As for a user, who has no type checker at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
