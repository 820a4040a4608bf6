"""Pictures, tables and files from small results made by hand."""

import json

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

import jaxcoopt as jc
from jaxcoopt.report.folder import save, trace_csv, write_folder
from jaxcoopt.report.network_plot import network_figure, positions
from jaxcoopt.report.nodes import Nodes, node_table
from jaxcoopt.report.plots import feasibility_figure, gaps_figure
from jaxcoopt.report.score import metric, score
from jaxcoopt.report.style import log_axis, new_figure, zero_level
from jaxcoopt.report.summary import summarise, write_json
from jaxcoopt.report.table import duration, summary_table, with_prefix
from jaxcoopt.versions import versions


@pytest.fixture(scope="module")
def solved():
    """(problem, graph, result) of a little allocation, two runs."""
    graph = nx.cycle_graph(5)
    cost = jc.costs.Quadratic(np.array([1.0, 2.0, 1.0, 3.0, 1.0]), np.arange(5.0))
    problem = jc.Problem(allocation=jc.Allocation(cost, 8.0, lower=0.0, upper=3.0))
    method = jc.CoOptimizer(allocation=jc.methods.LaplacianFlow(0.05))
    network = jc.Network.from_graphs(graph, failure_rate=0.3)
    return problem, graph, jc.solve(problem, network, method, 30, runs=2)


def picture(figure, tmp_path):
    """Saved and read again: pixels [height, width, 3], checked not to be blank."""
    path = tmp_path / "picture.png"
    save(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    pixels = imread(path)[..., :3]
    assert 400 < pixels.shape[0] < 3000
    assert 400 < pixels.shape[1] < 3000
    assert 0.002 < np.mean(np.any(pixels < 0.95, axis=-1)) < 0.6
    assert list(tmp_path.iterdir()) == [path]
    return pixels


def test_pictures_of_an_allocation(solved, tmp_path):
    problem, graph, result = solved
    picture(gaps_figure(result, "gaps"), tmp_path)
    picture(feasibility_figure(result, "feasibility"), tmp_path)
    picture(network_figure(node_table(graph, problem, result, None, None), "network"), tmp_path)


def test_pictures_survive_numbers_that_are_not_finite(solved, tmp_path):
    result = solved[2]
    trace = {name: values.at[5:].set(jnp.nan) for name, values in result.trace.items()}
    trace["seconds"] = trace["seconds"].at[3:].set(jnp.inf)
    broken = jc.Result(**{**vars(result), "trace": trace})
    picture(gaps_figure(broken, "gaps"), tmp_path)
    broken = jc.Result(**{**vars(result), "trace": {name: jnp.full_like(v, jnp.nan) for name, v in trace.items()}})
    picture(feasibility_figure(broken, "feasibility"), tmp_path)
    summary = summarise(broken)
    assert summary["allocation_gap"] is None
    assert summary["simulated_seconds"] is None


def test_network_without_allocation_shows_samples(tmp_path):
    nodes = Nodes(nx.star_graph(4), list("abcde"), samples=np.array([5, 1, 2, 3, 4]))
    picture(network_figure(nodes, "samples"), tmp_path)


def test_network_names_do_not_overlap():
    graph = nx.complete_graph(30)
    rng = np.random.default_rng(0)
    nx.set_node_attributes(graph, {i: tuple(rng.normal(size=2) + 10) for i in range(30)}, "pos")
    nodes = Nodes(graph, [f"a long name {i}" for i in range(30)], share=rng.uniform(1, 2, 30))
    figure = network_figure(nodes, "names")
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert 3 <= len(boxes) <= 12
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_positions_are_geographic_or_laid_out():
    graph = nx.path_graph(3)
    assert not positions(graph)[1]
    nx.set_node_attributes(graph, {0: (8.0, 50.0), 1: (10.0, 53.0), 2: (13.0, 52.0)}, "pos")
    where, geographic = positions(graph)
    assert geographic
    assert where.tolist() == [[8, 50], [10, 53], [13, 52]]


def test_shares_near_a_bound_are_marked():
    share, upper = np.array([0.0, 0.5, 0.99]), np.ones(3)
    nodes = Nodes(nx.path_graph(3), list("abc"), share=share, lower=np.zeros(3), upper=upper)
    assert nodes.at_bound().tolist() == [True, False, True]
    assert Nodes(nx.path_graph(3), list("abc"), share=share).at_bound().tolist() == [False] * 3


def test_node_csv_leaves_out_what_is_not_there(solved):
    problem, graph, result = solved
    lines = node_table(graph, problem, result, None, None).to_csv().splitlines()
    assert lines[0] == "node,name,share,optimum,lower,upper"
    assert len(lines) == 6


def test_log_axis_gives_zero_a_place_of_its_own():
    assert zero_level(np.array([0.0, 3e-5, 2.0])) == pytest.approx(1e-6)
    axes = new_figure(4.0, 3.0).add_subplot()
    floor = log_axis(axes, np.array([0.0, 3e-5, 2.0]))
    assert axes.get_yticklabels()[0].get_text() == "0"
    assert axes.get_ylim()[0] < floor
    axes = new_figure(4.0, 3.0).add_subplot()
    log_axis(axes, np.zeros(3))
    assert axes.get_yscale() == "linear"
    assert [text.get_text() for text in axes.texts] == ["0 throughout"]


def test_folder_is_complete_once_the_summary_is_there(solved, tmp_path):
    problem, graph, result = solved
    nodes = node_table(graph, problem, result, None, None)
    seen = []
    write_folder(
        tmp_path,
        result,
        nodes,
        "title",
        "steps = 30\n",
        lambda: {"files": seen.extend(sorted(path.name for path in tmp_path.iterdir()))},
    )
    assert seen == ["feasibility.png", "gaps.png", "network.png", "nodes.csv", "settings.toml", "trace.csv"]
    assert json.loads((tmp_path / "summary.json").read_text()) == {"files": None}


def test_trace_csv_has_a_line_for_each_record_and_run(solved):
    result = solved[2]
    lines = trace_csv(result).splitlines()
    assert len(lines) == 1 + len(result.iterations) * 2
    column = lines[0].split(",").index("allocation_gap")
    assert float(lines[1].split(",")[column]) == pytest.approx(float(result.trace["allocation_gap"][0, 0]))


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_summary_is_that_of_the_worst_run(solved):
    result = solved[2]
    summary = summarise(result)
    assert summary["allocation_gap"] == float(np.max(result.trace["allocation_gap"][-1]))
    assert summary["budget_residual"] == float(np.max(result.trace["budget_residual"]))
    assert summary["runs"] == 2
    assert summary["training_gap"] is None
    assert set(versions()) >= {"jaxcoopt", "jax", "numpy", "python"}


def test_table_shows_the_numbers(solved):
    summary = summarise(solved[2]) | {"timings": {"solve": 1.5}, "seconds": 200.0}
    summary |= {"test_r2": 0.5, "reference_test_r2": 0.75}
    console = Console(width=120, record=True, quiet=False, file=None)
    with console.capture() as shown:
        console.print(summary_table(summary, "a title"))
    for part in ("a title", "MAX_STEPS", "worst of 2 runs", "0.5", "0.75", "3 min 20 s", "solve 1.5 s"):
        assert part in shown.get()


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0 bit"), (999.0, "999 bit"), (1234567.0, "1.23 Mbit"), (None, "infinite")]
)
def test_bits_are_readable(value, shown):
    assert with_prefix(value, "bit") == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0123, "12.3 ms"), (4.561, "4.56 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min"), (float("inf"), "infinite")],
)
def test_durations_are_readable(value, shown):
    assert duration(value) == shown


def test_scores_against_numbers_by_hand():
    features, truth = np.array([[1.0], [2.0], [-3.0], [4.0]]), np.array([1, 0, 0, 1])
    params = {"weights": np.ones((1, 2)) * np.array([1.0, -1.0]), "bias": np.zeros(2)}
    assert score(jc.losses.Logistic(), params, features, truth).tolist() == [0.75, 0.25]
    targets = np.array([1.0, 2.0, -3.0, 8.0])
    expected = 1 - (16 / 4) / np.var(targets)
    assert score(jc.losses.Linear(), params, features, targets)[0] == pytest.approx(expected)
    softmax = {"weights": np.array([[0.0, 1.0]])[..., None], "bias": np.zeros((2, 1))}
    assert score(jc.losses.Softmax(2), softmax, features, truth).tolist() == [0.75]
    with jax.enable_x64(False):  # as for a user, with parameters of a double-precision run
        assert score(jc.losses.Linear(), params, features, targets)[0] == pytest.approx(expected)
    assert metric(jc.losses.Custom(lambda p, x, y: 0.0, lambda key: 0.0)) is None
