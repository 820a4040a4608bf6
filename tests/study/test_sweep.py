"""A sweep is `solve` at each of its points, whatever is swept and however it is cut."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import scipy.stats
import small
import xarray

import jaxcoopt as jc
from jaxcoopt.study import chunk_width
from jaxcoopt.study.chunks import Tiles, cut

TRACES = ("allocation_gap", "training_gap", "consensus_error", "budget_residual", "box_violation", "bits", "seconds")


def solved(problem=None, network=None, method=None, **options):
    """`solve` of the same, three runs."""
    options = {"steps": small.STEPS, "record_every": small.EVERY, "runs": 3} | options
    return jc.solve(problem or small.problem(), network or small.network(), method or small.method(), **options)


def assert_same(table, result):
    """A point of a sweep against the runs of `solve`."""
    for name in TRACES:
        np.testing.assert_allclose(table[name].values, np.asarray(result.trace[name]).T, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(table["status"], result.status)
    np.testing.assert_array_equal(table["left"], result.left)
    np.testing.assert_array_equal(table["iteration"], result.iterations)


def test_numbers_ride_and_every_point_is_solve(rng):
    rho, steps, budgets = rng.uniform(0.1, 1, 2), rng.uniform(0.01, 0.1, 3), [5.0, 7.0]
    table = small.sweep({"channel.rho": rho, "training.step": steps, "allocation.budget": budgets})
    assert table["allocation_gap"].dims == ("channel.rho", "training.step", "allocation.budget", "seed", "iteration")
    assert table.attrs["tile"] == [2, 3, 2, 3]  # one chunk
    for i, j, k in ((0, 0, 0), (1, 2, 1), (0, 1, 1)):
        method = small.method()
        method = replace(
            method, channel=replace(method.channel, rho=rho[i]), training=replace(method.training, step=steps[j])
        )
        here = table.isel({"channel.rho": i, "training.step": j, "allocation.budget": k})
        assert_same(here, solved(small.problem(budget=budgets[k]), method=method))


def test_objects_and_what_is_compiled_in_make_groups(rng):
    networks = {"star": jc.Network.from_graphs(nx.star_graph(small.NODES - 1)), "ring and path": small.network()}
    placements = ["message", "innovation"]
    table = small.sweep({"network": networks, "channel.placement": placements, "training.step": [0.02, 0.05]})
    assert table.attrs["tile"] == [1, 1, 2, 3]
    assert table["network"].values.tolist() == list(networks)
    for name, placement in (("star", "message"), ("ring and path", "innovation")):
        method = replace(small.method(), channel=jc.channels.LogQuantizer(0.5, placement=placement))
        here = table.sel({"network": name, "channel.placement": placement, "training.step": 0.05})
        assert_same(here, solved(network=networks[name], method=method))


def test_whole_problems_of_numbers_ride(rng):
    problems = {f"instance {i}": replace(small.problem(rng), training=None) for i in range(3)}
    method = replace(small.method(), training=None)
    table = small.sweep({"problem": problems}, problem=problems["instance 0"], method=method)
    assert table.attrs["tile"] == [3, 3]
    for name, problem in problems.items():
        trace = solved(problem, method=method).trace["allocation_gap"]
        np.testing.assert_allclose(table["allocation_gap"].sel(problem=name).values, trace.T, rtol=1e-9, atol=1e-12)


def test_what_lies_in_an_object_can_be_swept_beside_it():
    channels = {"log": jc.channels.LogQuantizer(0.5), "log of 8 bits": jc.channels.LogQuantizer(0.5, bits=8)}
    ideal = replace(small.method(), channel=jc.channels.Ideal())
    table = small.sweep({"channel.rho": [0.2, 0.9], "channel": channels}, method=ideal)
    assert_same(
        table.sel({"channel.rho": 0.9, "channel": "log of 8 bits"}),
        solved(method=replace(small.method(), channel=jc.channels.LogQuantizer(0.9, bits=8))),
    )


def test_points_and_random_samples():
    names = {"channel.rho": scipy.stats.loguniform(0.1, 1), "failure_rate": [0.0, 0.3]}
    points = jc.sample(names, count=4, seed=3)
    assert points == jc.sample(names, count=4, seed=3)
    assert all(0.1 <= point["channel.rho"] <= 1 for point in points)
    table = small.sweep(points)
    assert table["channel.rho"].dims == ("point",)
    np.testing.assert_array_equal(table["failure_rate"], [point["failure_rate"] for point in points])
    point = points[2]
    method = replace(small.method(), channel=jc.channels.LogQuantizer(point["channel.rho"]))
    network = replace(small.network(), failure_rate=np.asarray(point["failure_rate"]))
    assert_same(table.isel(point=2), solved(network=network, method=method))


def test_seeds_are_run_numbers():
    few, many = small.sweep({"channel.rho": [0.5]}, seeds=[4, 1]), small.sweep({"channel.rho": [0.5]}, seeds=6)
    for name in TRACES:
        np.testing.assert_allclose(few[name].values, many[name].values[:, [4, 1]], rtol=1e-9, atol=1e-12)


def test_however_it_is_cut(monkeypatch, tmp_path):
    grid = {"channel.rho": [0.2, 0.4, 0.6, 0.8, 1.0], "training.step": [0.02, 0.04, 0.06]}
    whole = small.sweep(grid)
    monkeypatch.setattr(chunk_width, "WIDEST", 7)
    parts = small.sweep(grid, store=tmp_path / "store.zarr")
    assert parts.attrs["tile"] == [1, 2, 3]
    xarray.testing.assert_allclose(whole, parts, rtol=1e-9, atol=1e-12)


def test_tiles_cover_everything_once(rng):
    for _ in range(200):
        shape, rides = rng.integers(1, 7, size=3), rng.random(3) < 0.7
        most = int(rng.integers(1, 40))
        tiles = cut(shape.tolist(), rides.tolist(), most)
        assert tiles.runs <= most
        assert all(part == 1 for part, riding in zip(tiles.tile, rides, strict=True) if not riding)
        seen = np.zeros(shape, int)
        for chunk in tiles:
            indices, inside = tiles.indices(chunk), tiles.inside(chunk)
            assert indices.shape == (3, tiles.runs)
            np.add.at(seen, tuple(indices[:, inside]), 1)
            assert tiles.size(chunk) == inside.sum()
        assert (seen == 1).all()
        assert len(list(tiles)) == len(tiles)
    assert cut((20, 20, 25), (True, True, True), 1024) == Tiles((20, 20, 25), (2, 20, 25))


def test_diverged_runs_are_marked_and_leave_the_others_alone():
    calm = small.sweep({"training.step": [0.02, 0.05, 0.06]})
    said = r"3 of 9 runs diverged, at 1 of 3 points:\n  training.step=1e\+12: 3 of 3"
    with pytest.warns(RuntimeWarning, match=said) as seen:
        wild = small.sweep({"training.step": [0.02, 1e12, 0.06]})
    assert len(seen) == 1
    assert (wild["status"].isel({"training.step": 1}) == jc.Status.DIVERGED).all()
    assert not np.isfinite(wild["training_gap"].values[1, :, -1]).any()
    for name in TRACES:
        np.testing.assert_array_equal(calm[name].values[[0, 2]], wild[name].values[[0, 2]])


def test_no_optimum_is_found_twice(monkeypatch):
    from jaxcoopt.study import batcher

    asked = []
    real = batcher.reference
    monkeypatch.setattr(batcher, "reference", lambda problem, nodes: asked.append(problem) or real(problem, nodes))
    monkeypatch.setattr(chunk_width, "WIDEST", 6)
    small.sweep({"channel.rho": [0.2, 0.4, 0.6, 0.8], "allocation.budget": [5.0, 6.0, 7.0]})
    training = [each for each in asked if each.training is not None]
    assert len(training) == 1
    assert len(asked) - len(training) == 2  # for each of the cuts through the budgets
