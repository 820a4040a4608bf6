"""The notebooks run from top to bottom, at a small size."""

import base64
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


FIGURES = """
import numpy as np, networkx as nx
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.network_plot import network_figure
network_figure(Nodes(nx.cycle_graph(4), list("abcd"), share=np.ones(4)), "a figure")
"""
SEVERAL = """
import sys
from jaxcoopt.report.shown_figure import Figures
assert "matplotlib.pyplot" not in sys.modules
figure = network_figure(Nodes(nx.cycle_graph(4), list("abcd"), share=np.ones(4)), "another")
Figures({"one": figure, "<two>": figure})
"""


@pytest.mark.filterwarnings("default")
def test_a_fresh_kernel_shows_figures(monkeypatch, tmp_path):
    """Without pyplot, without magic."""
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (FIGURES, SEVERAL)])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    one, several = ([each for each in cell.outputs if each.output_type == "execute_result"] for cell in notebook.cells)
    assert len(one) == 1
    assert base64.b64decode(one[0].data["image/png"]).startswith(b"\x89PNG")
    assert several[0].data["text/html"].count('src="data:image/png;base64,') == 2
    assert "&lt;two&gt;" in several[0].data["text/html"]
