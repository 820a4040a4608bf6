"""What a picture lets a reader see: scales, ticks, what is called the best, curves that lie on each other."""

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import sweep_data as made
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

import jaxcoopt as jc
from jaxcoopt.report.axis import SweptAxis
from jaxcoopt.report.best import ranking
from jaxcoopt.report.network_plot import network_figure
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.plots import feasibility_figure, gaps_figure
from jaxcoopt.report.style import log_axis, log_ticks, new_figure, robust_limits, strokes
from jaxcoopt.report.summary import summarise, why_endless
from jaxcoopt.report.sweep_report import sweep_report
from jaxcoopt.report.sweep_table import screen_table
from jaxcoopt.report.swept import swept

GRID = {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 3.0]}


def at_end(values, axes=GRID, seeds=3, start=10.0, **more):
    """A sweep whose training gaps end at the values, the same for all seeds, and began at `start`."""
    dataset = made.sweep(axes, seeds=seeds)
    dataset["training_gap"][...] = start
    dataset["training_gap"][..., 1:] = np.asarray(values, float)[..., None, None]
    return dataset.assign(**more)


def heat_map(dataset):
    figure = sweep_report(dataset, metrics=("training_gap",)).figures()["heatmap_training_gap"]
    mesh = next(each for axes in figure.axes for each in axes.collections if isinstance(each, QuadMesh))
    frames = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    return figure, mesh, frames


# ---------------------------------------------------------------- scales


def test_one_cell_far_off_leaves_the_others_their_colours(rng):
    values = rng.uniform(1.0, 2.0, (4, 3))
    values[2, 1] = 1e8
    figure, mesh, _ = heat_map(at_end(values))
    inside = np.delete(values.ravel(), 7)
    assert mesh.norm.vmax == pytest.approx(inside.max())
    assert mesh.norm.vmin == pytest.approx(inside.min())
    assert "the colours leave out what is far off, on the high side" in figure._supxlabel.get_text()


def test_points_that_mostly_diverged_have_no_say_in_the_scale():
    values = np.linspace(1, 2, 12).reshape(4, 3)
    values[3] = 1e6
    dataset = made.diverge(at_end(values), a=3, seed=slice(0, 2))
    mesh = heat_map(dataset)[1]
    assert mesh.norm.vmax <= 2


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([1, 2, 3, 4], (1, 4)),
        ([1, 1.1, 1.2, 1e8], (1, 1.2)),
        ([-1e9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1e8], (1, 1.5)),
        ([1, 1.1, 1e8], (1, 1.1)),
        ([1, 2, 20], (1, 20)),
        ([1, 1.1, 1.2, 1.3, 1e7, 1e9], (1, 1.3)),
        ([1, 1, 1, 5], (1, 5)),  # the others are one colour either way
        ([0, 10, 20, 30, 40, 80], (0, 80)),
        ([3], (3, 3)),
        ([*range(-9, 1), 8], (-9, 0)),  # ten decades, and one value that would take nearly half of the scale
        (range(20), (0, 19)),
        ([1, np.nan, 2, np.inf], (1, 2)),
    ],
)
def test_limits(values, limits):
    assert robust_limits(np.array(values, float)) == limits


def test_decades_are_all_shown():
    values = np.logspace(-12, 2, 12).reshape(4, 3)
    mesh = heat_map(at_end(values, start=1e3))[1]
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((1e-12, 1e2))


def test_one_node_far_off_leaves_the_map_its_colours():
    share = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1e6])
    figure = network_figure(Nodes(nx.cycle_graph(6), list("abcdef"), share=share, demand=np.ones(6)), "one far off")
    low, high = figure.axes[0].collections[1].get_clim()
    assert high - low < 1


# ---------------------------------------------------------------- ticks


@pytest.mark.parametrize("count", [3, 9, 10, 25, 100])
@pytest.mark.parametrize("space", [np.linspace, np.geomspace])
def test_ticks_of_a_grid_are_its_values(count, space):
    axis = SweptAxis("a", tuple(space(0.013, 0.97, count).tolist()))
    places, labels = axis.ticks()
    assert set(places) <= set(axis.places.tolist())
    assert 3 <= len(places) <= 9
    assert all(
        label == axis.labels[axis.places.tolist().index(place)] for place, label in zip(places, labels, strict=True)
    )
    assert len(axis.ticks(grid=False)[0]) <= 10


@pytest.mark.parametrize("values", [(0.0, 1e-4, 1e-3, 1e-2, 1e-1), (0, 1, 10, 100, 1000), (0.0, 0.01, 1.0)])
def test_a_zero_before_decades_leaves_room_for_them(values):
    axis = SweptAxis("momentum", values)
    assert np.allclose(np.diff(axis.places), np.diff(axis.places)[-1])
    assert axis.ticks() == (axis.places.tolist(), list(axis.labels))
    assert axis.labels[0] == "0"
    for evenly in ((0.0, 0.1, 0.2, 0.3), (0.0, 1.0), (0, 1, 2, 10)):
        assert SweptAxis("a", evenly).places.tolist() == list(evenly)


def test_names_are_as_many_as_there_is_room_for():
    axis = SweptAxis("network", tuple(f"ring of {i}" for i in range(200)))
    places, labels = axis.ticks()
    assert len(places) == len(labels) <= 40
    assert (labels[0], labels[-1]) == ("ring of 0", "ring of 199")
    assert labels == [axis.labels[int(place)] for place in places]


@pytest.mark.parametrize(
    ("low", "high"), [(90.0, 110.0), (0.3, 0.9), (3.0, 3.2), (1.0, 1e9), (1e-12, 1e3), (7.0, 7.0001)]
)
def test_a_log_axis_has_ticks_however_short_it_is(low, high):
    axes = new_figure(3.0, 3.0).add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    log_ticks(axes.yaxis, low, high)
    assert 2 <= len(axes.get_yticks()) <= 9
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in axes.get_yticks())
    assert len({label.get_text() for label in axes.get_yticklabels()}) == len(axes.get_yticks())


# ---------------------------------------------------------------- the best


def test_the_best_is_framed():
    figure, _, frames = heat_map(at_end(np.linspace(1, 2, 12).reshape(4, 3)))
    assert len(frames) == 1
    assert "frame: the best" in figure._supxlabel.get_text()
    found = sweep_report(at_end(np.linspace(1, 2, 12).reshape(4, 3))).summary()["best"]["training_gap"]
    assert found["point"] == {"a": 1.0, "b": 1.0}
    assert found["tied_with"] == 0


def test_none_of_several_equal_points_is_framed():
    values = np.linspace(1, 2, 12).reshape(4, 3)
    values[1, :2] = values[0, 0]
    values[3, 0] = values[0, 0] * 1.0001  # written alike
    figure, _, frames = heat_map(at_end(values))
    assert frames == []
    assert "no frame: 4 points share the least value" in figure._supxlabel.get_text()
    assert sweep_report(at_end(values)).summary()["best"]["training_gap"]["tied_with"] == 3


def test_gaps_below_rounding_are_equal():
    values = np.full((4, 3), 1e-3)
    values[0] = [3e-8, 1e-9, 0.0]  # float32
    assert heat_map(at_end(values))[2] == []


def test_budget_residuals_of_rounding_are_equal():
    dataset = at_end(np.linspace(1, 2, 12).reshape(4, 3))
    dataset["budget_residual"][...] = 1e-3
    dataset["budget_residual"][:2] = np.linspace(1e-8, 9e-8, 6).reshape(2, 3)[..., None, None]  # float32
    found = sweep_report(dataset, metrics=("budget_residual",))
    assert found.summary()["best"]["budget_residual"]["tied_with"] == 5


def test_a_loss_that_grew_is_no_best():
    dataset = at_end(np.linspace(1, 2, 12).reshape(4, 3))
    dataset["training_loss"][...] = 0.7
    dataset["training_loss"][..., 1:] = np.linspace(0.8, 90, 12).reshape(4, 3)[..., None, None]
    assert sweep_report(dataset).summary()["best"]["training_loss"] is None
    dataset["training_loss"][2, 1, :, 1:] = 0.6
    assert sweep_report(dataset).summary()["best"]["training_loss"]["point"] == {"a": 3.0, "b": 2.0}


def test_the_screen_says_why_no_point_is_the_best():
    found = sweep_report(at_end(np.linspace(20, 30, 12).reshape(4, 3), start=10.0))
    caption = str(screen_table(found.sweep, "training_gap", found.statistics["training_gap"]).caption)
    assert caption == "no point converged, or ended better than it began"


def test_no_point_is_the_best_that_came_no_closer():
    values = np.linspace(20, 30, 12).reshape(4, 3)
    figure, _, frames = heat_map(at_end(values, start=10.0))
    assert frames == []
    assert "no frame: no point converged" in figure._supxlabel.get_text()
    assert sweep_report(at_end(values)).summary()["best"]["training_gap"] is None


def test_with_a_tolerance_the_best_has_reached_it():
    values = np.linspace(1, 2, 12).reshape(4, 3)
    dataset = at_end(values)
    dataset["status"][2:] = made.CONVERGED
    sweep = swept(dataset)
    found = ranking(sweep, "training_gap", values.ravel())
    assert found.best.tolist() == [6]
    assert found.order.tolist() == [*range(6, 12), *range(6)]
    dataset["status"][...] = jc.Status.INFEASIBLE
    assert not swept(dataset).settled("allocation_gap").any()


# ---------------------------------------------------------------- halves, curves and marks


def test_a_run_whose_training_diverged_keeps_its_allocation():
    dataset = made.sweep({"a": [1, 2]}, seeds=4)
    for name in ("training_gap", "training_loss", "consensus_error"):
        dataset[name][0, :3, 4:] = np.nan
    dataset["status"][0, :3] = made.DIVERGED
    sweep = swept(dataset)
    assert sweep.diverged("training_gap").tolist() == [3, 0]
    assert sweep.diverged("allocation_gap").tolist() == [0, 0]
    assert np.isfinite(sweep.metrics["allocation_gap"]).all()
    found = sweep_report(dataset)
    assert found.statistics["training_gap"].runs.tolist() == [1, 4]
    assert found.statistics["allocation_gap"].runs.tolist() == [4, 4]
    assert found.summary()["diverged"][0]["diverged"] == 3


def test_curves_on_each_other_are_all_seen(rng):
    line = np.exp(-np.linspace(0, 9, 40))
    styles = strokes([line, line * 1.0001, line * 100, line], log=True)
    assert styles[2] == "-"
    assert styles[0] == "-"
    along = np.arange(1000) / 10
    seen = np.zeros(1000, int)
    for number in (1, 3):  # drawn over the first
        _, (on, off) = styles[number]
        seen[along % (on + off) < on] = number
    assert all(np.mean(seen == number) > 0.1 for number in (0, 1, 3))
    elsewhere = np.stack([np.arange(40), np.arange(40) * 2.0])  # the same heights at other places
    assert strokes([line, line], log=True, x=elsewhere) == ["-", "-"]
    apart = rng.normal(size=(5, 40)).cumsum(axis=1)
    assert strokes(apart) == ["-"] * 5
    dataset = at_end(np.full((4, 3), 0.5))
    figure = sweep_report(dataset, metrics=("training_gap",)).figures()["curves_training_gap"]
    lines = [each for each in figure.axes[0].lines if not each.get_label().startswith("_")]
    assert len({str(each._unscaled_dash_pattern) for each in lines}) == len(lines) == 6


@pytest.fixture(scope="module")
def starved():
    """An allocation in which node "b" gets no CPU: (problem, result)."""
    cost = jc.costs.Quadratic(np.ones(4), np.array([4.0, -9.0, 4.0, 4.0]))
    problem = jc.Problem(jc.Allocation(cost, 6.0, lower=0.0, upper=np.array([9.0, 0.0, 9.0, 9.0])))
    network = jc.Network.from_graphs(nx.cycle_graph(["a", "b", "c", "d"]))
    start = jc.Initial(np.array([3.0, 0.0, 3.0, 0.0]))
    return problem, jc.solve(problem, network, jc.CoOptimizer(jc.methods.DualFlow()), 40, initial=start)


def test_endless_time_says_why(starved):
    result = starved[1]
    why = why_endless(result)
    assert "a node had no CPU (at the end: b)" in why
    assert "before iteration" in why
    assert summarise(result)["why_no_seconds"] == why
    titles = [axes.get_title(loc="left") for axes in gaps_figure(result, "gaps").axes]
    assert any("no CPU" in title for title in titles)
    broken = {**result.trace, "seconds": jnp.where(jnp.isnan(result.trace["seconds"]), 0, 1.0)}
    assert why_endless(jc.Result(**{**vars(result), "trace": broken})) is None


def test_the_dotted_line_is_explained(starved):
    axes = new_figure(4.0, 3.0).add_subplot()
    log_axis(axes, np.array([0.0, 1e-3, 1.0]))
    assert [text.get_text() for text in axes.texts] == ["below the dotted line: exactly 0"]
    feasibility_figure(starved[1], "feasibility").draw_without_rendering()
