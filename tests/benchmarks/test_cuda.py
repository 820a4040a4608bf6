"""The benchmark on a GPU, tried on a CPU: its files, its limits, its tables, and that its rivals compute the same."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from benchmarks import cuda_wheels
from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import Case
from benchmarks.engine.engine import Engine
from benchmarks.engine.instance import make_instance
from benchmarks.gpu import part_choices, part_engine, part_rivals, rival_cupy, told
from benchmarks.gpu.parts import PARTS, done
from benchmarks.gpu.rival_torch import WAYS, TorchRival
from benchmarks.gpu.sheet import Sheet
from benchmarks.gpu.timed import floor_us, slope
from jaxcoopt import platform

CHECKOUT = Path(__file__).parents[2]
SHIM = r"""
#include <cmath>
#define __global__
#define __device__ static
struct At { long x; };
static At blockIdx, blockDim, threadIdx;
"""
LOOP = r"""
extern "C" void all(long threads, int n, int runs, const int* a, const float* b, const float* c, const float* d,
    const float* e, const float* f, float* x, float* y, float* z, float* g, const float* sent, float* next) {
  blockDim.x = 1;
  for (blockIdx.x = 0; blockIdx.x < threads; blockIdx.x++) iterate(n, runs, a, b, c, d, e, f, x, y, z, g, sent, next);
}
"""


def instance_and_answer(graph="regular"):
    case = Case(nodes=20, degree=4, runs=3, params=4, graph=graph)
    instance = make_instance(case)
    engine = Engine(instance)
    engine.advance(ITERATIONS)
    return instance, engine.start, engine.state()


def test_a_part_is_tried_and_taken_up_again(tmp_path):
    """The real command with tiny sizes: every part, its file, its rows; a second call makes nothing again."""
    command = [sys.executable, "-m", "benchmarks.cuda", "--small", "--out", str(tmp_path), "--seconds", "1200"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(CHECKOUT)}
    first = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    report = json.loads((tmp_path / "cuda_cpu_small.json").read_text())
    assert set(report["parts"]) == set(PARTS)
    assert {"device", "platform", "versions", "cores"} <= set(report)
    for name, part in report["parts"].items():
        assert part["complete"], name
        assert part["rows"], name
        assert not [row for row in part["rows"] if "error" in row], part["rows"]
    assert not told.wrong(report)
    assert all(row["ok"] for row in told.rows(report, "correct"))
    timed = [row for row in told.rows(report, "engine") if row["name"] != "rates"]
    assert {row["method"] for row in timed} == set(part_engine.METHODS)
    assert all(row["us_least"] <= row["us"] <= row["us_most"] and row["floor_us"] > 0 for row in timed)
    assert {row["entrant"] for row in told.rows(report, "rivals")} == {"engine", "vmap"}
    assert {row["without"] for row in told.rows(report, "choices")} == {"", "graph", "gathered"}
    assert [row["not_at_the_end"] for row in told.rows(report, "sweep")] == [0, 0]
    assert told.rows(report, "tune")[0]["ratio"] > 0
    assert (tmp_path / "cuda_cpu_small.png").stat().st_size > 1000
    second = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert second.stdout.count("done before") == len(PARTS)


@pytest.mark.fast
def test_rows_are_kept_and_what_lacks_time_is_tried_again(tmp_path):
    made = []

    def row():
        made.append(1)
        return {"us": 1.0}

    def wrong():
        raise ValueError("of the device")

    sheet = Sheet(tmp_path, "engine", 10.0, small=False)
    sheet.make("first", 1, row)
    sheet.make("long", 60, row)
    sheet.make("bad", 0, wrong)
    assert not done(tmp_path, "engine", small=False)
    sheet.save(complete=True)
    kept = {each["name"]: each for each in json.loads(sheet.path.read_text())["rows"]}
    assert kept["long"]["skipped"] == "10 s were left of 10, it needs about 60"
    assert kept["bad"]["error"] == "ValueError: of the device"
    assert not done(tmp_path, "engine", small=False)
    again = Sheet(tmp_path, "engine", 100.0, small=False)
    for name in ("first", "long", "bad"):
        again.make(name, 1, row)
    again.skip("never", "torch is not installed")
    again.save(complete=True)
    assert len(made) == 3
    assert done(tmp_path, "engine", small=False)
    assert not done(tmp_path, "engine", small=True)
    assert Sheet(tmp_path, "engine", 1.0, small=True).rows == []


@pytest.mark.fast
@pytest.mark.parametrize("unit", [2, 100])
def test_a_slope_leaves_out_what_a_call_costs(monkeypatch, unit):
    """A clock that goes on by 5 ms a call and 2 us an iteration."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def advance(iterations):
        assert iterations % unit == 0
        now[0] += 5e-3 + 2e-6 * iterations

    found = slope(advance, unit)
    assert found.us == pytest.approx(2.0)
    assert found.call_us == pytest.approx(5e3)
    assert found.least == pytest.approx(found.most)


@pytest.mark.fast
def test_the_floor_is_a_copy_or_a_turn():
    rates = {"copy_bandwidth": 1e12, "cached_bandwidth": 4e12, "cached_bytes": 1e7, "turn_us": 2.0}
    assert floor_us({"state_bytes": 10**9, "setup_bytes": 10**9}, rates) == pytest.approx(3000)
    assert floor_us({"state_bytes": 8 * 10**6, "setup_bytes": 0}, rates) == pytest.approx(4.0)
    assert floor_us({"state_bytes": 1, "setup_bytes": 1}, rates) == 2.0


@pytest.mark.fast
def test_what_does_not_fit_and_what_is_asked_for():
    names = [timed.name for timed in part_engine.cases(small=False)]
    assert len(names) == len(set(names))
    grid = {(t.case.nodes, t.case.runs, t.method) for t in part_engine.cases(small=False) if t.case.graph == "regular"}
    methods = part_engine.METHODS
    assert {(n, runs, each) for n in part_engine.NODES for runs in part_engine.RUNS for each in methods} <= grid
    large = [t for t in part_engine.cases(small=False) if t.case.nodes * t.case.runs > 10**8]
    assert all(part_engine.why_skipped(timed.case, 139 * 2.0**30) for timed in large)
    room = 3 * part_engine.needed(Case())
    assert len(part_engine._first_of([part_engine.Timed(Case(), "message")] * 9, room)) == 3
    assert len(part_engine._first_of([part_engine.Timed(Case(), "message")] * 9, 1.0)) == 1


@pytest.mark.fast
def test_every_choice_is_switched_off_somewhere():
    off = {each.choice for each in part_choices.cases(small=False)}
    assert off == {"", "graph", *vars(platform.GPU)} - set(part_choices.ELSEWHERE)
    assert not part_choices._switched("gathered").gathered
    assert part_choices._switched("graph") == platform.GPU


def compiled(folder, code):
    """The kernel's loop over its threads, as the CPU's own compiler makes it."""
    source, library = folder / "step.cpp", folder / "step.so"
    source.write_text(SHIM + code + LOOP)
    subprocess.run(["g++", "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True, capture_output=True)
    go = ctypes.CDLL(str(library)).all

    def call(threads, nodes, runs, *arrays):
        assert all(each.flags.c_contiguous for each in arrays)
        go(ctypes.c_long(threads), int(nodes), int(runs), *(ctypes.c_void_p(each.ctypes.data) for each in arrays))

    return call


class OnDevice(np.ndarray):
    """As CuPy's arrays."""

    def set(self, values):
        self[...] = values


class StandIn(ModuleType):
    """What the rival uses of CuPy, on the CPU; a captured launch waits for its graph."""

    def __init__(self, folder):
        super().__init__("cupy")
        self.folder, self.recorded, self.launches, self.graphs = folder, None, 0, 0
        self.cuda = SimpleNamespace(Stream=self.stream, Device=lambda: SimpleNamespace(synchronize=lambda: None))
        self.asnumpy, self.zeros_like = np.array, np.zeros_like

    def asarray(self, values):
        return np.array(values).view(OnDevice)

    def RawModule(self, code):
        go = compiled(self.folder, code)

        def launch(blocks, threads, arguments):
            work = lambda: go(blocks[0] * threads[0], *arguments)  # noqa: E731
            if self.recorded is None:
                work()
                self.launches += 1
            else:
                self.recorded.append(work)

        return SimpleNamespace(get_function=lambda name: launch)

    def stream(self, non_blocking):
        assert non_blocking
        made = MagicMock()
        made.begin_capture = lambda: setattr(self, "recorded", [])
        made.end_capture = self.end_capture
        return made

    def end_capture(self):
        recorded, self.recorded = self.recorded, None

        def launch(stream):
            self.graphs += 1
            for work in recorded:
                work()

        return SimpleNamespace(launch=launch)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("graph", ["regular", "barabasi-albert", "ring"])
def test_the_kernel_computes_the_iteration(float32, tmp_path, monkeypatch, graph):
    """Compiled for the CPU, thread after thread; by steps and by graphs, and again from the start."""
    cupy = StandIn(tmp_path)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    instance, start, expected = instance_and_answer(graph)
    assert not agreement(expected, start)["agrees"]
    rival = rival_cupy.CupyRival(instance, start)
    rival.advance(1)
    rival.advance(ITERATIONS - 1)
    assert agreement(expected, rival.state())["agrees"]
    assert cupy.launches == ITERATIONS
    assert cupy.graphs == 0
    assert part_rivals.same_in_graphs(rival, 302)
    assert cupy.graphs == 3
    assert rival.iteration == 302
    rival.advance(101)  # an odd place afterwards, from which graphs are reached by a step
    rival.advance(101)
    assert rival.iteration == 504
    assert cupy.graphs == 5


@pytest.mark.parametrize("way", WAYS)
def test_pytorch_computes_the_iteration(float32, way):
    pytest.importorskip("torch")
    instance, start, expected = instance_and_answer()
    rival = TorchRival(instance, start, way=way, compiled=False, device="cpu")
    rival.advance(1)
    rival.advance(ITERATIONS - 1)
    assert agreement(expected, rival.state())["agrees"]
    assert part_rivals.same_in_graphs(rival)
    assert "torch" in part_rivals.why_not(f"torch, {way}", instance)


def report_of(**parts):
    about = {"device": "NVIDIA X|1", "small": False, "versions": {"jax": "0.11.2", "python": "3.12.1"}}
    whole = {name: {"complete": True, "rows": rows} for name, rows in parts.items()}
    return about | {"parts": whole}


@pytest.mark.fast
def test_the_tables(tmp_path):
    time = {"us": 20.0, "us_least": 19.0, "us_most": 30.0, "nodes": 1000, "runs": 64}
    engine = time | {"entrant": "engine", "name": "n=1000 runs=64 engine"}
    rival = engine | {"us": 50.0, "entrant": "cupy", "name": "n=1000 runs=64 cupy"}
    other = {"entrant": "torch", "name": "n=1000 runs=64 torch", "nodes": 1000, "runs": 64, "ok": False}
    check = {"name": "budget, x", "worst": 1e-3, "limit": 1e-6, "ok": False}
    switched = time | {"method": "message", "record_us": 3.0}
    choices = [switched | {"name": "a, as it is", "without": ""}]
    choices += [switched | {"name": "a, without graph", "without": "graph", "us": 30.0}]
    report = report_of(
        correct=[check, {"name": "late", "skipped": "0 s were left of 5"}],
        rivals=[engine, rival, other],
        choices=choices,
    )
    text = "\n".join(told.lines(report))
    report["parts"]["rivals"]["complete"] = False
    unfinished = told._unfinished(report)
    assert unfinished == ["Ended before they were done: rivals.", "Not measured: engine, sweep, tune."]
    assert told.wrong(report) == ["correct: budget, x", "rivals: n=1000 runs=64 torch"]
    assert "| budget, x | 0.001 | 1e-06 | NO |" in text
    assert "| n=1000 runs=64 cupy | 50 (19 to 30) | 2.50 |" in text
    assert "gives other numbers" in text
    assert "| a, without graph | 30 (19 to 30) | 1.50 | 3 | 1.00 |" in text
    assert "| correct | late | 0 s were left of 5 |" in text
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- cuda -->\nold\n<!-- /cuda -->\nafter\n")
    told.publish(report, tmp_path, page)
    assert json.loads((tmp_path / "cuda_nvidia_x_1.json").read_text())["parts"]["rivals"]["rows"][1] == rival
    assert "old" not in page.read_text()
    assert "cuda_nvidia_x_1.png" in page.read_text()


@pytest.mark.fast
def test_wheels_are_collected_and_too_many_refused(tmp_path, monkeypatch):
    asked = []

    def run(words):
        asked.append(list(words))
        (tmp_path / "new" / f"{len(asked)}.whl").write_bytes(b"0" * 10)

    assert len(cuda_wheels.collect(tmp_path / "new", run)) == 3
    assert [words[0] for words in asked] == ["download", "download", "wheel"]
    assert all("3.12" in words for words in asked[:2])
    assert "--no-index --no-deps" in cuda_wheels.command(tmp_path)
    with pytest.raises(ValueError, match="it has wheels already"):
        cuda_wheels.collect(tmp_path / "new", run)
    monkeypatch.setattr(cuda_wheels, "MOST", 20)
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(ValueError, match="at most 0 can be carried"):
        cuda_wheels.collect(tmp_path / "new", run)
