"""`jaxcoopt bench`: grids, what is left out, and a small run of it all."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import jaxcoopt
from benchmarks.engine.case import FULL, HEADLINE, MEDIUM, SMALL, Case, check_case, grid, read_axes, why_skipped
from jaxcoopt.cli import app

GIB = 2.0**30


CHECKOUT = Path(__file__).parents[2]


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, run in another folder by a Python that finds the benchmark in the checkout, as in its folder."""
    command = [sys.executable, "-c", "from jaxcoopt.cli import app; app()", "bench", *arguments]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.fast
def test_grids():
    assert grid("small", {}) == list(SMALL)
    assert grid("medium", {}) == list(MEDIUM)
    assert len(set(MEDIUM)) == len(MEDIUM)
    assert set(SMALL) < set(MEDIUM)
    full = grid("full", {})
    sizes = [len(values) for values in FULL.values()]
    assert {replace(HEADLINE, degree=32, params=7850, graph="ring"), *MEDIUM} <= set(full)
    assert len(full) >= sizes[0] * sizes[1] * sizes[2] * sizes[3] * 2 * 2 * 3
    axes = read_axes({"nodes": "20,100", "channel": "ideal", "graph": None})
    assert axes == {"nodes": [20, 100], "channel": ["ideal"]}
    assert grid("small", axes) == [replace(HEADLINE, nodes=n, channel="ideal") for n in (20, 100)]


@pytest.mark.fast
def test_a_file_of_cases(tmp_path):
    file = tmp_path / "cases.json"
    file.write_text('[{"nodes": 50}, {"graph": "ring", "degree": 2}]')
    assert grid(str(file), {}) == [Case(nodes=50), Case(graph="ring", degree=2)]
    file.write_text('[{"node": 50}]')
    with pytest.raises(ValueError, match="node"):
        grid(str(file), {})
    with pytest.raises(ValueError, match="neither 'small', 'medium', 'full' nor a file"):
        grid("big", {})


@pytest.mark.fast
def test_bad_axes_are_named():
    with pytest.raises(ValueError, match="--nodes: expected whole numbers"):
        read_axes({"nodes": "20;100"})
    for wrong in ({"graph": "rings"}, {"channel": "lg"}, {"precision": "float16"}, {"runs": 0}, {"params": -1}):
        with pytest.raises(ValueError, match=f"--{next(iter(wrong))}"):
            check_case(replace(HEADLINE, **wrong))


@pytest.mark.fast
def test_what_is_skipped_and_why():
    for case in MEDIUM:
        check_case(case)
        assert why_skipped(case, 16 * GIB) is None
    assert "GiB" in str(why_skipped(Case(nodes=10000, runs=1024, params=7850), 16 * GIB))
    assert "degree 32" in str(why_skipped(Case(nodes=20, degree=32), 16 * GIB))
    assert "odd" in str(why_skipped(Case(graph="ring", degree=3), 16 * GIB))


def test_a_small_run(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\n<!-- /bench -->\nafter\n")
    sizes = ("--nodes", "12,13", "--degree", "3", "--runs", "3", "--params", "4", "--rivals", "numpy,vmap")
    done = bench(*sizes, "--out", "out", "--readme", "README.md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "engine.png").stat().st_size > 10_000
    report = json.loads((tmp_path / "out" / "engine.json").read_text())
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["cpu"]
    assert {"python", "jax", "numpy", "scipy", "pytest-benchmark"} <= set(report["versions"])
    row, skipped = report["rows"]
    assert "odd degree" in skipped["skipped"]
    assert 0 < row["engine"]["min"] <= row["engine"]["median"]
    assert row["engine"]["compile_seconds"] > 0.05
    assert row["node_updates_per_second"] == pytest.approx(12 * 3 / row["engine"]["min"])
    for rival in ("numpy", "vmap"):
        assert row["rivals"][rival]["agreement"]["agrees"]
        assert row["rivals"][rival]["ratio"] == pytest.approx(row["rivals"][rival]["min"] / row["engine"]["min"])
    assert row["percent_of_floor"] == pytest.approx(100 * row["floor"]["seconds"] / row["engine"]["min"])
    text = readme.read_text()
    assert text.startswith("before\n<!-- bench -->")
    assert text.endswith("<!-- /bench -->\nafter\n")
    assert "| 12, 3, 3, 4 | log |" in text
    assert "(out/engine.png)" in text
    assert "12, 3" in done.stdout


def test_bad_arguments_are_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.md").write_text("nothing here")
    for arguments, words in (
        (("--rivals", "nump"), "did you mean 'numpy'"),
        (("--graph", "star"), "--graph"),
        (("--readme", "bare.md"), "<!-- bench -->"),
    ):
        done = CliRunner().invoke(app, ["bench", *arguments])
        assert done.exit_code == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert isinstance(done.exception, SystemExit)
    assert not (tmp_path / "bench-results").exists()


def test_without_the_source_the_command_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(jaxcoopt, "__file__", str(tmp_path / "site-packages" / "jaxcoopt" / "__init__.py"))
    done = CliRunner().invoke(app, ["bench", "--grid", "small"])
    assert done.exit_code == 2
    assert "get the source" in done.stderr
    assert "python -m benchmarks.engine" in done.stderr
