"""Build a tuning from its file, and run it."""

import tomllib
import warnings
from dataclasses import dataclass
from typing import Any

import jax
import optax
import tomli_w

from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.tune_tables import TuneExperiment
from jaxcoopt.sweeps.names import Trio, find, read
from jaxcoopt.tuning.objectives import at_bits
from jaxcoopt.tuning.tune import Tuned, tune


@dataclass(frozen=True)
class PlayedTuning:
    """tuned; before: the values there were; settings: TOML text of the experiment with those that were found; notes."""

    tuned: Tuned
    before: dict[str, float]
    settings: str
    notes: list[str]


def play_tuning(settings: TuneExperiment, progress: bool = False) -> PlayedTuning:
    """The descent that the file asks for."""
    table, wanted = (
        tomllib.loads(tomli_w.dumps(settings.model_dump(exclude_none=True, exclude={"tune"}))),
        settings.tune,
    )
    with warnings.catch_warnings(record=True) as caught, jax.enable_x64(settings.precision == "float64"):
        warnings.simplefilter("always", RuntimeWarning)
        built = build(Experiment.model_validate(table))
        tuned = tune(
            built.problem,
            built.network,
            built.method,
            wanted.parameters,
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
            progress=progress,
        )
        trio, before = Trio(built.problem, built.network, built.method), {}
        for name, value in tuned.values.items():
            place = find(name, trio, "tune.parameters")
            before[name] = float(read(trio, place))
            _put(table, place.path, value)
    Experiment.model_validate(table)
    return PlayedTuning(tuned, before, tomli_w.dumps(table), list(dict.fromkeys(str(each.message) for each in caught)))


def _put(table: dict[str, Any], path: tuple[str, ...], value: float) -> None:
    """The halves of the method have tables of their own below [method], its channel has one at the top."""
    *way, last = path if path[0] == "channel" else ("method", *path)
    for part in way:
        table = table.setdefault(part, {})
    table[last] = value
