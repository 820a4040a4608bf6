"""A channel of its own in each run: one program covers several."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxcoopt.channel.channel import Channel
from jaxcoopt.pytrees import pytree


@pytree(static=("placement",))
@dataclass(frozen=True)
class ByRun(Channel):
    """Another channel in each run."""

    terms: tuple[Channel, ...]
    placement: Any

    @property
    def random(self) -> bool:
        """Where any part is."""
        return any(part.random for part in self.terms)

    def quantize(self, u: Any, draw: Any = None) -> Any:
        runs = jnp.arange(u.shape[-1])
        sent = u
        for run, part in enumerate(self.terms):
            sent = jnp.where(runs == run, part.quantize(u, draw if part.random else None), sent)
        return sent

    def sector(self) -> tuple[Any, Any]:
        return 0.0, jnp.inf

    def word_bits(self, dtype: Any) -> Any:
        return 64
