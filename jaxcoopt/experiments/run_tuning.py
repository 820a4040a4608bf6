"""Build a tuning from its file, and run it."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import optax
import tomli_w

from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.limits import check_graphs, check_runs
from jaxcoopt.experiments.notes import noted
from jaxcoopt.experiments.run_experiment import Stage
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.tune_tables import TuneExperiment
from jaxcoopt.run.names import Trio, find, read
from jaxcoopt.shown import briefly
from jaxcoopt.tuning.objectives import at_bits
from jaxcoopt.tuning.parameters import WEIGHTS
from jaxcoopt.tuning.tune import Tuned, tune


@briefly
@dataclass(frozen=True)
class PlayedTuning:
    """tuned; before: the values there were; settings: TOML text of the file with those that were found; notes."""

    tuned: Tuned
    before: dict[str, Any]
    settings: str
    notes: list[str]


def play_tuning(settings: TuneExperiment, progress: bool = False, stage: Stage | None = None) -> PlayedTuning:
    """The descent that the file asks for. `stage` opens a context around what comes before it."""
    stage = stage or (lambda text: nullcontext())
    table, wanted = settings.model_dump(mode="json", exclude_none=True, exclude={"tune"}), settings.tune
    check_graphs(settings)
    check_runs(settings, "tune.starts, each with tune.runs: runs", wanted.starts * wanted.runs)
    with noted(settings.precision) as notes:
        with stage("loading data and networks"):
            built = build(Experiment.model_validate(table))
        tuned = tune(
            built.problem,
            built.network,
            built.method,
            _intervals(wanted.parameters),
            steps=settings.steps,
            objective=wanted.objective if wanted.bits is None else at_bits(wanted.bits),
            optimizer=optax.adam(wanted.rate),
            iterations=wanted.iterations,
            starts=wanted.starts,
            runs=wanted.runs,
            patience=wanted.patience,
            record_every=settings.record_every,
            initial=built.initial,
            seed=settings.seed,
            clock=built.clock,
            progress=progress,
        )
        trio, before = Trio(built.problem, built.network, built.method), {}
        for name, value in tuned.values.items():
            if name in WEIGHTS:
                before[name] = np.asarray(built.network.edges.weights)
                table["network"]["weights"] = value.tolist()
                continue
            place = find(name, trio, "tune.parameters")
            before[name] = read(trio, place)
            _put(table, place.path, value)
    Experiment.model_validate(table)
    table["tune"] = wanted.model_dump(exclude_none=True)
    return PlayedTuning(tuned, before, tomli_w.dumps(table), notes)


def _intervals(parameters: Any) -> Any:
    """Names, or names and what each stays between, None where that is for the library to say."""
    if isinstance(parameters, list):
        return parameters
    return {name: None if limits == "auto" else limits for name, limits in parameters.items()}


def _put(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """The halves of the method have tables of their own below [method], its channels have theirs at the top."""
    *way, last = path if path[0] in ("channel", "allocation_channel") else ("method", *path)
    for part in way:
        table = table.setdefault(part, {})
    if np.ndim(value):  # of `Schedule`, whose name may be given without or with its "values"
        table = table if last == "values" else table[last]
        table["values"] = value.tolist()
    else:
        table[last] = value
