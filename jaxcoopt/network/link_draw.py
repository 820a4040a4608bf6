"""What link failures are drawn from: cheap random numbers, the same for both ends of a link."""

import zlib
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, UInt

from jaxcoopt.arrays import float_dtype, stored
from jaxcoopt.draws import random_bits
from jaxcoopt.network.edges import Edges
from jaxcoopt.network.halo import Halo
from jaxcoopt.network.tables import take
from jaxcoopt.platform import choices
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class LinkDraw:
    """The random numbers of an iteration, one for each link and run. A number depends on the iteration, the link and
    the run alone, so that a run draws the same alone, among others, and on several devices.

    key: of the iteration; runs: the runs' numbers; number: what each link draws by. edges, halo: where the links are.
    """

    key: Array
    iteration: Int[Array, ""]
    runs: Int[Array, " runs"]
    number: UInt[Array, " edges"]
    edges: Edges
    halo: Halo | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(edges, runs)."""
        return self.number.shape[0], self.runs.shape[0]

    @property
    def ends(self) -> tuple["LinkDraw", "LinkDraw"]:
        """The numbers of the nodes at the tails and at the heads: links that share a node get the same one."""
        here = self.named("nodes")
        tail, head = (replace(here, number=self._in_network(end)) for end in (self.edges.tail, self.edges.head))
        return tail, head

    def named(self, name: str) -> "LinkDraw":
        """Other numbers for each name: an object that draws twice in an iteration names its draws."""
        return replace(self, key=jax.random.fold_in(self.key, zlib.crc32(name.encode())))

    def up(self, rate: ArrayLike) -> Bool[Array, "edges runs"]:
        """True with chance 1 - rate each, all independent; rate: in [0, 1), a number, [runs] or [edges, runs]."""
        return links_up(self.key, self.number, self.runs, rate)

    def uniform(self) -> Float[Array, "edges runs"]:
        """Uniform in [0, 1), all independent: 24 random bits each."""
        bits = random_bits(self.key, self.number, self.runs) >> 8
        return stored(bits.astype(float_dtype()) * 2.0**-24, self.runs[0] >= 0)

    def _in_network(self, node: Int[Array, " edges"]) -> UInt[Array, " edges"]:
        """The nodes' numbers in the network, where they are spread over devices, too."""
        return (node if self.halo is None else take(self.halo.number, node)).astype(jnp.uint32)


def links_up(
    key: Array, edges: UInt[Array, " edges"], runs: Int[Array, " runs"], failure_rate: ArrayLike
) -> Bool[Array, "edges runs"]:
    """Which edges hold in each run, each with probability 1 - failure_rate (a number, [runs] or [edges, runs])."""
    rate = jnp.atleast_1d(jnp.asarray(failure_rate, jnp.float32))

    def draw() -> Array:
        bits, least = random_bits(key, edges, runs), (rate * 2.0**32).astype(jnp.uint32)
        return bits >= (least if least.ndim == 2 else least[None])

    if choices().barriers:
        return lax.optimization_barrier(draw())
    # The branch also keeps the draw in memory: XLA would otherwise repeat it in every gather that reads it.
    return lax.cond(jnp.any(rate > 0), draw, lambda: jnp.ones((edges.shape[0], runs.shape[0]), bool))
