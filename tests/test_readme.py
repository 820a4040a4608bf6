"""The README's Python examples run as printed and do what they say."""

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

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_run_and_keep_the_budget(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    scope: dict[str, object] = {}
    exec(blocks[0], scope)
    trace = scope["result"].trace  # pyright: ignore[reportAttributeAccessIssue]
    assert trace["training_gap"].shape == (101, 4)
    assert np.all(np.asarray(trace["training_gap"][-1]) < 1e-3)
    assert np.max(np.asarray(trace["budget_residual"])) < 1e-6
    exec("\n".join(blocks[1:]), scope)
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
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text(), flags=re.DOTALL)
    table = tomllib.loads(TUNINGS.text("ring"))
    new = tomllib.loads(block)
    table |= {"tune": new["tune"], "method": new["method"]}
    file = tmp_path / "my.toml"
    file.write_text(tomli_w.dumps(table))
    assert TUNINGS.read(str(file)).tune.parameters == new["tune"]["parameters"]
    assert build(EXPERIMENTS.read(str(file))).method.allocation.step.until == (200,)
