"""What an iteration brings to every node."""

from dataclasses import dataclass

from jaxtyping import Array, PyTree

from jaxcoopt.arrays import Tree, stored
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.wire import Wire, difference, opened
from jaxcoopt.draws import Draw
from jaxcoopt.network.links import Links
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Training
from jaxcoopt.pytrees import pytree


@pytree(static=("nodes", "batch_size"))
@dataclass(frozen=True)
class Round:
    """The links of this iteration, what random numbers are drawn from, and the channel that all goes through.

    A method opens a wire for each quantity that it sends, mixes what its wires carry, and sends the new values at the
    end of its iteration. training, batch_size: what gradients are taken of, over how many samples of a node, None for
    all. nodes: how many there are in the whole network. An array here may hold only the nodes of one device, so its
    length is no count of them, and a sum over its first axis is no sum over the network.
    """

    links: Links
    draw: Draw
    nodes: int
    channel: Channel
    training: Training | None = None
    batch_size: int | None = None

    def gradient(self, params: Params) -> Params:
        """grad g_i(y_i), over all samples of a node or over the mini-batch that it draws in this iteration."""
        assert self.training is not None
        size = self.batch_size
        batch = None if size is None else self.training.sample(self.draw.named("batch"), size)
        return self.training.gradient(params, batch)

    def open(self, u: PyTree, name: str | None = None, codes: int = 0) -> Wire:
        """A wire for u, leaves [nodes, *shape, runs], which is sent; a name for each if there are several.

        codes: how many whole numbers of 8 bits go beside u in every transmission.
        """
        return opened(self.channel, u, self.draw, name, codes)

    def send(self, wire: Wire, u: PyTree) -> Wire:
        """The wire after u was sent."""
        return wire.sent(self.channel, u, self.draw)

    def mix(self, wire: Wire, u: PyTree) -> PyTree:
        """sum_j w_ij (q(u_j) - q(u_i)), of u as it was last sent: q by the channel and its placement."""
        return wire.mix(self.channel, self.links, u)

    def heard(self, wire: Wire, u: PyTree) -> PyTree:
        """What both ends of a link know of u as it was last sent; take `difference` of it."""
        return wire.heard(self.channel, u)

    def difference(self, own: Array, other: Array) -> Array:
        """u_j - u_i over a link, of values that were `heard`."""
        return difference(self.channel, own, other)

    def stored(self, tree: Tree) -> Tree:
        """The same arrays, computed once, whoever reads them (see `jaxcoopt.arrays.stored`)."""
        return stored(tree, self.draw.runs[0] >= 0)
