"""A value from one formula, its derivative from another: for what has no slope, or a useless one."""

import jax
from jaxtyping import Array


@jax.custom_jvp
def derivative_from(exact: Array, surrogate: Array) -> Array:
    """The value of `exact` with the derivative of `surrogate`, nothing of which is computed where none is wanted.

    The first derivative: reverse mode over a loop loses such a rule, and second derivatives then miss a part.
    """
    return exact


@derivative_from.defjvp
def _derivative_from_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[1]
