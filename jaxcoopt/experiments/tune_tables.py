"""The [tune] table of a TOML file: which settings, towards what."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jaxcoopt.experiments.amounts import Count, Table
from jaxcoopt.experiments.catalogue import Catalogue
from jaxcoopt.experiments.settings import Experiment

AT_BITS = "at_bits"
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class Tune(Table):
    """Settings of the method, by gradient descent through whole runs."""

    parameters: list[str] | dict[str, Interval | Literal["auto"]] = Field(min_length=1)
    """Names such as "training.step" and "channel.rho", and "weights" for those of all links; or a table of them, each
    with the two numbers that it stays between, or "auto".
    """
    objective: str = "final"
    """final: log10 of the error at the end, which is the gap where budget, box and consensus hold; worst: of the worst
    run; area: the mean over all records; at_bits: when the mean node has sent `bits`."""
    bits: float | None = Field(None, gt=0)
    """For the objective "at_bits"."""
    iterations: Count = Field(100, ge=1)
    """Of the descent."""
    rate: float = Field(0.1, gt=0)
    """Adam's: by about what part a setting changes in an iteration of the descent."""
    starts: Count = Field(1, ge=1)
    """The settings of this file, and random ones around them."""
    runs: Count = Field(4, ge=1)
    """For each start, and as many others to validate on: they differ in their start, failures and mini-batches."""
    patience: int | None = Field(None, ge=1)
    """Iterations without any gain on the held-out runs after which it stops."""

    @model_validator(mode="after")
    def _bits_go_with_their_objective(self) -> "Tune":
        if (self.bits is None) == (self.objective == AT_BITS):
            raise ValueError(
                f'tune.bits: needed with objective = "{AT_BITS}" and no other, got bits = {self.bits} with '
                f'objective = "{self.objective}"'
            )
        return self


class TuneExperiment(Experiment):
    """An experiment, and what of it is tuned; its `runs`, `tol` and `shard` are for `jaxcoopt run` of what is found."""

    tune: Tune
    """What is tuned."""


TUNINGS = Catalogue("tuning", "tune", TuneExperiment, default="ring")
