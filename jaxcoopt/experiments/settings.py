"""The settings of one experiment, as a TOML file gives them."""

from typing import Any, Literal

from pydantic import Field, model_validator

from jaxcoopt.escaping import TITLE
from jaxcoopt.experiments.amounts import Amount, Count, Seed, Table
from jaxcoopt.experiments.catalogue import Catalogue
from jaxcoopt.experiments.data_tables import Data, NetworkTable, Trace
from jaxcoopt.experiments.method_tables import Channel, ClockTable, Method, StopTable
from jaxcoopt.experiments.problem_tables import AllocationTable, TrainingTable


class Experiment(Table):
    """Everything that `jaxcoopt run` needs to know."""

    title: str = Field("experiment", max_length=TITLE)
    """One line for tables and plots."""
    steps: Count
    """Iterations."""
    runs: int = Field(1, ge=1)
    """Runs at once, which differ in their start, link failures and mini-batches."""
    seed: Seed = 0
    """Of all that is random."""
    record_every: Count | None = None
    """Iterations between records; left out: steps / 100."""
    metrics: list[str] = Field([])
    """Statistics of your own, recorded and reported with the others: each "module:NAME" of a jaxcoopt.Metric."""
    tol: float | None = Field(None, gt=0)
    """A run stops once its gaps, budget residual and consensus error are all below."""
    stop: StopTable | None = None  # pyright: ignore[reportInvalidTypeForm]
    """When a run stops: `tol` as a table, or a rule of your own, kind = "module:Name"."""
    precision: Literal["float32", "float64"] = "float32"
    """Of the iterations; the reference optimum is computed in float64 anyway."""
    shard: Literal["runs", "nodes"] = "runs"
    """What is spread over several devices; nodes: of one network too large for a device."""
    work: Amount = 1.0
    """CPU-seconds of a node's iteration at one unit of CPU: iteration k takes max_i work_i / x_i(k)."""
    clock: ClockTable = Field({"kind": "synchronous"}, validate_default=True)  # pyright: ignore[reportInvalidTypeForm]
    """What an iteration takes of simulated time."""
    network: NetworkTable
    """Who talks to whom."""
    demand: Trace | None = None
    """What CPU every node asks for."""
    data: Data | None = None
    """What the model is trained on."""
    allocation: AllocationTable | None = None
    """The CPU half of the problem."""
    training: TrainingTable | None = None
    """The training half of the problem."""
    channel: Channel = Field({"kind": "ideal"}, validate_default=True)  # pyright: ignore[reportInvalidTypeForm]
    """What the links do to what is sent."""
    allocation_channel: Channel | None = None  # pyright: ignore[reportInvalidTypeForm]
    """What they do to what the allocation sends; left out: as `channel` says."""
    method: Method
    """How the nodes move."""

    @model_validator(mode="after")
    def _whole(self) -> "Experiment":
        """Tables that need each other are both there."""
        pairs: list[tuple[str, Any, str, Any]] = [
            ("training", self.training, "data", self.data),
            ("data", self.data, "training", self.training),
            ("allocation", self.allocation, "method.allocation", self.method.allocation),
            ("method.allocation", self.method.allocation, "allocation", self.allocation),
            ("training", self.training, "method.training", self.method.training),
            ("method.training", self.method.training, "training", self.training),
        ]
        for name, given, other, needed in pairs:
            if given is not None and needed is None:
                raise ValueError(f"there is a [{name}] table but no [{other}] table; give both or leave both out")
        if self.data is not None and (self.data.name is None) == (self.data.folder is None):
            raise ValueError("data: give either name or folder, not both or neither")
        return self


EXPERIMENTS = Catalogue("experiment", "run", Experiment, default="default", ignored=("tune",))
