"""The README's Python examples run as printed and do what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.fast
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
    assert tuned.held_out < tuned.untuned[1] - 1


@pytest.mark.fast
def test_it_prints_exactly_two_commands():
    commands = re.findall(r"```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert [block.count("\n") for block in commands] == [1, 1]
