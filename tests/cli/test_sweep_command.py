"""`jaxcoopt sweep`: what a file may sweep, how large it says it is, and that it goes on where it stood."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import xarray
from small_experiment import SIX_ON_A_RING
from typer.testing import CliRunner

import jaxcoopt as jc
from jaxcoopt.cli import app
from jaxcoopt.experiments import run_sweep
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.sweep_axes import axes_of_keys
from jaxcoopt.experiments.sweep_tables import SWEEPS, Sweep
from jaxcoopt.run.progress import Pace, counted, counted_runs
from jaxcoopt.study.store_size import size_in_bytes

SMALL = f"""
title = "small"
{SIX_ON_A_RING}
[data]
name = "diabetes"
samples = 60
scaling = "standardize"
[training.loss]
kind = "linear"
l2 = 0.1
[channel]
kind = "log"
[method.training]
kind = "gradient_tracking"
step = 0.05
[sweep]
seeds = 2
[sweep.grid]
"channel.rho" = [0.2, 0.8]
"""


def invoke(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_a_file_is_swept_and_resumed(file, tmp_path):
    store = tmp_path / "store.zarr"
    first = invoke("sweep", file, "--out", store)
    assert first.exit_code == 0, first.output
    assert "4 runs (4 max steps)" in first.output
    table = xarray.open_zarr(store, consolidated=False, chunks=None)
    assert dict(table.sizes) == {"channel.rho": 2, "seed": 2, "iteration": 21}
    built = build(SWEEPS.read(str(file)))
    method = replace(built.method, channel=jc.channels.LogQuantizer(0.8))
    result = jc.solve(built.problem, built.network, method, 20, runs=2, record_every=1)
    np.testing.assert_allclose(table["training_gap"].values[1], np.asarray(result.trace["training_gap"]).T, rtol=1e-9)
    again = invoke("sweep", file, "--out", store)
    assert again.exit_code == 2
    assert "add --resume to go on with it" in again.output
    assert invoke("sweep", file, "--out", store, "--resume").exit_code == 0
    other = invoke("sweep", file, "--out", store, "--resume", "--set", "steps=30")
    assert other.exit_code == 2
    assert "sweep.steps: 20 there, 30 here" in " ".join(other.output.split())


def test_dry_run(file, tmp_path, untyped):
    grid = 'sweep.grid={"channel.rho"=[0.1, 0.2, 0.3], "channel.bits"=[4, 8]}'
    done = invoke("sweep", file, "--dry-run", "--out", tmp_path / "none", "--set", grid)
    assert done.exit_code == 0, done.output
    assert re.search(r"points +6 in 2 groups", done.output)
    assert re.search(r"runs +12 in 2 chunks of 6", done.output)
    assert re.search(r"time +about [0-9,]+ s", done.output)
    assert not (tmp_path / "none").exists()


def axes(**sweep):
    """The axes of the small file with another [sweep]."""
    settings = SWEEPS.read("quantizer")
    table = settings.model_dump(exclude={"sweep"}, exclude_none=True)
    return axes_of_keys(table, Sweep.model_validate(sweep), build(Experiment.model_validate(table)))


def test_what_a_file_may_sweep():
    """A key's axis sets just what it changes."""
    grid = {
        "channel.rho": {"start": 0.1, "stop": 1.0, "count": 3, "scale": "log"},
        "method.training": {"tracking": {"kind": "gradient_tracking"}, "DGD": {"kind": "dgd", "step": 0.05}},
        "network.failure_rate": [0.1, 0.2],
        "allocation.budget": [30.0, 50.0],
        "training.loss.l2": [0.01, 0.1],
        "data.split": {"even": {"kind": "iid"}, "skewed": {"kind": "size_skew"}},
    }
    places = {axis.dim: [str(place) for place in axis.places] for axis in axes(grid=grid)}
    assert places["channel.rho"] == ["method.channel.rho"]
    assert places["method.training"] == ["method.training"]
    assert places["network.failure_rate"] == ["network.failure_rate"]
    assert places["allocation.budget"] == ["problem.allocation.budget"]
    assert places["training.loss.l2"] == ["problem.training.loss.l2"]
    assert {"problem.training.features", "problem.training.targets"} <= set(places["data.split"])
    rho = next(axis for axis in axes(grid=grid) if axis.dim == "channel.rho")
    np.testing.assert_allclose(rho.labels["channel.rho"], [0.1, 10**-0.5, 1.0])


def test_points_and_random_samples_of_a_file():
    given = [{"channel.rho": rho, "method.training.step": 0.01} for rho in (0.1, 0.2)]
    (points,) = axes(points=given)
    assert {str(place) for place in points.places} == {"method.channel.rho", "method.training.step"}
    (drawn,) = axes(random={"channel.rho": {"low": 0.1, "high": 1.0, "scale": "log"}}, samples=5)
    assert len(drawn) == 5
    assert all(0.1 <= rho <= 1 for rho in drawn.labels["channel.rho"])


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"grid": {"channel.rho": []}}, "channel.rho: it is empty"),
        ({"grid": {"channel.roh": [0.1]}}, "channel.roh"),
        ({"grid": {"steps": [10, 20]}}, "steps is the same for all points"),
        ({"grid": {"channel.rho": ["fine"]}}, "channel.rho"),
        ({"grid": {"channel.rho": [0.5], "title": ["a"]}}, "title is the same for all points"),
        ({"grid": {}}, r"(?s)grid.* at least 1 item"),
        ({"random": {}}, r"(?s)random.* at least 1 item"),
        ({"grid": {"channel.rho": {"start": 0.1, "stop": 1.0}}}, r"(?s)range.count.*required"),
        ({"grid": {"channel.rho": 3}}, "a list of values, {start = "),
        (
            {"grid": {"channel.rho": {"start": 0.0, "stop": 1.0, "count": 3, "scale": "log"}}},
            "stop of one sign, not 0, with scale",
        ),
        ({"random": {"channel.rho": {"low": 1.0, "high": 0.1}}}, "expected low < high, got low = 1 and high = 0.1"),
        ({"random": {"channel.rho": {"low": 0.0, "high": 0.1, "scale": "log"}}}, "expected 0 < low < high with"),
        ({}, "give one of grid, points and random"),
        ({"grid": {"channel.rho": [1.0]}, "points": [{"channel.rho": 1.0}]}, "not grid and points"),
    ],
)
def test_bad_sweep_tables(sweep, words):
    with pytest.raises(ValueError, match=words):
        axes(**sweep)


def test_sizes():
    sizes = [size_in_bytes("--memory", given) for given in ("4GiB", "500 MB", "2e9", "1k", 700, 4e9)]
    assert sizes == [4 * 2**30, 500 * 2**20, 2 * 10**9, 1024, 700, 4 * 10**9]
    with pytest.raises(ValueError, match="--memory: expected a size such as 4GiB, got 'much'"):
        size_in_bytes("--memory", "much")


def test_a_file_of_more_than_there_is_room_for(file, tmp_path, monkeypatch):
    monkeypatch.setattr(run_sweep, "axes_of_keys", lambda *_: pytest.fail("points were made"))
    grid = 'sweep.grid={"channel.rho"={start=0.1, stop=1.0, count=1000000000}}'
    for option in ((), ("--dry-run",)):
        done = invoke("sweep", file, "--out", tmp_path / "huge", "--set", grid, "--set", "sweep.seeds=100000", *option)
        assert (done.exit_code, "100,000,000,000,000 runs take up to" in done.output) == (2, True), done.output


def test_progress_is_a_line_where_there_is_no_terminal(file, tmp_path, monkeypatch):
    done = invoke("sweep", file, "--out", tmp_path / "store")
    assert re.search(r"^4 of 4 runs, [0-9,.e+]+ runs/s, training gap", done.stderr, re.MULTILINE)
    assert invoke("sweep", file, "--out", tmp_path / "quiet", "--quiet").stderr == ""
    said, now = io.StringIO(), iter([0.0, 0.0, 10.0, 31.0, 32.0, 40.0])
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with counted_runs(True, 100) as report:
        report(20, None)
        for runs, news in ((10, "a"), (21, "b"), (10, "c"), (39, "d")):
            report(runs, news)
    assert said.getvalue().splitlines() == ["51 of 100 runs, 1 runs/s, 49 s left, b", "100 of 100 runs, 2 runs/s, d"]


def test_time_left_counts_compiling_apart(monkeypatch):
    """Three groups of five chunks, 10 runs each: compiling takes 60 s, a chunk 2 s."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace(total=150, fresh=3)

    def chunk(compiled, diverged=0):
        now[0] += 62 if compiled else 2
        pace.done(10, "news", diverged, compiled)

    chunk(compiled=True)
    assert pace.left is None  # what compiled says nothing of the rest
    chunk(compiled=False)
    assert pace.left == pytest.approx(13 * 2 + 2 * 60)
    for _ in range(3):
        chunk(compiled=False, diverged=3)
    assert pace.left == pytest.approx(10 * 2 + 2 * 60)
    chunk(compiled=True, diverged=1)
    assert pace.left == pytest.approx(9 * 2 + 60)
    assert pace.rate == pytest.approx(5)
    assert pace.told("b") == "b, 10 diverged"
    alone = Pace(total=30, fresh=3)  # where all that is left has to be compiled
    now[0] += 62
    alone.done(10, "", 0, True)
    assert alone.left == pytest.approx(2 * 62)


def test_time_left_of_a_tuning_counts_compiling_apart(monkeypatch):
    """61 iterations of a second each, of which the first has to be compiled for a minute."""
    now, said = [0.0], io.StringIO()
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("sys.stderr", said)
    with counted(True, 61, "iterations", first=True) as done:
        for i in range(61):
            now[0] += 1 if i else 60
            done("objective")
    left = [int(each) for each in re.findall(r"(\d+) s left", said.getvalue())]
    assert left == [30]  # at 90 s; at 60 s there is nothing to go by


def test_the_last_line_counts_all_that_diverged(file, tmp_path):
    """As the line after it does: the runs of every chunk, not only of the last."""
    text = file.read_text().replace("step = 0.05", "step = 1e9").replace("[0.2, 0.8]", "[0.2, 0.5, 0.8]")
    file.write_text(text)
    done = invoke("sweep", file, "--store", tmp_path / "store")
    assert done.exit_code == 0, done.output
    assert re.search(r"^6 of 6 runs, .*6 diverged$", done.stderr, re.MULTILINE), done.stderr
    assert "6 runs (6 diverged)" in " ".join(done.output.split())
    again = invoke("sweep", file, "--store", tmp_path / "store", "--resume")
    assert re.search(r"^6 of 6 runs, 6 diverged$", again.stderr, re.MULTILINE), again.stderr


def test_help_shows_the_table_s_name():
    assert "[sweep] table" in " ".join(invoke("sweep", "--help").output.replace("│", " ").split())


def test_run_says_that_a_sweep_is_one(file):
    done = invoke("run", file)
    assert done.exit_code == 2
    assert "it has a [sweep] table: use jaxcoopt sweep" in " ".join(done.output.split())


def test_dry_run_looks_at_the_store(file, tmp_path):
    assert "is there: add --resume" not in invoke("sweep", file, "--dry-run", "--out", tmp_path / "new").output
    done = invoke("sweep", file, "--dry-run", "--out", file)
    assert done.exit_code == 2
    assert "there is something else" in done.output
