"""The report on a sweep: statistics against NumPy, what the figures hold, and bad input."""

import json
import warnings

import numpy as np
import pytest
import sweep_data as made
from matplotlib.collections import QuadMesh
from scipy import stats
from typer.testing import CliRunner

from jaxcoopt.cli import app
from jaxcoopt.report.axis import SweptAxis, axis_of
from jaxcoopt.report.heatmap import NO_POINT, is_grid, panels
from jaxcoopt.report.sweep_report import report_store, sweep_report
from jaxcoopt.report.sweep_table import progress
from jaxcoopt.report.swept import chosen_axes, chosen_metrics, swept
from jaxcoopt.study.statistics import best_first, quartiles, statistics

# Writing labels: text has no settled form in Zarr 3. Reading them warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification")


@pytest.fixture(scope="module")
def report():
    return sweep_report(made.grid())


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "small.zarr"
    made.sweep({"training.step": [0.1, 0.2], "network": ["ring", "star"]}, seeds=2).to_zarr(
        path, zarr_format=3, consolidated=False
    )
    return path


# ---------------------------------------------------------------- statistics


def test_statistics_are_those_of_numpy_and_scipy(rng):
    values = rng.lognormal(size=(6, 9))
    values[1, 3:5] = np.nan
    found = statistics(values)
    for point, row in enumerate(values):
        finite = row[np.isfinite(row)]
        assert found.runs[point] == len(finite)
        assert found.mean[point] == pytest.approx(finite.mean())
        half = stats.t.ppf(0.975, len(finite) - 1) * stats.sem(finite)
        times = np.exp(half / finite.mean())  # the delta method on a log scale
        low, high = finite.mean() / times, finite.mean() * times
        assert (found.mean_low[point], found.mean_high[point]) == pytest.approx((low, high))
        assert 0 < low < high
        three = found.q1[point], found.median[point], found.q3[point]
        assert three == pytest.approx(np.quantile(finite, [0.25, 0.5, 0.75]))
        assert (
            finite.min() <= found.median_low[point] <= found.median[point] <= found.median_high[point] <= finite.max()
        )


def test_intervals_of_signed_numbers_are_those_of_scipy(rng):
    values = rng.normal(size=(3, 9))
    found = statistics(values)
    low, high = stats.t.interval(0.95, 8, values.mean(axis=1), stats.sem(values, axis=1))
    np.testing.assert_allclose(found.mean_low, low)
    np.testing.assert_allclose(found.mean_high, high)


def test_intervals_of_gaps_stay_above_zero_and_cover_the_mean(rng):
    """However wide the gaps are spread; where they are not, the interval holds the mean as often as it says."""
    wide = 10.0 ** rng.uniform(-9, 3, size=(200, 3))
    found = statistics(wide)
    assert (found.mean_low > 0).all()
    assert (found.median_low > 0).all()
    zeros = statistics(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert zeros.mean_low[0] == zeros.mean_high[0] == 0
    assert 0 < zeros.mean_low[1] < 1 / 3 < zeros.mean_high[1]
    sigma = 0.3
    found = statistics(rng.lognormal(0, sigma, size=(1000, 8)))  # of all, 94.5 % hold it
    mean = np.exp(sigma**2 / 2)
    assert 0.9 < np.mean((found.mean_low <= mean) & (mean <= found.mean_high)) < 0.99


def test_bootstrap_covers_the_median(rng):
    """Of samples of 15, the 95 % interval holds the true median 88.6 times in 100, within six standard deviations."""
    found = statistics(rng.normal(size=(6000, 15)))
    assert np.mean((found.median_low <= 0) & (found.median_high >= 0)) == pytest.approx(0.886, abs=0.025)


def test_quartiles_of_records_are_those_of_numpy(rng):
    values = rng.normal(size=(4, 7, 3))
    values[rng.uniform(size=values.shape) < 0.3] = np.nan
    values[:, 0] = 1.0
    np.testing.assert_allclose(quartiles(values, axis=1), np.nanquantile(values, [0.25, 0.5, 0.75], axis=1))


def test_statistics_without_enough_runs():
    found = statistics(np.array([[np.nan, np.nan], [2.0, np.nan]]))
    assert found.runs.tolist() == [0, 1]
    np.testing.assert_array_equal(found.median, [np.nan, 2.0])
    np.testing.assert_array_equal(found.mean, [np.nan, 2.0])
    assert np.isnan([found.mean_low, found.median_high]).all()


def test_points_that_mostly_diverged_rank_last():
    median, mostly = np.array([0.1, 3.0, np.nan, 1.0]), np.array([True, False, False, False])
    assert best_first(median, mostly).tolist() == [3, 1, 0]


# ---------------------------------------------------------------- the sweep


def test_diverged_and_pending_runs_are_counted_and_left_out():
    dataset = made.sweep({"training.step": [0.1, 0.2, 0.3]}, seeds=4)
    expected = dataset["training_gap"].values.astype(np.float64)
    made.diverge(dataset, training__step=1, seed=slice(0, 3))
    made.unfinish(dataset, training__step=2, seed=0)
    sweep = swept(dataset)
    assert sweep.counts["DIVERGED"].tolist() == [0, 3, 0]
    assert sweep.counts["PENDING"].tolist() == [0, 0, 1]
    assert sweep.done.tolist() == [4, 4, 3]
    assert sweep.mostly_diverged("training_gap").tolist() == [False, True, False]
    np.testing.assert_array_equal(sweep.metrics["training_gap"][1, 3], expected[1, 3])
    assert np.isnan(sweep.metrics["training_gap"][1, :3]).all()  # before they diverged, too
    found = sweep_report(dataset)
    assert found.statistics["training_gap"].runs.tolist() == [4, 1, 3]
    assert found.summary()["done"] == 11
    lost = found.summary()["diverged"]
    assert lost == [{"point": {"training.step": 0.2}, "diverged": 3, "done": 4, "left": 300}]


def test_a_gap_is_its_size():
    dataset = made.sweep({"a": [1, 2]})
    dataset["training_gap"] *= -1
    assert (swept(dataset).metrics["training_gap"] > 0).all()


def test_points_and_grids_are_one_list():
    dataset = made.sweep({"b": [2.0, 1.0], "a": ["q", "p"]}, points=2)
    sweep = swept(dataset)
    assert [(axis.name, axis.values) for axis in sweep.axes] == [("b", (1.0, 2.0)), ("a", ("q", "p"))]
    assert sweep.where.tolist() == [[1, 0], [0, 1]]
    assert sweep.name_of(0) == "b = 2, a = q"
    assert swept(made.sweep({})).where.shape == (1, 0)


def test_axes_are_logarithmic_where_values_are_spaced_geometrically():
    assert SweptAxis("a", (1.0, 2.0, 4.0, 8.0)).log
    assert SweptAxis("a", (0.01, 0.03, 0.1, 0.3)).log
    assert not SweptAxis("a", (1.0, 2.0, 3.0, 4.0)).log
    assert SweptAxis("a", (0.0, 1.0, 10.0, 100.0)).log
    assert not SweptAxis("a", (-1.0, 1.0, 10.0, 100.0)).log
    assert not SweptAxis("a", (1.0, 2.0)).log
    np.testing.assert_allclose(SweptAxis("a", (1.0, 10.0, 100.0)).edges, [-0.5, 0.5, 1.5, 2.5])
    assert axis_of("a", np.array(["x", "y", "x"]))[1].tolist() == [0, 1, 0]
    assert len(SweptAxis("a", tuple(np.linspace(0.013, 0.97, 50))).ticks()[0]) <= 10


def test_defaults():
    sweep = swept(made.grid())
    assert chosen_metrics(sweep, ()) == ("training_gap", "allocation_gap")
    assert chosen_axes(sweep, None, None) == ("channel.rho", "training.step")
    assert chosen_axes(sweep, None, "network") == ("channel.rho", "network")
    assert chosen_axes(swept(made.sweep({})), None, None) == (None, None)
    unknown_optimum = made.grid().drop_vars("training_gap")
    assert chosen_metrics(swept(unknown_optimum), ()) == ("training_loss", "allocation_gap")


# ---------------------------------------------------------------- figures and files


def test_heat_map_shows_the_medians(report):
    figure = report.figures()["heatmap_training_gap"]
    drawn = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in drawn] == ["network = ring", "network = germany50"]
    values = report.sweep.metrics["training_gap"][..., -1].reshape(7, 5, 2, 5)
    for network, axes in enumerate(drawn):
        mesh = next(each for each in axes.collections if isinstance(each, QuadMesh))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # cells without a finite run
            expected = np.nanmedian(values[:, :, network], axis=-1).T
        np.testing.assert_allclose(np.ma.filled(mesh.get_array(), np.nan).reshape(5, 7), expected)
        texts = [text.get_text() for text in axes.texts]
        assert "× 5/5" in texts  # the corner where all diverged has no number
        assert sum("× 3/5" in text for text in texts) == (4 if network == 0 else 3)


def test_curves_show_the_medians(report):
    mostly = report.sweep.mostly_diverged("training_gap")
    sweep, best = report.sweep, int(np.nanargmin(np.where(mostly, np.nan, _medians(report))))
    axes = report.figures()["curves_training_gap"].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.median(sweep.metrics["training_gap"][best], axis=0))
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), sweep.iterations)
    assert len(report.figures()["along_training_gap"].axes[0].get_legend_handles_labels()[1]) == 7


def _medians(report):
    return report.statistics["training_gap"].median


def test_random_samples_are_dots(rng):
    axes = {"a": rng.uniform(size=30), "b": rng.uniform(size=30)}
    found = sweep_report(made.sweep(axes, points=30))
    assert not is_grid(found.sweep, "a", "b")
    figure = found.figures()["heatmap_training_gap"]
    assert len(figure.axes[0].collections[0].get_offsets()) == 30


def test_a_cell_of_several_points_holds_the_best():
    dataset = made.sweep({"a": [1, 1, 2, 2], "b": [1, 1, 1, 2]}, points=4)
    cells = panels(swept(dataset), np.array([2, 1, 0]), "a", "b")[0].cells  # the last has no number
    assert cells.tolist() == [[1, 2], [NO_POINT, 3]]


CASES = {
    "nothing swept": made.sweep({}),
    "labels, a single seed": made.sweep({"network": ["a<b>", "{{x}}", "</script>"]}, seeds=1),
    "two axes of labels": made.sweep({"network": ["p", "q"], "method": ["r", "s"]}),
    "all diverged": made.diverge(made.sweep({"a": [1, 2], "b": [1, 2]})),
    "nothing done": made.unfinish(made.sweep({"a": [1, 2], "b": [1, 2]})),
    "two records": made.sweep({"a": [1.0, 2.0, 3.0]}, records=2),
    "four axes": made.sweep({"a": [1, 2, 3], "b": [1, 2], "c": list("xyz"), "d": list("pqrst")}, seeds=2, records=3),
}


@pytest.mark.parametrize("case", CASES)
def test_any_sweep_is_reported(case, tmp_path):
    found = sweep_report(CASES[case], metrics=("allocation_cost", "budget_residual"))  # negative, and 0 throughout
    found.write(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert text.count("</script>") == 4
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"] == CASES[case]["status"].size
    assert summary["settings"] == {"steps": 1000}
    drawn = case not in ("all diverged", "nothing done")
    assert (tmp_path / "curves_budget_residual.png").exists() == drawn
    assert (tmp_path / "curves_budget_residual.svg").exists() == drawn


def test_the_table_has_a_line_for_each_metric_and_point(report):
    table = report.table()
    assert len(table) == 70 * len(report.sweep.metrics)
    row = table[(table.metric == "training_gap") & (table["channel.rho"] == 1) & (table["training.step"] == 0.5)]
    assert row[["diverged", "finite", "max_steps"]].values.tolist() == [[5, 0, 0]] * 2
    assert set(table.columns) >= {"mean", "mean_low", "median_high", "q1", "q3", "bits", "seconds", "pending"}


def test_a_large_sweep_makes_a_page_below_10_mb(rng):
    axes = {"a": np.arange(100.0), "b": np.arange(100.0)}
    assert len(sweep_report(made.sweep(axes, seeds=1, records=20)).html()) < 10e6


# ---------------------------------------------------------------- the command


def test_command(store):
    done = CliRunner().invoke(app, ["report", str(store), "--metric", "training_gap", "--debug"])
    assert done.exit_code == 0, done.output
    assert "all 8 runs are done" in done.output
    folder = store.with_name("small-report")
    assert {"report.html", "table.csv", "summary.json", "heatmap_training_gap.png"} <= {
        p.name for p in folder.iterdir()
    }
    assert CliRunner().invoke(app, ["report", str(store), "--metric", "allocation_gap"]).exit_code == 0
    assert not (folder / "heatmap_training_gap.png").exists()  # of the earlier report
    assert (folder / "heatmap_allocation_gap.png").exists()
    (folder / "notes.txt").write_text("mine")
    again = CliRunner().invoke(app, ["report", str(store)])
    assert again.exit_code == 2
    assert "not empty" in again.output
    assert (folder / "notes.txt").read_text() == "mine"
    quiet = CliRunner().invoke(app, ["report", str(store), "--overwrite", "--quiet"])
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_another_store_s_report_is_kept(store, tmp_path):
    report_store(store, tmp_path / "report", metrics=("training_gap",), quiet=True)
    other = store.rename(tmp_path / "other.zarr")
    with pytest.raises(FileExistsError, match="not empty"):
        report_store(other, tmp_path / "report", quiet=True)


def test_nothing_to_draw_is_said(tmp_path):
    store = tmp_path / "gone.zarr"
    made.diverge(made.sweep({"a": [1, 2], "b": [1, 2]})).to_zarr(store, zarr_format=3, consolidated=False)
    done = CliRunner().invoke(app, ["report", str(store)])
    assert done.exit_code == 0, done.output
    assert "no finite run, so nothing is drawn" in done.output
    assert "best points" not in done.output
    assert not [*(tmp_path / "gone-report").glob("*.png")]


def test_statistics_that_were_lost_are_named():
    dataset = made.sweep({"a": [1, 2, 3]}, seeds=2)
    assert "no values" not in progress(swept(dataset))
    made.diverge(dataset, a=2)
    dataset["training_gap"][:2] = np.nan
    assert "no values of training_gap at 2 of 3 points" in progress(swept(dataset))
    assert sweep_report(dataset).summary()["points_without"] == {"training_gap": 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x": "training.stop"}, "did you mean 'training.step'"),
        ({"y": "nonsense"}, "use one of training.step, network"),
        ({"x": "network", "y": "network"}, "two different axes"),
        ({"metrics": ["training_gab"]}, "did you mean 'training_gap'"),
    ],
)
def test_unknown_names(store, options, words):
    with pytest.raises(ValueError, match=words):
        report_store(store, **options)
    assert not store.with_name("small-report").exists()


def test_not_a_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        report_store(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no store")
    (tmp_path / "folder").mkdir()
    for name in ("text", "folder"):
        with pytest.raises(ValueError, match="not a Zarr store"):
            report_store(tmp_path / name)
    made.sweep({"a": [1, 2]}).drop_vars("status").to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(ValueError, match="lacks status"):
        report_store(tmp_path / "other.zarr")
    with pytest.raises(ValueError, match="nothing was swept"):
        sweep_report(made.sweep({}), x="a")
