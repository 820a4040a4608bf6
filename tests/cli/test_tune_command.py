"""`jaxcoopt tune`: better settings in a file that `jaxcoopt run` takes."""

import csv
import tomllib

import pytest
from typer.testing import CliRunner

from jaxcoopt.cli import app
from jaxcoopt.experiments.settings import EXPERIMENTS
from jaxcoopt.experiments.tune_tables import TUNINGS

SMALL = [
    "steps=30",
    "tune.iterations=4",
    "tune.starts=2",
    "tune.runs=2",
    "network.graphs.0.nodes=6",
    "allocation.budget=12",
]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_what_is_found_is_written_and_runs(tmp_path):
    out = tmp_path / "tuned"
    names = 'tune.parameters=["allocation.step", "allocation.momentum", "channel.rho", "allocation.bounds.weight"]'
    command = [arg for each in [*SMALL, names] for arg in ("--set", each)]
    told = invoke("tune", "ring", "--out", str(out), *command)
    assert told.exit_code == 0, told.output
    assert "allocation.step" in told.output
    assert "on held-out runs" in told.output
    table = tomllib.loads((out / "tuned.toml").read_text())
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 2
    best = min(rows, key=lambda row: float(row["held_out"]))
    assert table["method"]["allocation"]["step"] == pytest.approx(float(best["allocation.step"]))
    assert table["channel"]["rho"] == pytest.approx(float(best["channel.rho"]))
    assert table["method"]["allocation"]["bounds"]["weight"] == pytest.approx(float(best["allocation.bounds.weight"]))
    assert (out / "history.png").stat().st_size > 1000
    settings = EXPERIMENTS.read(str(out / "tuned.toml"))
    assert settings.steps == 30
    again = invoke("tune", "ring", "--out", str(out), *command)
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_a_bit_budget_goes_with_its_objective(tmp_path):
    command = [arg for each in [*SMALL, "tune.objective=at_bits", "tune.bits=500"] for arg in ("--set", each)]
    told = invoke("tune", "ring", "--out", str(tmp_path / "tuned"), *command)
    assert told.exit_code == 0, told.output
    assert "objective (at_bits)" in told.output
    for alone in ("tune.objective=at_bits", "tune.bits=500"):
        with pytest.raises(ValueError, match="bits: needed with objective"):
            TUNINGS.read("ring", [alone])


def test_a_file_without_the_table_is_refused():
    with pytest.raises(ValueError, match="tune"):
        TUNINGS.read("ring", ["tune.parameters=[]"])
    with pytest.raises(ValueError, match=r"tuning: 'rings' is not known; did you mean 'ring'\?"):
        TUNINGS.read("rings")
