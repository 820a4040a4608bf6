"""The README's Python example runs as printed and does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.fast
def test_the_example_runs_and_keeps_the_budget():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    scope: dict[str, object] = {}
    exec("\n".join(blocks), scope)
    trace = scope["result"].trace  # pyright: ignore[reportAttributeAccessIssue]
    assert trace["training_gap"].shape == (101, 4)
    assert np.all(np.asarray(trace["training_gap"][-1]) < 1e-3)
    assert np.max(np.asarray(trace["budget_residual"])) < 1e-6


@pytest.mark.fast
def test_it_prints_exactly_two_commands():
    commands = re.findall(r"```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert [block.count("\n") for block in commands] == [1, 1]
