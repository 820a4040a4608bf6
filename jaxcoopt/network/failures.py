"""Which links are up: models of link failures, those of the package and the base of the user's own."""

import abc
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from jaxcoopt.along_runs import row_of
from jaxcoopt.arrays import float_dtype, plain, shown, stored
from jaxcoopt.errors import finite
from jaxcoopt.network.graphs import edge_ends, listed, node_labels, node_order
from jaxcoopt.network.link_draw import LinkDraw
from jaxcoopt.pytrees import pytree
from jaxcoopt.renamed import renamed
from jaxcoopt.setting import Scalar, setting

FAILURES = "one of jaxcoopt.failures, such as Bursts(0.1, 5)"
MEAN = "The part of all iterations in which"
ALMOST_1 = 1 - 2.0**-24  # the largest rate that a draw takes
Up = Bool[Array, "edges runs"]


class Failures(abc.ABC):
    """Which links are up at an iteration. A link is down in both directions, so that sums are kept.

    A model of one's own is a subclass with `step`, and with `init` where it remembers something: an array
    [edges, ..., runs] or a pytree of such arrays, of the same shapes and types at every iteration.
    """

    @property
    def memoryless(self) -> bool:
        """Whether failures are random, and an iteration's say nothing of those of another."""
        return False

    def init(self, draw: LinkDraw) -> Any:
        """What is remembered before iteration 0; None where that is nothing."""
        return None

    @abc.abstractmethod
    def step(self, state: PyTree, draw: LinkDraw) -> tuple[Up, Any]:
        """(which links are up at the iteration of `draw`, what is remembered after it)."""

    def mean_rate(self) -> Any:
        """The chance that a link is down at an iteration, a number or [runs]: the same for all links and, in the mean
        over the runs, for all iterations. None where it is not the same or not known, which `jaxcoopt.theory` refuses.
        """
        return None

    def check(self, name: str) -> None:
        """Raise ValueError for settings that do not fit each other; each by itself is in its range."""
        return


@pytree
@dataclass(frozen=True)
class Independent(Failures):
    """Each link is down with chance `rate` at every iteration, whatever came before; `failure_rate=` says the same."""

    rate: Scalar = setting(least=0, below=1, tuned=None, doc=f"{MEAN} a link is down.")

    @property
    def memoryless(self) -> bool:
        """True."""
        return True

    def step(self, state: PyTree, draw: LinkDraw) -> tuple[Up, Any]:
        """Drawn anew."""
        return draw.up(self.rate), None

    def mean_rate(self) -> Any:
        """`rate`."""
        return self.rate


@pytree
@dataclass(frozen=True)
class Bursts(Failures):
    """Links fail in bursts: each is a Markov chain with the states up and down.

    down -> up with chance 1 / length;   up -> down with chance rate / ((1 - rate) length)

    `rate` is the part of all iterations in which a link is down, `length` the mean number of iterations in a burst,
    both scalar or [runs]. The mean number of iterations between two bursts is length (1 - rate) / rate, which must be 1
    or more. Iteration 0 is drawn from the chain's stationary distribution. length = 1 / (1 - rate) is `Independent`.
    Source: Gilbert, Bell Syst. Tech. J. 39 (1960), every message being lost in the bad state.
    """

    rate: Scalar = setting(least=0, below=1, tuned=None, doc=f"{MEAN} a link is down.")
    length: Scalar = setting(least=1, tuned=None, doc="Iterations that a burst of failures lasts in the mean.")

    def init(self, draw: LinkDraw) -> Up:
        """Which links are up at iteration 0."""
        return draw.named("start").up(self.rate)

    def step(self, state: Up, draw: LinkDraw) -> tuple[Up, Up]:
        """What is remembered is which links are up at this iteration; the next one's is drawn."""
        rate, length = row_of(self.rate, state), row_of(self.length, state)
        stays, fails = 1 - 1 / length, jnp.minimum(rate / ((1 - rate) * length), ALMOST_1)
        return state, draw.up(jnp.where(state, fails, stays))

    def mean_rate(self) -> Any:
        """`rate`."""
        return self.rate

    def check(self, name: str) -> None:
        """length (1 - rate) / rate >= 1."""
        self._check(name, "links")

    def _check(self, name: str, what: str) -> None:
        rate, length = np.broadcast_arrays(np.asarray(self.rate, np.float64), np.asarray(self.length, np.float64))
        bad = rate > length * (1 - rate) * (1 + 1e-9)
        if bad.any():
            rate, length = rate[bad].flat[0], length[bad].flat[0]
            raise ValueError(
                f"{name}: {what} that are down {rate:g} of the time, {length:g} iterations at a time, would be up for "
                f"{length * (1 - rate) / rate:.3g} iterations in between, and 1 is the least; give length = "
                f"{_up(rate / (1 - rate))} or more, or rate = {_down(length / (1 + length))} or less"
            )


@pytree
@dataclass(frozen=True)
class NodeFailures(Failures):
    """Nodes fail: one that is down takes all of its links along, and goes on by itself. Nodes are independent.

    rate: the part of all iterations in which a node is down; length: how many iterations that lasts in the mean, as in
    `Bursts`; None: drawn anew at every iteration. Both scalar or [runs]. A link is down with chance 1 - (1 - rate)^2.
    """

    rate: Scalar = setting(least=0, below=1, tuned=None, doc=f"{MEAN} a node is down.")
    length: Scalar = setting(None, least=1, tuned=None, doc="Iterations that a node is down at a time, in the mean.")

    @property
    def memoryless(self) -> bool:
        """Whether nodes are drawn anew at every iteration."""
        return self.length is None

    def init(self, draw: LinkDraw) -> Any:
        """Of the node at each link's tail and at its head."""
        return tuple(self._of_nodes.init(end) for end in draw.ends)

    def step(self, state: PyTree, draw: LinkDraw) -> tuple[Up, Any]:
        """Where both nodes are up."""
        (tail, of_tail), (head, of_head) = map(self._of_nodes.step, state, draw.ends)
        return stored(tail & head, draw.runs[0] >= 0), (of_tail, of_head)

    def mean_rate(self) -> Any:
        """1 - (1 - rate)^2."""
        return 1 - (1 - self.rate) ** 2

    def check(self, name: str) -> None:
        """As `Bursts`."""
        if self.length is not None:
            Bursts(self.rate, self.length)._check(name, "nodes")

    @property
    def _of_nodes(self) -> Failures:
        return Independent(self.rate) if self.length is None else Bursts(self.rate, self.length)


@pytree
@dataclass(frozen=True)
class Outages(Failures):
    """Failures that are given, the same in all runs: iteration k sees row k mod length of `up`.

    up: [length, edges], 1 where a link is up and 0 where it is down; links are sorted by the numbers of their nodes, as
    in `network.edges`. `by_name` makes it from the names of links and nodes.
    """

    up: Any = setting(least=0, most=1, axes=("length", "edges"), tuned=None, doc="1: the link is up, 0: it is down.")

    def __post_init__(self) -> None:
        if type(self.up) in (list, tuple, np.ndarray):
            up = plain("Outages.up", self.up)
            object.__setattr__(self, "up", up.astype(float_dtype()) if up.dtype == bool else up)

    def step(self, state: PyTree, draw: LinkDraw) -> tuple[Up, Any]:
        """The iteration's row."""
        up = jnp.asarray(self.up)
        row = up[draw.iteration % up.shape[0]].astype(bool)
        return jnp.broadcast_to(row[:, None], draw.shape), None

    def check(self, name: str) -> None:
        """A table of 0 and 1."""
        up = np.asarray(self.up)
        if up.ndim != 2 or not up.size:
            raise ValueError(f"{name}.up: expected [length, edges], none of them 0, got shape {up.shape}")
        if ((up != 0) & (up != 1)).any():
            raise ValueError(f"{name}.up: expected 1 (up) or 0 (down), got {up[(up != 0) & (up != 1)][0]:g}")

    @classmethod
    def by_name(cls, up: Mapping[Hashable, Any], graphs: nx.Graph | Iterable[nx.Graph]) -> "Outages":
        """For the network of these graphs: a pair of labels (a link) or one label (a node, with all of its links) to a
        list of 1 and 0; all lists of one length. What is not named is up.

        Raises ValueError for names that are not there, and for lists that do not fit.

        >>> import jaxcoopt as jc, networkx as nx
        >>> ring = nx.cycle_graph(4)
        >>> failures = jc.failures.Outages.by_name({(0, 3): [1, 0], 2: [0, 1]}, ring)
        >>> failures.up.tolist()  # of the links 0-1, 0-3, 1-2, 2-3
        [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]]
        >>> network = jc.Network.from_graphs(ring, failures=failures)
        """
        graphs = listed(graphs)
        order = node_order(graphs)
        ends = np.unique(np.sort(np.concatenate([edge_ends(graph, order) for graph in graphs])), axis=0)
        ends = ends[ends[:, 0] != ends[:, 1]]
        number = {label: i for labels in (order, node_labels(graphs, order)) for i, label in enumerate(labels)}
        lists = {key: finite(f"up[{key!r}]", each) for key, each in up.items()}
        lengths = {each.shape for each in lists.values()}
        if len(lengths) != 1 or len(min(lengths)) != 1:
            raise ValueError(f"up: expected lists of one length, got shapes {shown(sorted(lengths))}")
        table = np.ones((*min(lengths), len(ends)))
        for key, each in lists.items():
            table[:, _named(key, number, ends)] *= each[:, None]
        return cls(table)


def _named(key: Any, number: Mapping[Hashable, int], ends: Int[np.ndarray, "edges 2"]) -> Bool[np.ndarray, " edges"]:
    """Which links a label, or a pair of labels, means; number: of the node with a label."""
    if key in number:
        return (ends == number[key]).any(axis=1)
    pair = sorted(number[end] for end in key if end in number) if isinstance(key, tuple) else []
    found = (ends == pair).all(axis=1) if len(pair) == len(key) == 2 else np.zeros(0, bool)
    if not found.any():
        raise ValueError(f"up: {shown(key)} is no node and no link of these graphs; give labels as they have them")
    return found


def _up(value: float) -> str:
    """Three digits, rounded up."""
    digits = 10.0 ** (np.floor(np.log10(value)) - 2)
    return f"{np.ceil(value / digits * (1 - 1e-9)) * digits:.3g}"


def _down(value: float) -> str:
    """Three digits, rounded down."""
    digits = 10.0 ** (np.floor(np.log10(value)) - 2)
    return f"{np.floor(value / digits * (1 + 1e-9)) * digits:.3g}"


__getattr__ = renamed(__name__, Schedule="Outages")
