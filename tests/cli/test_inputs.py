"""Texts that no file of settings can be, and numbers that nothing has room for: one message that names file and key."""

import os
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import jaxcoopt as jc
from benchmarks.engine.case import grid, read_axes
from jaxcoopt.cli import app
from jaxcoopt.datasets import TOPOLOGIES, topology
from jaxcoopt.experiments import toml_text
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.compare_command import run_comparison
from jaxcoopt.experiments.compare_tables import COMPARISONS
from jaxcoopt.experiments.run_tuning import play_tuning
from jaxcoopt.experiments.settings import EXPERIMENTS
from jaxcoopt.experiments.sweep_tables import SWEEPS
from jaxcoopt.experiments.tune_tables import TUNINGS

RING = EXPERIMENTS.text("ring_allocation")
QUICK = 2.0  # seconds


def refused(file, override=None, words=()):
    """The message, which names the file and comes at once."""
    start = time.monotonic()
    done = CliRunner().invoke(app, ["run", str(file), "--dry-run", *(["--set", override] if override else [])])
    assert time.monotonic() - start < QUICK
    said = " ".join(done.output.split())
    assert (done.exit_code, done.output[:7]) == (2, "error: "), said
    assert isinstance(done.exception, SystemExit)
    assert len(said) < 1000
    for word in (str(file), *words):
        assert word in said
    return said


TEXTS = {
    "nested lists": (b"steps = " + b"[" * 3000 + b"]" * 3000, "inside each other"),
    "nested tables": (b"steps = " + b"{a=" * 3000 + b"1" + b"}" * 3000, "inside each other"),
    "lists within reach": (b"steps = " + b"[" * 200 + b"]" * 200, "inside each other"),
    "a deep table": (b"[" + b".".join([b"a"] * 3000) + b"]\nb = 1", "inside each other"),
    "a deep key": (b".".join([b"a"] * 500) + b" = 1", "inside each other"),
    "a very deep key": (b".".join([b"a"] * 200_000) + b" = 1", "inside each other"),
    "5,000 digits": (b"runs = 1\nsteps = " + b"9" * 5000, "'steps = 99"),
    "400 digits": (b"[network]\nnodes = [1, -" + b"9" * 400 + b"]", "network.nodes.1: a number of 1,329 bits"),
    "65 bits": (b"seed = 18446744073709551616", "seed: a number 1.845e+19"),
    "lists over many lines": (
        (
            RING.replace("on a ring", "on [[[ a ring").replace(
                "budget = 60.0", "budget = " + "[\n" * 3000 + "1" + "]\n" * 3000
            )
        ).encode(),
        "'budget = ['",
    ),
    "a long title": (RING.replace("a ring", "a r" + "i" * 2000 + "ng").encode(), "title: got 'CPU allocation on a"),
    "a long metric": (("metrics = ['" + "m" * 10**6 + ":N']\n" + RING).encode(), "metrics: 'mmm"),
    "a zero byte": (b"steps = 1\0", "not valid TOML"),
    "no text": (bytes(range(256)), "not a text file in UTF-8"),
    "UTF-16": (RING.encode("utf-16"), "it looks like UTF-16"),
    "Latin 1": ("title = 'é'".encode("latin-1"), "not a text file in UTF-8"),
    "too large": (b"#" * (toml_text.LARGEST + 1), "more than 16 MiB"),
    "a long line": (b"x" * 10**6, "not valid TOML"),
    "a wrong kind": (RING.replace('kind = "log"', 'kind = "' + "x" * 10**5 + '"').encode(), "channel.kind"),
    "an escape": (b'"\\u001b[2J" = 1', "\\x1b[2J: unknown key"),
    "nothing": (b"", "network: missing"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_are_no_settings(tmp_path, name):
    content, words = TEXTS[name]
    (tmp_path / "my.toml").write_bytes(content)
    assert "\x1b[2J" not in refused(tmp_path / "my.toml", words=[words])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("steps=" + "[" * 3000, "--set steps: '[[["),
        ("steps=" + "9" * 5000, "--set steps: '999"),
        ("seed=" + "9" * 30, "seed: a number 1.000e+30"),
        (".".join(["a"] * 3000) + "=1", "inside each other"),
        ("network.graphs." + "9" * 5000 + "=1", "it is a list of 1"),
    ],
)
def test_values_that_are_none(override, words):
    done = CliRunner().invoke(app, ["run", "ring_allocation", "--set", override])
    assert (done.exit_code, words in done.output) == (2, True), done.output
    assert len(done.output) < 1000


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_marks_and_ends_of_lines_of_other_systems(tmp_path, ending):
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbf" + RING.replace("\n", ending).encode())
    assert EXPERIMENTS.read(str(tmp_path / "my.toml")) == EXPERIMENTS.read("ring_allocation")


def test_a_pipe_is_a_file(tmp_path):
    """As `jaxcoopt run <(...)` makes one."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(RING,))
    writer.start()
    assert EXPERIMENTS.read(str(tmp_path / "pipe")) == EXPERIMENTS.read("ring_allocation")
    writer.join()
    with pytest.raises(ValueError, match="more than 16 MiB"):
        EXPERIMENTS.read("/dev/zero")


def test_folders_and_files_that_are_closed(tmp_path, monkeypatch):
    refused(tmp_path, words=["a folder; give a TOML file"])
    (tmp_path / "my.toml").write_text(RING)

    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", closed)
        with pytest.raises(PermissionError, match=r"my.toml: Permission denied; give a file that can be read"):
            EXPERIMENTS.read(str(tmp_path / "my.toml"))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("network.graphs.0.nodes=1000000000000000", "network.graphs.0.nodes: 1.0e+15 need at least"),
        ("network.graphs.0.nodes=1000000000", "network.graphs.0.nodes: 1,000,000,000 need at least"),
        (
            'network.graphs=[{kind="topology", name="complete", nodes=300000}]',
            "network.graphs.0.nodes: 300,000 need at least",
        ),
        (
            'network.graphs=[{kind="topology", name="complete", nodes=2000}, '
            '{kind="topology", name="path", nodes=8000000000}]',
            "network.graphs.1.nodes: 8,000,000,000 need at least",
        ),
        ("runs=1000000000000", "runs: 1,000,000,000,000 need at least"),
        ("steps=1000000000000000000", "steps: got 1000000000000000000 (a whole number), expected less than 2147483648"),
        ("record_every=1000000000000", "record_every: got 1000000000000"),
        ("runs=0", "runs: got 0 (a whole number), expected greater than or equal to 1"),
        ("steps=-1", "steps: got -1 (a whole number), expected greater than or equal to 1"),
        ("steps=2000000000 ", "record_every: records: 2,000,000,001 need at least"),
    ],
)
def test_sizes_that_nothing_has_room_for(tmp_path, override, words):
    file = tmp_path / "my.toml"
    file.write_text(RING.replace("steps", "record_every = 1\nsteps", 1) if override.endswith(" ") else RING)
    said = refused(file, override, [words])
    assert ", expected " in said or "GiB are free; give" in said


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.map.components=100000000", r"data\.map\.components: 100,000,000 need at least .* give .* at most"),
        ("data.map={kind='fourier', components=9000000000000000000}", r"data\.map\.components: 9\.0e\+18 need"),
        ("training.loss={kind='mlp', hidden=[3, 1000000000000]}", r"training\.loss\.hidden\.1: 1,000,000,000,000 need"),
    ],
)
def test_features_and_neurons_that_nothing_has_room_for(override, words):
    with pytest.raises(MemoryError, match=words):
        build(EXPERIMENTS.read("svm_breast_cancer", [override]))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("channel={kind='uniform', step=0.1, bits=2000000000}", "channel.bits: expected from 2 to 32"),
        (
            "method.allocation.step={values=[0.1, 0.2], until=[1000000000000000000]}",
            "method.allocation.step.until.0: got 1000000000000000000 (a whole number), expected less than 2147483648",
        ),
    ],
)
def test_settings_of_methods_that_nothing_counts_to(override, words):
    refused("ring_allocation", override, [words])


def test_graphs_that_fit_by_themselves_only(monkeypatch):
    """Of rings of 1,000 nodes, some 0.6 MB each, three have room in 2 MiB."""
    monkeypatch.setattr("jaxcoopt.experiments.limits.free_memory", lambda: 2 * 2**20)
    ring = "{kind='topology', name='ring', nodes=1000}"
    settings = EXPERIMENTS.read("ring_allocation", [f"network.graphs=[{', '.join([ring] * 5)}]", "runs=1"])
    with pytest.raises(MemoryError, match=r"network\.graphs: 5 need at least .* give 3 at most"):
        build(settings)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.loss={kind='mlp', hidden=[20000000]}", r"training\.loss\.hidden\.0: 20,000,000 need"),  # 30 features
        ("method.training.batch_size=1000000000", r"method\.training\.batch_size: samples: 1,000,000,000 need"),
    ],
)
def test_sizes_that_go_with_the_data(monkeypatch, override, words):
    monkeypatch.setattr("jaxcoopt.experiments.limits.free_memory", lambda: 2**34)
    with pytest.raises(MemoryError, match=words + r" at least .* give .* at most"):
        build(EXPERIMENTS.read("svm_breast_cancer", [override]))


def test_a_folder_whose_name_is_too_long():
    with pytest.raises(OSError, match=r"data\.folder: f{200}: File name too long; give another folder"):
        build(EXPERIMENTS.read("svm_breast_cancer", ["data={folder='" + "f" * 5000 + "'}"]))


def test_more_samples_than_there_are():
    with pytest.raises(ValueError, match=r"data\.samples: breast_cancer has 569, got 570; give 569 at most"):
        build(EXPERIMENTS.read("svm_breast_cancer", ["data.samples=570"]))


def test_titles_that_no_line_holds(untyped):
    """In a file, a comparison and a call alike."""
    with pytest.raises(ValueError, match=r"title: got 'xx.* of 1,001 letters, expected 1,000 at most"):
        COMPARISONS.read("headline", ["title=" + "x" * 1001])
    with pytest.raises(ValueError, match="title: expected 1,000 letters at most, got 1,001: xxx"):
        jc.sweep(None, None, None, {}, steps=1, title="x" * 1001)
    assert EXPERIMENTS.read("ring_allocation", ["title=" + "x" * 1000]).title == "x" * 1000


def test_sweeps_and_tunings_that_nothing_has_room_for():
    with pytest.raises(MemoryError, match=r"tune\.starts, each with tune\.runs: runs: .* need at least"):
        play_tuning(TUNINGS.read("ring", ["tune.starts=1000000000", "tune.runs=1000000000"]))
    with pytest.raises(ValueError, match=r"tune\.iterations: got 1000000000000"):
        TUNINGS.read("ring", ["tune.iterations=1000000000000"])
    assert SWEEPS.read("quantizer", ["sweep.seeds=1000000000000"]).sweep.seeds == 10**12  # `sweep` refuses it


@pytest.mark.parametrize(
    "name", [name for name in TOPOLOGIES if name not in ("karate", "florentine", "les_miserables")]
)
def test_every_graph_says_how_many_nodes_fit(name, monkeypatch):
    monkeypatch.setattr("jaxcoopt.datasets.size.free_memory", lambda: 2**20)
    with pytest.raises(MemoryError, match=r"nodes: 1\.0e\+15 need at least .* are free; give [0-9,]+ at most") as error:
        topology(name, 10**15)
    most = int(str(error.value).split("give ")[1].split(" ")[0].replace(",", ""))
    assert 50 < most < 3000
    if name not in ("grid", "torus", "regular"):
        assert len(topology(name, most)) == most
    with pytest.raises(MemoryError):
        topology(name, 2 * most)


def test_a_random_graph_that_takes_hours(monkeypatch):
    monkeypatch.setattr("jaxcoopt.datasets.size.free_memory", lambda: 2**50)
    with pytest.raises(ValueError, match=r"erdos_renyi draws each .* give 141,421 at most, or use 'regular'"):
        topology("erdos_renyi", 10**6)


def test_cases_of_the_benchmark(tmp_path):
    file = tmp_path / "cases.json"
    for text in ("[" * 3000, '[{"nodes": ' + "9" * 5000 + "}]", "\0", "3"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"cases\.json: expected a JSON list"):
            grid(str(file), {})
    with pytest.raises(ValueError, match=r"--nodes: expected whole numbers") as error:
        read_axes({"nodes": "9" * 5000})
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("instances=1000000000000", r"headline: instances: 1,000,000,000,000 need at least .* give .* at most"),
        ("tuning_instances=1000000000000", r"headline: tuning_instances: 1,000,000,000,000 need"),
        ("width=1000000000000", r"headline: width: 1,000,000,000,000 need"),
        ("networks.0.nodes=[20, 1000000000000]", r"headline: networks\.0\.nodes: 1,000,000,000,000 need"),
        ("networks.0.graphs=1000000000000", r"headline: networks\.0\.graphs: 1,000,000,000,000 need"),
        ("networks.0.nodes=[]", r"'headline': networks\.0: nodes: regular comes in any size"),
        ("checkpoints=[1000000000000]", r"checkpoints\.0: got 1000000000000"),
    ],
)
def test_comparisons_that_nothing_has_room_for(override, words):
    with pytest.raises((MemoryError, ValueError), match=words):
        run_comparison("headline", [override], Path("never"), False, None, True)
