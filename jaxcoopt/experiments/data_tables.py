"""Tables that say where an experiment's data, graphs and demands come from."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from jaxcoopt.datasets import TOPOLOGIES, TRACES
from jaxcoopt.errors import unknown_name
from jaxcoopt.experiments.amounts import Seed, Table
from jaxcoopt.experiments.method_tables import FailuresTable

DATASETS = (
    "breast_cancer",
    "casp",
    "cpu_activity",
    "diabetes",
    "digits",
    "iris",
    "mnist",
    "phishing",
    "white_wine",
    "wine",
)
"""The names that the `data` table knows; each is a function of `jaxcoopt.datasets`."""


def one_of(names: tuple[str, ...]) -> AfterValidator:
    """A check that a text is one of `names`; the error gives the nearest ones."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(str(unknown_name("", name, names)).removeprefix(": "))
        return name

    return AfterValidator(check)


class Backbone(Table):
    """A real network, such as SNDlib's germany50."""

    kind: Literal["backbone"]
    name: str
    """A name that `jaxcoopt.datasets.backbone` knows, such as "sndlib/germany50"."""


class Topology(Table):
    """A graph by name."""

    kind: Literal["topology"]
    name: Annotated[str, one_of(TOPOLOGIES)]
    """ring, path, star, complete, grid, torus, exponential, erdos_renyi, regular, ... (`datasets.TOPOLOGIES`)."""
    nodes: int | None = None
    """How many nodes; left out for graphs of a fixed size."""
    degree: int = 4
    """Neighbours of a node, for regular, barabasi_albert and watts_strogatz."""
    probability: float | None = None
    """Chance of a link (erdos_renyi) or of a rewiring (watts_strogatz)."""
    seed: Seed = 0
    """Of a random graph."""


Graph = Annotated[Backbone | Topology, Field(discriminator="kind")]


class NetworkTable(Table):
    """Who talks to whom."""

    graphs: list[Graph] = Field(min_length=1)
    """One graph, or several over the same nodes that the network switches between."""
    weights: Literal["metropolis", "max_degree"] | list[list[float]] = "metropolis"
    """The rule for the weights of the links; or a number for each link of all graphs together, sorted by the numbers of
    their nodes, one list for each graph, as `jaxcoopt tune` finds them.
    """
    failure_rate: float = 0.0
    """The chance that a link, both directions together, is down at an iteration, whatever came before."""
    failures: FailuresTable | None = None  # pyright: ignore[reportInvalidTypeForm]
    """What else the links fail by, in place of failure_rate: bursts, node_failures, outages, or a class of yours."""
    switching: Literal["cycle", "random"] = "cycle"
    """How the graph of an iteration is picked."""


class Trace(Table):
    """The CPU use of a real data centre, read at moments spread over one day."""

    kind: Literal["trace"]
    name: Annotated[str, one_of(TRACES)]
    """google2019, alibaba2018 or azure_v2."""
    capacity: float = Field(1.0, gt=0)
    """CPU units that a node has; the trace is a fraction of them."""
    start: float = 0.0
    """The moment at which node 0 is read, in seconds since the trace began."""
    seed: Seed | None = None
    """Deals the moments to the nodes at random."""


class Iid(Table):
    """At random, in equal parts."""

    kind: Literal["iid"]


class Dirichlet(Table):
    """Each class in proportions ~ Dirichlet(alpha): nodes see few classes when alpha is small."""

    kind: Literal["dirichlet"]
    alpha: float = 0.5
    """Concentration, above 0."""
    bins: int = Field(10, ge=1, le=2**20)
    """Quantile bins that take the place of classes in regression."""
    min_samples: int = 1
    """The least that every node gets."""


class SizeSkew(Table):
    """At random, sizes ~ Dirichlet(alpha)."""

    kind: Literal["size_skew"]
    alpha: float = 0.5
    """Concentration, above 0."""
    min_samples: int = 1
    """The least that every node gets."""


class ByShards(Table):
    """Sorted by class, cut into equal pieces, dealt at random."""

    kind: Literal["shards"]
    shards_per_node: int = 2
    """Pieces that a node gets."""
    bins: int = Field(10, ge=1, le=2**20)
    """Quantile bins that take the place of classes in regression."""


Split = Annotated[Iid | Dirichlet | SizeSkew | ByShards, Field(discriminator="kind")]


class QuadraticFeatures(Table):
    """All products of two features: a quadratic kernel."""

    kind: Literal["quadratic"]


class Fourier(Table):
    """Random Fourier features: nearly a Gaussian kernel."""

    kind: Literal["fourier"]
    components: int = Field(256, ge=1)
    """How many."""
    gamma: float | None = Field(None, gt=0)
    """Of the kernel exp(-gamma |x - z|^2); left out: 1 / (number of features x their variance)."""
    seed: Seed = 0
    """Draws the directions."""


FeatureMap = Annotated[QuadraticFeatures | Fourier, Field(discriminator="kind")]


class Data(Table):
    """Samples, what is done to their features, and how they are dealt to the nodes."""

    name: Annotated[str, one_of(DATASETS)] | None = None
    """A data set that comes with the `data` extra; give this or `folder`."""
    folder: str | None = None
    """A folder with MNIST's IDX files (MNIST, Fashion-MNIST, ...), of which the train files are read."""
    samples: int | None = Field(None, ge=1)
    """Use only so many samples, drawn at random (by class, as in the test set)."""
    test_fraction: float = Field(0.2, gt=0, lt=1)
    """The part held out to measure accuracy; every class gives the same part."""
    scaling: Literal["none", "center", "standardize"] = "none"
    """center: train mean 0; standardize: deviation 1 as well. Both drop features that never change."""
    map: FeatureMap | None = None
    """An explicit feature map, applied after scaling."""
    split: Split = Iid(kind="iid")
    """How the train set is dealt to the nodes."""
    seed: Seed | None = None
    """Of the test set and the split; left out: the experiment's."""
