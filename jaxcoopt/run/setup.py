"""What stays the same during a run, and what it takes along."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock
from jaxcoopt.run.node_split import NodeSplit
from jaxcoopt.run.record import Extra
from jaxcoopt.run.stops import Stop


@pytree
@dataclass(frozen=True)
class Evaluation:
    """What needs all samples is evaluated at the first record at or after each multiple of `every` iterations, in the
    iteration `end`, and where a run stops.
    """

    every: Any  # whole numbers
    end: Any


@pytree(static=("split", "extra"))
@dataclass(frozen=True)
class Setup:
    """All that stays the same during a run; stop: None where every run goes on to its end.

    mean_share: the budget over the number of nodes, scalar or [runs]; 0 without allocation. split: where the nodes are,
    if they are spread over devices; node_at: there, the place of each node. extra: what the user wants to be recorded.
    clock: what an iteration takes. evaluation: how often what needs all samples is evaluated; None: at every record.
    """

    problem: Problem
    network: Network
    method: CoOptimizer
    optimum: Optimum
    stop: Stop | None
    network_key: Array
    batch_key: Array
    runs: Int[Array, " runs"]
    mean_share: Any
    split: NodeSplit | None = None
    node_at: Int[Array, " given"] | None = None
    extra: Extra | None = None
    clock: Clock = SYNCHRONOUS
    evaluation: Evaluation | None = None

    @property
    def nodes(self) -> int:
        """How many there are, on all devices together."""
        return self.network.nodes if self.split is None else self.split.nodes

    def for_devices(self) -> "Setup":
        """Without what the loop does not read: where the optimum is."""
        return replace(self, optimum=replace(self.optimum, allocation=None, params=None))


@pytree
@dataclass(frozen=True)
class Carry:
    """What a run takes along: the method's state, the clock (simulated seconds, the largest float where they have no
    end, and what they lost to rounding), how often each graph was seen (None where the network knows); which runs have
    converged and stand still, and the bits that these had sent by then (None without a stop); which runs have left
    the domain of their cost in an iteration, recorded or not (None where it has no end); what the network's failures
    remember (None: nothing); what needs all samples as it was last evaluated (None: it is at every record).
    """

    iteration: Int[Array, ""]
    state: CoState
    seconds: Float[Array, " runs"]
    seconds_lost: Float[Array, " runs"]
    visits: Int[Array, " graphs"] | None
    done: Bool[Array, " runs"]
    bits: Float[Array, " runs"] | None = None
    strayed: Bool[Array, " runs"] | None = None
    failures: Shaped[Array, "edges *shape runs"] | Any = None  # or a pytree of such arrays
    evaluated: dict[str, Float[Array, " runs"]] | None = None
