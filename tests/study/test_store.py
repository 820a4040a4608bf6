"""The store: taken up where it stands, byte for byte; refused where it is another's; whole whatever happens."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small
import xarray

import jaxcoopt as jc
from jaxcoopt import describe
from jaxcoopt.study import chunk_width, run_chunks
from jaxcoopt.study.store import Store

HERE = Path(__file__).parent
GRID = {"channel.rho": [0.2, 0.4, 0.6, 0.8], "training.step": [0.02, 0.04]}


def contents(store):
    """The arrays of a store, byte for byte."""
    names = [path for path in sorted(store.rglob("*")) if path.is_file() and path.name != "zarr.json"]
    return {str(path.relative_to(store)): path.read_bytes() for path in names if ".partial" not in path.name}


def worker(*arguments, flags="", cache, wait=True):
    """A process of worker.py; its compiled programs are kept in the folder `cache`."""
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),  # one that begins with a space is a file
    }
    command = [sys.executable, str(HERE / "worker.py"), *map(str, arguments)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if wait:
        process.communicate(timeout=300)
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(its contents, the folder of compiled programs): a sweep in a process of its own, on one device."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = worker(folder / "store", cache=folder / "programs")
    assert process.returncode == 0
    return contents(folder / "store"), folder / "programs"


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_started_again(rng, tmp_path, undisturbed, kills):
    expected, cache = undisturbed
    store, killed = tmp_path / "store", 0
    for _ in range(kills):
        process = worker(store, rng.uniform(0.0, 0.25), cache=cache)
        assert process.returncode in (0, -signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert killed, "every one was done before it was killed"
    assert worker(store, cache=cache).returncode == 0
    assert contents(store) == expected


@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_devices_give_the_same_bits(tmp_path, undisturbed, devices):
    expected, cache = undisturbed
    flags = f"--xla_force_host_platform_device_count={devices}"
    assert worker(tmp_path / "store", flags=flags, cache=cache).returncode == 0
    assert contents(tmp_path / "store") == expected


def together(store, cache, dies=""):
    """Two processes over loopback, the second of which may kill itself: [(exit code, what it said)]."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [
        worker(store, seconds, address, 2, number, cache=cache, wait=False) for number, seconds in enumerate(("", dies))
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    return [(process.returncode, text) for process, text in zip(both, said, strict=True)]


def test_two_processes_give_the_same_bits(tmp_path, undisturbed):
    expected, cache = undisturbed
    assert [code for code, _ in together(tmp_path / "store", cache)] == [0, 0]
    assert contents(tmp_path / "store") == expected


@pytest.mark.slow
def test_when_a_process_dies_the_other_says_so_and_the_store_goes_on(tmp_path, undisturbed):
    expected, cache = undisturbed
    (code, said), (other, _) = together(tmp_path / "store", cache, dies="2")
    assert (code, other) == (1, -signal.SIGKILL)
    assert "process 1 of 2 died, and its chunks are not done; start all of them again" in said
    assert worker(tmp_path / "store", cache=cache).returncode == 0
    assert contents(tmp_path / "store") == expected


def test_what_is_done_is_not_done_again(monkeypatch, tmp_path):
    monkeypatch.setattr(chunk_width, "WIDEST", 6)
    first = small.sweep(GRID, store=tmp_path / "store")
    before = contents(tmp_path / "store")
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *_, **__: pytest.fail("it is done"))
    again = small.sweep(GRID, store=tmp_path / "store")
    xarray.testing.assert_identical(first.load(), again.load())
    assert contents(tmp_path / "store") == before
    assert set(first.attrs) == {"title", "settings", "versions", "shape", "tile"}
    assert json.loads(first.attrs["settings"])["sweep.steps"] == str(small.STEPS)
    assert first["allocation_gap"].attrs["units"]


def test_what_was_lost_is_done_again(monkeypatch, tmp_path):
    monkeypatch.setattr(chunk_width, "WIDEST", 6)
    small.sweep(GRID, store=tmp_path / "store")
    before, real, ran = contents(tmp_path / "store"), run_chunks.run_chunk, []
    shutil.rmtree(tmp_path / "store" / "training_gap" / "c")
    (tmp_path / "store" / "status" / "c" / "0" / "0" / "0").unlink()
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *given, **more: ran.append(1) or real(*given, **more))
    small.sweep(GRID, store=tmp_path / "store")
    assert contents(tmp_path / "store") == before
    assert len(ran) == 4


def test_what_no_run_has_is_no_loss(monkeypatch, tmp_path):
    grid = {"problem.training.loss": {"convex": small.problem().training.loss, "not": jc.losses.MLP((2,))}}
    first = small.sweep(grid, store=tmp_path / "store").load()
    assert first["training_gap"].isnull().all(("seed", "iteration")).values.tolist() == [False, True]
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *_, **__: pytest.fail("it is done"))
    xarray.testing.assert_identical(small.sweep(grid, store=tmp_path / "store").load(), first)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"file cannot be written \(.*\); give a folder that can be written"):
        small.sweep(GRID, store=tmp_path / "file" / "store")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 50}, "sweep.steps: 40 there, 50 here"),
        ({"seeds": 4}, "sweep.seeds: int64"),
        ({"network": small.network(0.1)}, "network.failure_rate: 0.2 there, 0.1 here"),
        ({"problem": small.problem(budget=7.0)}, "problem.allocation.budget: 6.0 there, 7.0 here"),
        ({"tol": 1e-3}, "sweep.tol: None there, 0.001 here"),
    ],
)
def test_another_sweep_s_store_is_refused(tmp_path_factory, change, named, first_store):
    with pytest.raises(ValueError, match="made with other settings or another version") as error:
        small.sweep(GRID, store=first_store, **change)
    assert named in str(error.value)


@pytest.fixture(scope="module")
def first_store(tmp_path_factory):
    store = tmp_path_factory.mktemp("first") / "store"
    small.sweep(GRID, store=store)
    return store


def test_another_version_s_store_is_refused(first_store, monkeypatch):
    monkeypatch.setattr(describe, "_code_digest", lambda: "of other code")
    with pytest.raises(ValueError, match=r"code: .* there, of other code here"):
        small.sweep(GRID, store=first_store)


def test_functions_are_told_apart_by_what_they_do():
    def cost(slope):
        return jc.costs.Custom(lambda x, p: slope * x**2 + p * 0, np.ones(3))

    one, same, other = (describe.described("cost", cost(slope)) for slope in (1.0, 1.0, 2.0))
    assert one == same
    assert one != other


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(FileExistsError, match="there is something else; give another path"):
            small.sweep(GRID, store=path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_disk_that_is_too_small_is_refused_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(OSError, match=r"runs take up to .* GiB, the disk has .* GiB; sweep fewer"):
        small.sweep(GRID, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_disk_that_fills_up_keeps_what_is_done(monkeypatch, tmp_path):
    monkeypatch.setattr(chunk_width, "WIDEST", 6)
    whole = small.sweep(GRID)
    real, written = Store.write, []

    def write(self, tiles, chunk, outcome):
        written.append(chunk)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, tiles, chunk, outcome)

    with monkeypatch.context() as full:
        full.setattr(Store, "write", write)
        with pytest.raises(OSError, match="No space left"):
            small.sweep(GRID, store=tmp_path / "store")
    part = xarray.open_zarr(tmp_path / "store", consolidated=False, chunks=None)
    assert 0 < int((part["status"] >= 0).sum()) < part["status"].size
    xarray.testing.assert_identical(small.sweep(GRID, store=tmp_path / "store").load(), whole)


def test_two_sweeps_into_one_store(first_store):
    store = Store(first_store)
    with store.locked(), pytest.raises(FileExistsError, match="another sweep is writing there"):
        small.sweep(GRID, store=first_store)
