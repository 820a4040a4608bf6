"""Where the commands write: links, full disks, closed folders, paths as people write them, letters a locale lacks."""

import errno
import json
import os
from pathlib import Path

import pytest
from small_experiment import SIX_ON_A_RING
from typer.testing import CliRunner

from jaxcoopt.cli import app
from jaxcoopt.experiments import run_experiment as playing
from jaxcoopt.experiments import run_tuning
from jaxcoopt.report.readme import write_readme

RUN = ("run", "ring_allocation", "--no-progress", "--set", "steps=60", "--set", "runs=3")  # as tests of `run` have it
SWEEP = ("sweep", "small.toml", "--quiet")
SMALL = f"""
title = "é"
{SIX_ON_A_RING}
[allocation]
budget = 12.0
[[allocation.cost]]
kind = "quadratic"
curvature = 1.0
center = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
[method.allocation]
kind = "laplacian_flow"
step = 0.05
[sweep.grid]
"method.allocation.step" = [0.02, 0.05]
"""


def invoke(*arguments, charset="utf-8"):
    return CliRunner(charset=charset).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("home").mkdir()
    Path("small.toml").write_text(SMALL, encoding="utf-8")


def names(folder="."):
    return {path.name for path in Path(folder).iterdir()}


def test_links_in_the_folder_are_not_followed():
    Path("victim").write_text("precious")
    Path("out").mkdir()
    for name in (".lock", ".summary.json.part", "summary.json", "trace.csv", "gaps.png"):
        Path("out", name).symlink_to(Path("victim").resolve())
    done = invoke(*RUN, "--out", "out", "--overwrite")
    assert done.exit_code == 0, done.output
    assert Path("victim").read_text() == "precious"
    assert Path("out", ".lock").is_symlink()
    assert json.loads(Path("out", "summary.json").read_text())["runs"] == 3
    assert not [name for name in names("out") if name.endswith(".part") and name != ".summary.json.part"]


def test_a_readme_that_is_a_link_stays_one():
    Path("real.md").write_bytes(b"a\r\n<!-- x -->old<!-- /x -->\r\n")
    Path("README.md").symlink_to("real.md")
    write_readme(Path("README.md"), "x", ["new"])
    assert Path("README.md").is_symlink()
    assert Path("real.md").read_bytes() == b"a\r\n<!-- x -->\nnew\n<!-- /x -->\r\n"


@pytest.mark.parametrize("option", ["--out", "--store"])
@pytest.mark.parametrize("place", ["link", ".", "~/x.zarr", "a/b/", "plain"])
def test_stores_as_people_write_them(place, option, monkeypatch, tmp_path):
    Path("empty").mkdir()
    Path("link").symlink_to("empty")
    command = list(SWEEP)
    if place == ".":
        monkeypatch.chdir("empty")
        command[1] = "../small.toml"
    found = Path(place).expanduser()
    for more in ((), ("--resume",)):
        done = invoke(*command, option, place, *more)
        assert done.exit_code == 0, done.output
        assert (found / "zarr.json").is_file()
        assert done.output == ""
    assert names(tmp_path) <= {"home", "small.toml", "empty", "link", "a", "plain"}
    if option == "--out":
        out = tmp_path / "report"
        done = invoke("report", place, "--quiet", "--metric", "allocation_gap", "--out", out)
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("dangling", "--out dangling: it is a link to nothing, which is not there; make that, or give another"),
        ("file", "store file: there is something else; give another path"),
        ("file/x", "store file/x: file cannot be written (Not a directory); give a folder that can be written"),
        ("full", "store full: there is something else"),
        ("n" * 300, "File name too long"),
    ],
)
def test_stores_that_cannot_be(place, words):
    Path("dangling").symlink_to("nothing")
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full", "mine.txt").write_text("mine")
    before = names()
    done = invoke(*SWEEP, "--out", place)
    assert (done.exit_code, words in done.output) == (2, True), done.output
    assert names() == before
    assert (Path("file").read_text(), names("full")) == ("mine", {"mine.txt"})


def test_a_folder_that_is_closed(monkeypatch):
    real = Path.mkdir

    def closed(self, *given, **more):
        if self.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(self, *given, **more)

    monkeypatch.setattr(Path, "mkdir", closed)
    done = invoke(*SWEEP, "--out", "closed/x")
    assert "store closed/x: closed cannot be written (Permission denied); give a folder" in done.output
    done = invoke(*RUN, "--out", "closed/x")
    assert "--out closed/x: Permission denied while making the folder; give another folder" in done.output
    assert names() == {"home", "small.toml"}


def test_one_name_for_one_place():
    done = invoke(*SWEEP, "--out", "a", "--store", "b")
    assert (done.exit_code, "--store: an older name of --out" in done.output) == (2, True), done.output
    assert "--store" not in invoke("sweep", "--help").output
    assert "--store is called --out now" in invoke("sweep", "small.toml", "--store", "a").stderr
    assert "zarr.json" in names("a")


@pytest.fixture
def full(monkeypatch):
    """A disk that takes so many bytes of a file and no more."""

    def limited(most):
        real = os.posix_fallocate

        def allocate(handle, start, size):
            if size > most:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle, start, size)

        monkeypatch.setattr(os, "posix_fallocate", allocate)

    return limited


def test_a_full_disk_is_found_before_anything_is_computed(full, monkeypatch):
    full(1000)
    monkeypatch.setattr("jaxcoopt.cli.play", lambda *_, **__: pytest.fail("it ran"))
    monkeypatch.setattr("jaxcoopt.cli.play_tuning", lambda *_, **__: pytest.fail("it ran"))
    for command in (RUN, ("tune", "ring")):
        done = invoke(*command, "--out", "a/b")
        assert done.exit_code == 2
        assert "No space left on device (" in done.output
        assert "while looking for room; make room or give another folder" in done.output
    assert names() == {"home", "small.toml"}


def test_what_was_found_is_told_where_it_cannot_be_written(monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jaxcoopt.report.tuning_report.history_csv", fail)
    sizes = ("steps=30", "tune.iterations=4", "tune.starts=2", "tune.runs=2", "network.graphs.0.nodes=6")
    changes = [word for each in (*sizes, "allocation.budget=12") for word in ("--set", each)]
    done = invoke("tune", "ring", *changes, "--out", "tuned")
    assert done.exit_code == 2
    assert "on held-out runs" in done.output
    assert "--out tuned: No space left on device while writing history.csv; make room or" in done.output
    assert names() == {"home", "small.toml"}


def test_a_report_on_a_full_disk(monkeypatch):
    assert invoke(*SWEEP, "--out", "s.zarr").exit_code == 0
    Path("s-report").mkdir()
    real = os.fsync

    def fsync(handle):
        real(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        done = invoke("report", "s.zarr", "--quiet")
    assert done.exit_code == 2
    assert "--out s-report: No space left on device while writing table.csv; make room or give" in done.output
    assert names("s-report") == set()


def test_what_is_the_user_s_in_a_report_s_folder_stays():
    """Also where a summary says that a report wrote it."""
    assert invoke(*SWEEP, "--out", "s.zarr").exit_code == 0
    Path("s-report").mkdir()
    Path("s-report", "mine.txt").write_text("mine")
    for _ in range(2):
        assert invoke("report", "s.zarr", "--overwrite", "--quiet").exit_code == 0
    summary = json.loads(Path("s-report", "summary.json").read_text())
    assert "mine.txt" not in summary["files"]
    Path("s-report", "summary.json").write_text(json.dumps(summary | {"files": ["mine.txt", "../small.toml"]}))
    assert invoke("report", "s.zarr", "--overwrite", "--quiet").exit_code == 0
    assert Path("s-report", "mine.txt").read_text() == "mine"
    assert Path("small.toml").exists()


def test_letters_that_the_locale_lacks():
    done = invoke(*RUN, "--out", "é/ü", "--set", "title='ß'", charset="ascii")
    assert done.exit_code == 0, done.output
    assert "Written to \\xe9/\\xfc" in done.output
    assert "summary.json" in names("é/ü")
    assert invoke("sweep", "small.toml", "--out", "ö.zarr", charset="ascii").exit_code == 0
    assert invoke("report", "ö.zarr", charset="ascii").exit_code == 0
    assert 'title = "ß"' in Path("é/ü/settings.toml").read_text(encoding="utf-8")


def test_words_in_bytes_of_another_encoding(monkeypatch):
    """Under an ASCII locale Python has the bytes of an argument one by one."""
    typed = "title='ß'".encode().decode("ascii", "surrogateescape")
    done = invoke(*RUN, "--set", typed, "--out", "out")
    assert done.exit_code == 0, done.output
    assert 'title = "ß"' in Path("out/settings.toml").read_text(encoding="utf-8")
    done = invoke(*RUN, "--set", "title='\udcff'")
    assert (done.exit_code, "--set: expected text in UTF-8" in done.output) == (2, True)


def test_memory_that_is_gone_is_said(monkeypatch):
    def gone(*_, **__):
        raise MemoryError

    monkeypatch.setattr(playing, "build", gone)
    monkeypatch.setattr(run_tuning, "build", gone)
    for command in (RUN, (*RUN, "--dry-run"), ("tune", "ring")):
        done = invoke(*command)
        assert done.exit_code == 2
        assert "not enough memory; ask for fewer nodes, runs" in done.output
        assert command[1] in done.output
