"""`jaxcoopt compare`, from the command line to the folder it leaves."""

import csv
import json

import pytest
from typer.testing import CliRunner

from jaxcoopt.cli import app
from jaxcoopt.experiments.compare_tables import COMPARISONS
from jaxcoopt.report.comparison_table import BLOCK
from jaxcoopt.report.readme import block

TINY = """
title = "tiny"
checkpoints = [20, 50]
instances = 5
tuning_instances = 2
width = 8
[[problems]]
kind = "quadratic"
[[networks]]
kind = "topology"
name = "exponential"
nodes = [8]
[channel]
kind = "log"
rho = 0.5
[[methods]]
name = "laplacian_flow"
label = "a & b"
ours = true
grid = { step = [0.01, 0.03] }
[[methods]]
name = "single_bit_flow"
grid = { step = [0.01, 0.03], "bounds.weight" = [3.0, 10.0] }
"""
FILES = {
    "comparison.json",
    "curves.csv",
    "error_quadratic_exponential_8.png",
    "error_quadratic_exponential_8.svg",
    "ratios.png",
    "ratios.svg",
    "table.csv",
    "cases.md",
    "table.tex",
}


def invoke(*arguments):
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "README.md").write_text(f"before\n{block(BLOCK, ['old'])}\nafter\n")
    done = invoke(folder / "tiny.toml", "--out", folder / "out", "--readme", folder / "README.md")
    assert done.exit_code == 0, done.output
    return folder, done


def test_folder_holds_everything(kept):
    folder, done = kept
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    assert "all cases" in done.output
    assert "single-bit flow" in done.output


def test_numbers_hang_together(kept):
    report = json.loads((kept[0] / "out" / "comparison.json").read_text())
    (case,) = report["cases"]
    ours, rival = case["methods"]
    assert [ours["ours"], rival["ours"]] == [True, False]
    assert [ours["grid_points"], rival["grid_points"]] == [2, 4]
    assert [(row["kind"], row["checkpoint"]) for row in rival["horizons"]] == [
        ("iterations", 20), ("iterations", 50), ("bits", 20), ("bits", 50)
    ]  # fmt: skip
    for row in ours["horizons"]:
        assert len(row["errors"]) == 5
        assert row["error"][1] == sorted(row["errors"])[2]
        assert row["error"][1] >= row["gap"][1]
        assert row["tuned"]["step"] in (0.01, 0.03)
    over = sorted(a / b for a, b in zip(ours["horizons"][1]["errors"], rival["horizons"][1]["errors"], strict=True))
    best = next(
        r for r in case["ratios"] if (r["against"], r["kind"], r["checkpoint"]) == ("best existing", "iterations", 50)
    )
    assert best["error"] == pytest.approx([over[1], over[2], over[3]], rel=1e-4)
    assert best["error_below_half"] == sum(each < 0.5 for each in over) / 5
    assert case["best_existing"][0]["wins"] == {"single-bit flow": 5}
    assert report["settings"]["seed"] == report["seed"] == 0
    assert "jax" in report["versions"]


def test_tables_are_files_others_can_read(kept):
    rows = list(csv.DictReader((kept[0] / "out" / "table.csv").read_text().splitlines()))
    assert len(rows) == 2 * 4
    assert {row["method"] for row in rows} == {"a & b", "single-bit flow"}
    assert all(float(row["error_q1"]) <= float(row["error_median"]) <= float(row["error_q3"]) for row in rows)
    latex = (kept[0] / "out" / "table.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 3
    assert r"a \& b" in latex


def test_readme_block_is_written_between_the_markers(kept):
    text = (kept[0] / "README.md").read_text()
    assert text.startswith("before\n<!-- compare -->\n")
    assert text.endswith("\n<!-- /compare -->\nafter\n")
    assert "old" not in text
    assert "| all cases | a &amp; b |" in text
    assert "](out/ratios.svg)" in text
    assert "](out/cases.md)" in text
    page = (kept[0] / "out" / "cases.md").read_text()
    assert "| all cases |" not in page
    cases = json.loads((kept[0] / "out" / "comparison.json").read_text())["cases"]
    assert page.count("| a &amp; b |") == 4 * len(cases)


def test_same_seed_same_numbers(kept, tmp_path):
    folder = kept[0]
    again = invoke(folder / "tiny.toml", "--quiet", "--out", tmp_path / "again")
    assert again.exit_code == 0
    assert again.output == ""
    for name in ("table.csv", "table.tex", "curves.csv", "ratios.svg"):
        assert (tmp_path / "again" / name).read_text() == (folder / "out" / name).read_text(), name
    other = invoke(folder / "tiny.toml", "--quiet", "--set", "seed=1", "--out", tmp_path / "other")
    assert other.exit_code == 0
    assert (tmp_path / "other" / "table.csv").read_text() != (folder / "out" / "table.csv").read_text()


def test_training_over_failing_links_in_single_precision(tmp_path):
    file = tmp_path / "training.toml"
    file.write_text(
        'half = "training"\ncheckpoints = [20]\ninstances = 2\ntuning_instances = 1\nwidth = 2\nprecision = "float32"\n'
        '[[problems]]\nkind = "linear"\nfeatures = 2\nsamples = 4\n'
        '[[networks]]\nkind = "topology"\nname = "ring"\nnodes = [5]\nfailure_rate = 0.1\n'
        '[[methods]]\nname = "gradient_tracking"\ngrid = { step = [0.1, 0.2] }\n'
        '[[methods]]\nname = "dgd"\ngrid = { step = [0.1, 0.2] }\n'
    )
    done = invoke(file, "--out", tmp_path / "out", "--debug")
    assert done.exit_code == 0, done.exception
    assert "consensus error" in done.output
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {row["against"] for row in report["ratios"]} == {"best existing"}


def test_shipped_comparisons_are_listed_and_valid():
    done = invoke("list")
    assert done.exit_code == 0
    assert set(COMPARISONS.names()) == {"headline", "training"}
    for name in COMPARISONS.names():
        assert name in done.output
        assert COMPARISONS.read(name).half == {"headline": "allocation", "training": "training"}[name]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("checkpoints=[100]", "checkpoints: 100 lies beyond steps = 60"),
        ("methods.0.name=laplacian_flwo", "did you mean 'laplacian_flow'"),
        ("methods.1.name=extra", "extra is a method of training"),
        ("methods.1.ours=true", "no rival"),
        ("problems.0.kind=linear", "linear is about training"),
        ("problems.0.kind=quadratik", "did you mean 'quadratic'"),
        ("networks.0.name=exponental", "did you mean 'exponential'"),
        ("instnces=3", "did you mean 'instances'"),
        ("problems.0.active=[0.5,0.2]", "0 <= least < largest <= 1"),
        ("networks.0.draws=2", "cannot be shared evenly by 2"),
    ],
)
def test_bad_input_is_explained(kept, tmp_path, override, words):
    done = invoke(kept[0] / "tiny.toml", "--set", "steps=60", "--set", override, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_unknown_comparison_and_folder_in_use(kept, tmp_path):
    assert "did you mean 'headline'" in invoke("headlin").output
    done = invoke(kept[0] / "tiny.toml", "--out", kept[0] / "out")
    assert done.exit_code == 2
    assert "--overwrite" in done.output
    bare = tmp_path / "bare.md"
    bare.write_text("nothing")
    assert "--readme" in invoke(kept[0] / "tiny.toml", "--out", tmp_path / "o", "--readme", bare).output
