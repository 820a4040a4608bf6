"""Files are written whole or not at all, through no link; folders are held, and only what was made goes again."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcoopt import files
from jaxcoopt.report.folder import reserved_folder

pytestmark = pytest.mark.fast


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim.txt"
    path.write_text("precious")
    return path


def test_a_link_is_replaced_and_never_followed(tmp_path, victim):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("summary.json", ".summary.json.part", ".lock"):
        (out / name).symlink_to(victim)
    files.write_text(out / "summary.json", "new")
    assert (out / "summary.json").read_text() == "new"
    assert not (out / "summary.json").is_symlink()
    assert victim.read_text() == "precious"
    assert {path.name for path in out.iterdir()} == {"summary.json", ".summary.json.part", ".lock"}


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("old")
    for error in (OSError(errno.ENOSPC, "full"), KeyboardInterrupt()):
        with pytest.raises(type(error)), files.whole(tmp_path / "file") as stream:  # noqa: PT012
            stream.write(b"half")
            raise error
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_text(tmp_path / "folder", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_permissions_are_the_user_s(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "")
    finally:
        os.umask(before)
    (tmp_path / "old").write_text("")
    (tmp_path / "old").chmod(0o604)
    files.write_text(tmp_path / "old", "")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")] == [0o640, 0o604]
    files.write_text(tmp_path / ("n" * 255), "as long as names can be")


def test_the_user_s_lock_and_folder_stay(tmp_path, victim):
    own, linked, empty = (tmp_path / name for name in ("own", "linked", "empty"))
    for folder in (own, linked, empty):
        folder.mkdir()
    (own / ".lock").write_text("my data")
    (linked / ".lock").symlink_to(victim)
    for folder in (own, linked):
        with pytest.raises(FileExistsError, match="not empty"), reserved_folder(folder, overwrite=False):
            pass
        with reserved_folder(folder, overwrite=True):
            pass
    assert (own / ".lock").read_text() == "my data"
    assert victim.read_text() == "precious"
    (empty / ".lock").write_text("")  # as earlier versions left it
    with reserved_folder(empty, overwrite=False):
        pass
    assert (empty / ".lock").is_file()


def test_only_folders_that_were_made_go_again(tmp_path):
    (tmp_path / "a").mkdir()
    with reserved_folder(tmp_path / "a" / "b" / "c", overwrite=False):
        assert (tmp_path / "a" / "b" / "c").is_dir()
    assert list((tmp_path / "a").iterdir()) == []
    with pytest.raises(RuntimeError), reserved_folder(tmp_path / "d" / "e", overwrite=False):  # noqa: PT012
        (tmp_path / "d" / "mine").write_text("")
        raise RuntimeError
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["mine"]


def test_one_run_at_a_time_and_none_after_a_kill(tmp_path):
    script = (
        "import os, signal\nfrom pathlib import Path\nfrom jaxcoopt.files import held\n"
        f"with held(Path({str(tmp_path)!r}), 'x', 'run'):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    busy = pytest.raises(FileExistsError, match="another run is writing there")
    with reserved_folder(tmp_path, overwrite=False), busy, reserved_folder(tmp_path, overwrite=False):
        pass
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    with reserved_folder(tmp_path, overwrite=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_removed_by_its_maker_is_not_held(tmp_path, monkeypatch):
    """Opened before the other run removed it, and locked after."""
    folder, real = tmp_path / "out", files.fcntl.flock
    folder.mkdir()
    monkeypatch.setattr(files.fcntl, "flock", lambda *given: (folder.rmdir(), folder.mkdir(), real(*given)))
    with pytest.raises(FileExistsError, match="another run"), files.held(folder, "--out", "run"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_without_room_is_told_before(tmp_path, monkeypatch, number):
    def full(handle, start, size):
        if size > 2**20:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    files.check_disk(tmp_path, {"small": 2**20})
    sizes = {"small": 1, "trace.csv": 3 * 2**20}
    words = r"trace.csv may take 3 MiB, all files 3 MiB.* while looking for room; make room or give another folder"
    with pytest.raises(OSError, match=words), reserved_folder(tmp_path / "out", False, sizes):
        pytest.fail("it went on")
    assert list(tmp_path.iterdir()) == []


def test_room_that_is_there_is_left_as_it_was(tmp_path):
    files.check_disk(tmp_path, {"large": 2**24, "none": 0})
    assert list(tmp_path.iterdir()) == []


def test_paths_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert files.located("--out", "~/x") == tmp_path / "x"
    assert files.located("--out", "a/~") == Path("a/~")
    assert files.located("--out", "a/b/") == Path("a/b")
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "round").symlink_to("round")
    for given, kind, words in (
        ("nowhere", FileExistsError, "it is a link to missing, which is not there"),
        ("round", FileExistsError, "it is a link to round"),
        ("a\0b", ValueError, "it is no path"),
        ("~nobody-of-that-name/x", ValueError, "it is no path"),
        ("n" * 300, OSError, "name too long"),
    ):
        with pytest.raises(kind, match=f"(?i){words}"):
            files.located("--out", given)


def test_what_is_no_path_is_said(untyped):
    with pytest.raises(TypeError, match=r"store: expected a path, a text or a pathlib.Path, got 3"):
        files.located("store", 3)
