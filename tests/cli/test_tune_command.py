"""`jaxcoopt tune`: better settings in a file that `jaxcoopt run` takes."""

import csv
import json
import math
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
    assert told.stderr.splitlines()[:2] == ["loading data and networks", "compiling, then 5 iterations"]
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


def test_phases_and_link_weights_are_written_and_run_again(tmp_path):
    """The objective of a run of what is written is the one that was found."""
    out = tmp_path / "tuned"
    changes = [
        *SMALL,
        "network.failure_rate=0.0",
        'tune.parameters=["allocation.step", "weights"]',
        "method.allocation.step={values=[0.1, 0.05], until=[10]}",
        'network.graphs=[{kind="topology", name="ring", nodes=6}, {kind="topology", name="star", nodes=6}]',
    ]
    told = invoke("tune", "ring", "--out", str(out), *[arg for each in changes for arg in ("--set", each)])
    assert told.exit_code == 0, told.output
    assert "0.1, 0.05" in told.output
    table = tomllib.loads((out / "tuned.toml").read_text())
    assert len(table["method"]["allocation"]["step"]["values"]) == 2
    assert table["method"]["allocation"]["step"]["until"] == [10]
    assert [len(row) for row in table["network"]["weights"]] == [9, 9]
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = min(rows, key=lambda row: float(row["held_out"]))
    assert table["network"]["weights"][1][2] == pytest.approx(float(best["weights[1][2]"]))
    ran = invoke("run", str(out / "tuned.toml"), "--out", str(tmp_path / "run"), "-q")
    assert ran.exit_code == 0, ran.output
    gap = json.loads((tmp_path / "run" / "summary.json").read_text())["allocation_gap"]
    assert math.log10(gap) == pytest.approx(float(best["held_out"]), abs=0.05)
    wrong = invoke("run", str(out / "tuned.toml"), "--set", "network.weights=[[1.0]]")
    assert wrong.exit_code == 2
    assert "one list for each graph" in wrong.output.replace("\n", " ")


def test_intervals_of_ones_own(tmp_path):
    """The step stays between the numbers given, and what is "auto" below what is admitted; the file is tuned again."""
    out, table = tmp_path / "tuned", '{"allocation.step" = [0.04, 0.06], "allocation.momentum" = "auto"}'
    changes = [*SMALL, f"tune.parameters={table}", "tune.rate=3.0"]
    told = invoke("tune", "ring", "--out", str(out), *[arg for each in changes for arg in ("--set", each)])
    assert told.exit_code == 0, told.output
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [float(row["allocation.step"]) for row in rows]
    assert 0.04 < min(steps) < max(steps) < 0.06
    again = TUNINGS.read(str(out / "tuned.toml"))
    assert again.tune.parameters == {"allocation.step": [0.04, 0.06], "allocation.momentum": "auto"}
    wrong = invoke(
        "tune", "ring", "--set", 'tune.parameters={"allocation.step" = [1.0]}', "--out", str(tmp_path / "no")
    )
    assert wrong.exit_code == 2
    assert "tune.parameters.allocation.step" in wrong.output


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
