"""The settings of a comparison, as a TOML file gives them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jaxcoopt.datasets import TOPOLOGIES
from jaxcoopt.datasets.topologies import SIZED
from jaxcoopt.escaping import TITLE
from jaxcoopt.experiments.amounts import Count, Table
from jaxcoopt.experiments.catalogue import Catalogue
from jaxcoopt.experiments.data_tables import one_of
from jaxcoopt.experiments.method_tables import Channel
from jaxcoopt.study.contest import Rules

FAMILIES = {
    "quadratic": "allocation",
    "latency": "allocation",
    "latency_power": "allocation",
    "linear": "training",
    "logistic": "training",
}
"""The random problems of `jaxcoopt.experiments.random_instances`, and the half that each is about."""


class Family(Table):
    """Random instances of one kind."""

    kind: Annotated[str, one_of(tuple(FAMILIES))]
    """quadratic, latency, latency_power (allocation), linear, logistic (training)."""
    decades: float = Field(2.0, ge=0)
    """Powers of ten between the least and the largest curvature (allocation) or feature scale (training)."""
    active: Annotated[tuple[float, float], Field(strict=False)] = (0.15, 0.4)
    """The least and the largest part of all nodes that stand at a bound at the optimum."""
    features: int = Field(5, ge=1)
    """Of a training sample."""
    samples: int = Field(20, ge=2)
    """Of a node."""
    l2: float = Field(0.01, ge=0)
    """Ridge penalty of training."""


class Graphs(Table):
    """A network, drawn anew for every part of the instances where it is random."""

    kind: Literal["topology", "backbone"]
    name: str
    """A topology such as regular, or a backbone such as sndlib/germany50."""
    nodes: list[Annotated[int, Field(ge=2)]] = Field(default_factory=list)
    """How many nodes, one case each; left out for networks of a fixed size."""
    degree: int = 4
    """Neighbours of a node, where the topology has that."""
    probability: float | None = None
    """Chance of a link or of a rewiring, where the topology has that."""
    graphs: int = Field(1, ge=1)
    """So many graphs, drawn apart, between which a network switches."""
    draws: int = Field(1, ge=1)
    """So many networks share the instances of the evaluation."""
    weights: Literal["metropolis", "max_degree"] = "metropolis"
    """The rule for the weights of the links."""
    failure_rate: float = Field(0.0, ge=0, lt=1)
    """The chance that a link is down at an iteration."""
    switching: Literal["cycle", "random"] = "cycle"
    """How the graph of an iteration is picked."""
    label: str | None = None
    """What tables call it; left out: its name."""

    @model_validator(mode="after")
    def _known(self) -> "Graphs":
        if self.kind == "topology":
            one_of(TOPOLOGIES).func(self.name)  # pyright: ignore[reportCallIssue]
            if self.name in SIZED and not self.nodes:
                raise ValueError(f"nodes: {self.name} comes in any size; say how many nodes, such as nodes = [20]")
        return self


class Contestant(Table):
    """A method that takes part."""

    name: str
    """Its row of the registry."""
    label: str | None = None
    """What tables call it; left out: its title in the registry."""
    ours: bool | None = None
    """Whether it is measured against the best of the others; left out: as the registry says."""
    placement: Literal["message", "difference", "innovation"] | None = None
    """Where its links quantize; left out: as [channel] says."""
    settings: dict[str, float | int | str] = Field(default_factory=dict)
    """What is not tuned, such as exponent = 0.5 or "bounds.sharpness" = 20.0."""
    grid: dict[str, list[float]] | None = None
    """The values that are tried, all combinations; left out: the registry's."""


class Comparison(Table):
    """Everything that `jaxcoopt compare` needs to know."""

    title: str = Field("comparison", max_length=TITLE)
    """One line for tables and plots."""
    half: Literal["allocation", "training"] = "allocation"
    """Which methods are compared."""
    seed: int = Field(0, ge=0)
    """Of all that is random."""
    checkpoints: list[Annotated[int, Field(ge=1, lt=2**31)]] = Field([100, 300, 1000], min_length=1)
    """Iterations at which methods are compared, and whose bits are the budgets of the comparison at equal bits."""
    steps: Count | None = None
    """Iterations of a run; left out: the last checkpoint."""
    longest: float = Field(16.0, ge=1, le=1e6)
    """Methods that send less may run for so many times `steps` to use up the bits."""
    record_every: int = Field(10, ge=1)
    """Iterations between records."""
    instances: int = Field(100, ge=1)
    """Problems that methods are compared on, for each problem and network."""
    tuning_instances: int = Field(10, ge=1)
    """Other problems, that they are tuned on."""
    width: int = Field(100, ge=1)
    """Runs computed at once; all batches are filled up to it, so that each method is compiled once."""
    precision: Literal["float32", "float64"] = "float64"
    """Of the iterations: gaps below 1e-6 need float64."""
    floor: float = Field(1e-12, gt=0)
    """Errors below count as this: what is smaller is rounding."""
    problems: list[Family] = Field(min_length=1)
    """Random problems."""
    networks: list[Graphs] = Field(min_length=1)
    """Who talks to whom."""
    channel: Channel = Field({"kind": "ideal"}, validate_default=True)  # pyright: ignore[reportInvalidTypeForm]
    """What the links do to what is sent, the same for all methods."""
    methods: list[Contestant] | None = None
    """Who takes part; left out: every method of the registry, and the paper's with its own placement."""

    @property
    def last(self) -> int:
        """Iterations of a run."""
        return self.steps or max(self.checkpoints)

    @property
    def rules(self) -> Rules:
        """When methods are compared."""
        return Rules(self.checkpoints, self.last, self.longest)

    @model_validator(mode="after")
    def _whole(self) -> "Comparison":
        beyond = [checkpoint for checkpoint in self.checkpoints if checkpoint > self.last]
        if beyond:
            raise ValueError(f"checkpoints: {beyond[0]} lies beyond steps = {self.last}; raise steps or leave it out")
        for i, family in enumerate(self.problems):
            if FAMILIES[family.kind] != self.half:
                raise ValueError(
                    f"problems.{i}.kind: {family.kind} is about {FAMILIES[family.kind]}, this comparison about "
                    f"{self.half}; use one of {', '.join(k for k, half in FAMILIES.items() if half == self.half)}"
                )
            if not 0 <= family.active[0] < family.active[1] <= 1:
                raise ValueError(f"problems.{i}.active: expected 0 <= least < largest <= 1, got {family.active}")
        draws = max(network.draws for network in self.networks)
        if self.instances % draws:
            raise ValueError(f"instances: {self.instances} cannot be shared evenly by {draws} network draws")
        return self


COMPARISONS = Catalogue("comparison", "compare", Comparison, default="headline")
