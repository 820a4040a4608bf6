"""A store with files that are empty, cut short, altered, lost or another sweep's: named, and the same bytes again."""

import errno
import json
import os
import shutil

import pytest
import small
import xarray
from typer.testing import CliRunner

from jaxcoopt.cli import app
from jaxcoopt.study import chunk_width, run_chunks
from jaxcoopt.study.store_layout import digest

GRID = {"channel.rho": [0.2, 0.4, 0.6, 0.8]}
CHUNKS = 2
TRACE, STATUS, MARK = "allocation_gap/c/0/0/0", "status/c/1/0", "chunks/done/c/1/0/0"
ROOT, MANIFEST, ARRAY, COORDINATE = "zarr.json", "chunks/zarr.json", "training_gap/zarr.json", "channel.rho/c/0"


def files(store):
    """All of a store, byte for byte."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(chunk_width, "WIDEST", 6)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(a store of two chunks, one of another seed)."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_width, "WIDEST", 6)
        small.sweep(GRID, store=folder / "store")
        small.sweep(GRID, store=folder / "other", seed=1)
    return folder / "store", folder / "other"


def flipped(content, bit):
    """With one bit changed."""
    content = bytearray(content)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def without_attributes(content):
    return json.dumps(json.loads(content) | {"attributes": {}}).encode()


HOWS = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "altered": lambda content: flipped(content, 4 * len(content)),
    "longer": lambda content: content + b"\0",
    "lost": None,
}
CASES = [
    *((key, how, 1) for key in (TRACE, STATUS, MARK) for how in HOWS),
    *((key, how, 0) for key in (ROOT, MANIFEST, ARRAY, COORDINATE) for how in HOWS),
]


def damage(store, key, how):
    path, change = store / key, HOWS.get(how, how)
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(("key", "how", "again"), CASES)
def test_what_is_not_whole_is_made_anew(made, tmp_path, monkeypatch, caplog, key, how, again):
    store, real, ran = shutil.copytree(made[0], tmp_path / "store"), run_chunks.run_chunk, []
    damage(store, key, how)
    harmless = key == MARK or (key, how) == (MANIFEST, "altered")  # not done yet; a second copy that no report reads
    if not harmless:
        said = CliRunner().invoke(app, ["report", str(store), "--out", str(tmp_path / "report")])
        assert said.exit_code == 2
        assert f"{key} is not whole" in said.output.replace("\n", "")
    monkeypatch.setattr(run_chunks, "run_chunk", lambda *given, **more: ran.append(1) or real(*given, **more))
    table = small.sweep(GRID, store=store)
    assert files(store) == files(made[0])
    assert len(ran) == again
    assert key == MARK or f"{key} is not whole" in caplog.text
    assert bool((table["status"] >= 0).all())


def test_chunks_of_others_are_not_taken_for_its_own(made, tmp_path, caplog):
    """A chunk and its mark from another sweep, and a sweep's own chunk in another's place."""
    store = shutil.copytree(made[0], tmp_path / "store")
    for key in [key for key in files(made[1]) if key.endswith(("/c/0/0", "/c/0/0/0")) and "zarr.json" not in key]:
        shutil.copy(made[1] / key, store / key)
    shutil.copy(store / "left/c/0/0", store / "left/c/1/0")
    assert files(store) != files(made[0])
    small.sweep(GRID, store=store)
    assert files(store) == files(made[0])
    assert f"{TRACE} is not whole" in caplog.text


def test_any_bit(made, tmp_path, rng):
    """Whatever bit of whatever file is changed, the sweep called again has the same bytes."""
    store = shutil.copytree(made[0], tmp_path / "store")
    whole = files(store)
    for key in rng.choice(sorted(whole), size=8, replace=False):
        damage(store, key, lambda content: flipped(content, int(rng.integers(8 * len(content)))))
        small.sweep(GRID, store=store)
        assert files(store) == whole


def test_a_chunk_that_says_it_is_larger(made, tmp_path):
    """Where a compressed frame has its size; what says whether chunks are done, too."""
    store = shutil.copytree(made[0], tmp_path / "store")
    whole = files(store)
    for key in (TRACE, next(key for key in whole if key.startswith("chunks/done/c/"))):
        damage(store, key, lambda content: content[:5] + b"\xff" * 3 + content[8:])
        small.sweep(GRID, store=store)
        assert files(store) == whole


def test_another_sweep_s_store_stays_another_s(made, tmp_path):
    """Even where its attributes can be read from one of two places only."""
    for key in (ROOT, MANIFEST):
        store = shutil.copytree(made[1], tmp_path / key.replace("/", "-"))
        damage(store, key, "cut")
        before = files(store)
        with pytest.raises(ValueError, match=r"sweep\.seed: 1 there, 0 here"):
            small.sweep(GRID, store=store)
        assert files(store) == before


def test_where_neither_can_be_read_nothing_is_touched(made, tmp_path):
    store = shutil.copytree(made[0], tmp_path / "store")
    damage(store, ROOT, "cut")
    damage(store, MANIFEST, without_attributes)
    before = files(store)
    with pytest.raises(ValueError, match=r"not one that jaxcoopt.sweep made, or zarr.json is not whole"):
        small.sweep(GRID, store=store)
    assert files(store) == before


def test_a_store_half_made_is_made(made, tmp_path):
    """By a process that was killed: any beginning of what it writes before the first run, and a file half written."""
    for count in (0, 1, 5):
        store = tmp_path / str(count) / "store"
        store.mkdir(parents=True)
        for key in [MANIFEST, *sorted(key for key in files(made[0]) if "/c/" not in key)][:count]:
            (store / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made[0] / key, store / key)
        (store / f".{'0' * 32}.part").write_text("half")
        small.sweep(GRID, store=store)
        assert files(store) == files(made[0])


def test_what_other_versions_of_zarr_wrote_is_whole(made, tmp_path):
    """The same in other bytes; what of it is damaged cannot be made anew, so nothing is touched."""
    store = shutil.copytree(made[0], tmp_path / "store")
    content = json.dumps(json.loads((store / ARRAY).read_bytes())).encode()
    manifest = json.loads((store / MANIFEST).read_bytes())
    manifest["attributes"]["files"][ARRAY] = f"{digest(content):016x}"
    (store / ARRAY).write_bytes(content)
    (store / MANIFEST).write_text(json.dumps(manifest))
    before = files(store)
    small.sweep(GRID, store=store)
    assert files(store) == before
    damage(store, COORDINATE, "cut")
    before = files(store)
    with pytest.raises(ValueError, match=f"{COORDINATE} is not whole, and other versions of zarr or xarray wrote it"):
        small.sweep(GRID, store=store)
    assert files(store) == before


@pytest.mark.parametrize("before", [0, 3])
def test_a_disk_that_is_full_from_the_start(tmp_path, monkeypatch, before):
    real, written = os.fsync, []

    def fsync(handle):
        real(handle)
        written.append(handle)
        if len(written) > before:
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "own").mkdir()
    monkeypatch.setattr(os, "fsync", fsync)
    for path in ("own", "a/new"):
        with pytest.raises(
            OSError, match=r"cannot be written \(No space left on device\); make room, or give a folder"
        ):
            small.sweep(GRID, store=tmp_path / path)
        written.clear()
    assert list(tmp_path.rglob("*")) == [tmp_path / "own"]


def test_any_reader_sees_a_checksum(made, tmp_path):
    """Also one that knows nothing of this package."""
    store = shutil.copytree(made[0], tmp_path / "store")
    damage(store, TRACE, "altered")
    table = xarray.open_zarr(store, consolidated=False, chunks=None)
    with pytest.raises(ValueError, match="checksum"):
        _ = table["allocation_gap"].values


def test_the_manifest_is_the_same_in_every_process(made):
    """xarray makes coordinates in the order of a set, which differs between processes: the next one would take a whole
    store for a damaged one.
    """
    known = json.loads((made[0] / MANIFEST).read_bytes())["attributes"]["files"]
    assert list(known) == sorted(known)
