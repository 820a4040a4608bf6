"""The Python examples of the README and of docs/ run as printed and do what they say."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.settings import EXPERIMENTS
from jaxcoopt.experiments.tune_tables import TUNINGS

ROOT = Path(__file__).parents[1]
README, USE, SWEEP, TUNE = (ROOT / name for name in ("README.md", "docs/use.md", "docs/sweep.md", "docs/tune.md"))


def examples(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


def run(page: Path) -> dict[str, Any]:
    """The names that a page's examples leave, of which `result` is right."""
    scope: dict[str, Any] = {}
    exec("\n".join(examples(page)), scope)
    trace = scope["result"].trace
    assert trace["training_gap"].shape == (101, 4)
    assert np.all(np.asarray(trace["training_gap"][-1]) < 1e-3)
    assert np.max(np.asarray(trace["budget_residual"])) < 1e-6
    return scope


def test_the_example_runs_and_keeps_the_budget():
    run(README)


def test_the_examples_of_the_docs_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    scope = run(USE)
    assert "(11, 20, 4)" in capsys.readouterr().out
    exec("\n".join([*examples(SWEEP), *examples(TUNE)]), scope)
    table: Any = scope["table"]
    assert dict(table.sizes) == {"channel.rho": 3, "training.step": 4, "network": 2, "seed": 8, "iteration": 21}
    assert np.isfinite(table["training_gap"].values).all()
    tuned: Any = scope["tuned"]
    assert tuned.held_out < tuned.untuned - 1


@pytest.mark.fast
def test_it_prints_exactly_two_commands():
    commands = re.findall(r"```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert [block.count("\n") for block in commands] == [1, 1]


def test_its_tune_table_is_one(tmp_path):
    """Put in place of the shipped tuning's own tables of those names."""
    (block,) = re.findall(r"```toml\n(.*?)```", TUNE.read_text(), flags=re.DOTALL)
    table = tomllib.loads(TUNINGS.text("ring"))
    new = tomllib.loads(block)
    table |= {"tune": new["tune"], "method": new["method"]}
    file = tmp_path / "my.toml"
    file.write_text(tomli_w.dumps(table))
    assert TUNINGS.read(str(file)).tune.parameters == new["tune"]["parameters"]
    assert build(EXPERIMENTS.read(str(file))).method.allocation.step.until == (200,)


@pytest.mark.fast
def test_it_is_short():
    assert len(README.read_text().split()) <= 900


@pytest.mark.fast
def test_links_lead_somewhere():
    """Those to files of the repository, from the README and from docs/."""
    for page in (README, *(ROOT / "docs").glob("*.md")):
        for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
            if not target.startswith("http"):
                place = page.parent / target if target else page
                assert place.exists(), f"{page.name}: {target}"
                assert not heading or heading in headings(place), f"{page.name}: {target}#{heading}"


def headings(page: Path) -> list[str]:
    """As links name them."""
    return [re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in titles(page)]


def titles(page: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
