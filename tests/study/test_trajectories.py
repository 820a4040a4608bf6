"""Where nodes stood, in the store of a sweep: as `solve` records it, resumed bit for bit, refused if too much."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import xarray

import jaxcoopt as jc
from jaxcoopt.report.swept import swept
from jaxcoopt.run.memory import layout_of
from jaxcoopt.run.names import Trio
from jaxcoopt.study import run_chunks
from jaxcoopt.study.chunk_width import chunk_width
from jaxcoopt.study.sweep import planned

NODES = 5
DATA = np.random.default_rng(2)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)), 5.0),
    jc.Training(jc.losses.Linear(0.1), DATA.normal(size=(NODES, 4, 2)), DATA.normal(size=(NODES, 4))),
)
NETWORK = jc.Network.from_graphs(nx.relabel_nodes(nx.cycle_graph(NODES), dict(enumerate("abcde"))), failure_rate=0.2)
METHOD = jc.CoOptimizer(jc.methods.LaplacianFlow(0.05), jc.methods.DGD(0.05))
GRID = {"allocation.step": [0.02, 0.1, 1e9], "failure_rate": [0.0, 0.3]}  # the last step diverges
RECORD = jc.Record(5, trajectories=["allocation", "params"], nodes=["d", "a"])
NAMES = ("allocation_trajectory", "params.weights_trajectory")


def swept_to(store, grid=GRID, record=RECORD, **more):
    return jc.sweep(PROBLEM, NETWORK, METHOD, grid, seeds=2, steps=20, record=record, store=store, **more)


def files(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in Path(folder).rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """In chunks of 4 runs."""
    place = tmp_path_factory.mktemp("whole") / "a.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxcoopt.study.chunk_width.WIDEST", 4)
        with pytest.warns(RuntimeWarning, match="diverged"):
            swept_to(place)
    return place


def test_as_solve_records_them(whole):
    table = xarray.open_zarr(whole, consolidated=False)
    assert table[NAMES[0]].dims == ("allocation.step", "failure_rate", "seed", "iteration", "recorded_node")
    assert table[NAMES[0]].attrs == {"units": "CPU units"}
    assert table[NAMES[1]].dims[-1] == "params.weights_trajectory_0"
    assert table["recorded_node"].values.tolist() == ["d", "a"]
    network = jc.Network.from_graphs(
        nx.relabel_nodes(nx.cycle_graph(NODES), dict(enumerate("abcde"))), failure_rate=np.array([0.3, 0.3])
    )
    alone = jc.solve(
        PROBLEM, network, METHOD.__class__(jc.methods.LaplacianFlow(0.1), METHOD.training), 20, runs=2, record=RECORD
    )
    at = table.sel({"allocation.step": 0.1, "failure_rate": 0.3})
    expected = np.moveaxis(alone.trajectories["allocation"], -1, 0)
    np.testing.assert_allclose(at[NAMES[0]].values, expected, rtol=1e-9)
    expected = np.moveaxis(alone.trajectories["params"]["weights"], -1, 0)
    np.testing.assert_allclose(at[NAMES[1]].values, expected, rtol=1e-9)
    assert np.ptp(at[NAMES[0]].values, axis=1).min() > 0  # they move


def test_after_a_run_has_left_its_last_record_stands(whole):
    table = xarray.open_zarr(whole, consolidated=False).sel({"allocation.step": 1e9, "failure_rate": 0.3})
    assert np.all(table["status"] == jc.Status.DIVERGED)
    for seed in range(2):
        left = int(table["left"][seed]) // 5
        rows = table[NAMES[0]].values[seed]
        assert left < 4
        np.testing.assert_array_equal(rows[left:], np.broadcast_to(rows[left], rows[left:].shape))


def test_resumed_bit_for_bit(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcoopt.study.chunk_width.WIDEST", 4)
    ran, run_chunk = [], run_chunks.run_chunk

    def killed(*args, **kwargs):
        ran.append(1)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return run_chunk(*args, **kwargs)

    monkeypatch.setattr(run_chunks, "run_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        swept_to(tmp_path / "b.zarr")
    assert len(ran) == 3
    with pytest.warns(RuntimeWarning, match="diverged"):
        swept_to(tmp_path / "b.zarr")
    assert files(tmp_path / "b.zarr") == files(whole)


def test_a_file_of_theirs_that_is_damaged_is_made_anew(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcoopt.study.chunk_width.WIDEST", 4)
    (tmp_path / "c.zarr").mkdir()
    for name, content in files(whole).items():
        place = tmp_path / "c.zarr" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    part = next(each for each in (tmp_path / "c.zarr" / NAMES[1] / "c").rglob("*") if each.is_file())
    part.write_bytes(b"x" + part.read_bytes()[1:])
    with pytest.warns(RuntimeWarning, match="diverged"):
        swept_to(tmp_path / "c.zarr")
    assert files(tmp_path / "c.zarr") == files(whole)


def test_a_store_of_other_nodes_is_refused(whole, monkeypatch):
    monkeypatch.setattr("jaxcoopt.study.chunk_width.WIDEST", 4)
    with pytest.raises(ValueError, match=r"sweep\.nodes\.0: d there, a here"):
        swept_to(whole, record=jc.Record(5, trajectories=RECORD.trajectories, nodes=["a", "d"]))
    with pytest.raises(ValueError, match=r"sweep\.trajectories"):
        swept_to(whole, record=jc.Record(5))


def test_a_report_takes_them_for_no_metric(whole):
    assert not set(NAMES) & set(swept(xarray.open_zarr(whole, consolidated=False)).metrics)


def test_points_that_do_not_fit_together_are_refused():
    other = jc.Network.from_graphs(nx.cycle_graph(NODES))
    with pytest.raises(ValueError, match=r"record\.trajectories: the points of the grid differ in their nodes"):
        swept_to(None, {"network": {"named": NETWORK, "numbered": other}})
    wide = jc.Training(jc.losses.Linear(0.1), DATA.normal(size=(NODES, 4, 3)), DATA.normal(size=(NODES, 4)))
    with pytest.raises(ValueError, match="differ in their shapes of what is recorded"):
        swept_to(None, {"problem.training": {"two": PROBLEM.training, "three": wide}})


def test_what_has_no_room_is_told(tmp_path, monkeypatch, unchecked):
    """In memory, and on a disk, before anything runs; a chunk is narrower where its trajectories are large."""
    statistics, more = (12 * (numbers * 5 * 8 + 5) for numbers in (9, 9 + 2 * 4))  # of 12 runs, 5 records, 2 nodes
    monkeypatch.setattr("jaxcoopt.study.store_size.free_memory", lambda: more - 1)
    call = {"trio": Trio(PROBLEM, NETWORK, METHOD), "grid": GRID, "seeds": 2, "steps": 20}
    with pytest.raises(MemoryError, match="12 runs take up to"):
        planned(**call, record=RECORD)
    assert planned(**call, record=jc.Record(5))[1].bytes == statistics
    monkeypatch.setattr("jaxcoopt.study.store_size.free_memory", lambda: more)
    assert planned(**call, record=RECORD)[1].bytes == more
    monkeypatch.undo()
    job, _ = planned(Trio(PROBLEM, NETWORK, METHOD), GRID, seeds=2, steps=20, record=RECORD)
    need = layout_of(PROBLEM, NETWORK, METHOD, 12)
    room = 3 * (need.setup + need.state + need.working)
    monkeypatch.setattr("jaxcoopt.study.chunk_width.available", lambda: room)
    wide, narrow = chunk_width(job, None), chunk_width(job, None, numbers=room // (12 * 8 * 5))
    assert wide == 12
    assert 1 <= narrow < 12
