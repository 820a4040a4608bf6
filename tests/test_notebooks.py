"""The notebooks run from top to bottom, at a small size."""

from pathlib import Path

import nbclient
import nbformat
import pytest
from quick import others_slow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
QUICK = "sweep"


@pytest.mark.parametrize(
    "path", others_slow(NOTEBOOKS, kept=lambda path: path.stem == QUICK), ids=lambda path: path.stem
)
@pytest.mark.filterwarnings("default")  # of the kernel's transport
def test_notebook_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXCOOPT_SMALL", "1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)


def test_there_are_notebooks():
    assert NOTEBOOKS
