"""Everyone who is timed computes the same iteration, from the same start."""

import subprocess

import jax
import numpy as np
import pytest

from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import Case
from benchmarks.engine.decent_rival import find_python
from benchmarks.engine.engine import Engine, State
from benchmarks.engine.floor import bytes_moved, gradient_flops, seconds_of
from benchmarks.engine.instance import make_instance
from benchmarks.engine.numpy_blocks import quantizer
from benchmarks.engine.numpy_rival import NumpyRival, candidates
from benchmarks.engine.parts import measure_parts, with_rest
from benchmarks.engine.vmap_rival import VmapRival

CASES = [
    Case(nodes=20, degree=4, runs=5, params=6, channel=channel, precision="float64", graph=graph)
    for channel in ("log", "ideal")
    for graph in ("regular", "barabasi-albert", "ring")
]
WIDE = Case(nodes=10, degree=3, runs=3, params=50, precision="float64")  # more parameters than a Gram matrix is worth


def answer(case: Case):
    instance = make_instance(case)
    engine = Engine(instance)
    engine.advance(ITERATIONS)
    return instance, engine.start, engine.state()


@pytest.mark.parametrize("case", [*CASES, WIDE], ids=lambda case: case.name)
def test_all_agree_to_rounding_in_float64(case):
    instance, start, expected = answer(case)
    assert not np.allclose(expected.x, start.x, rtol=1e-3)
    rivals = [NumpyRival(instance, start, *variant) for variant in ((2, 1, False), (2, 2, False), (5, 1, True))]
    rivals += [VmapRival(instance, start, dense) for dense in (False, True)]
    for rival in rivals:
        rival.advance(1)
        rival.advance(ITERATIONS - 1)
        found = agreement(expected, rival.state())
        assert found["agrees"], (type(rival), found)
        assert found["largest"] < 1e-10


def test_they_agree_in_float32(float32):
    case = Case(nodes=30, degree=4, runs=4, params=10)
    instance, start, expected = answer(case)
    assert expected.y.dtype == np.float32
    for rival in (NumpyRival(instance, start, 4), VmapRival(instance, start, dense=False)):
        rival.advance(ITERATIONS)
        assert rival.state().y.dtype == np.float32
        assert agreement(expected, rival.state())["agrees"]


@pytest.mark.fast
def test_a_wrong_answer_is_noticed():
    rng = np.random.default_rng(0)
    ours = State(rng.normal(size=(10, 4)), rng.normal(size=(10, 3, 4)))
    assert agreement(ours, ours)["agrees"]
    assert not agreement(ours, State(ours.x, ours.y + 1e-8))["agrees"]
    assert not agreement(ours, State(ours.x * np.nan, ours.y))["agrees"]
    single = State(ours.x.astype(np.float32), ours.y.astype(np.float32))
    flipped = single.y.copy()
    flipped[0, 0, 0] += 1
    assert agreement(single, State(single.x, flipped))["part_off"] == pytest.approx(1 / 120)
    assert agreement(single, State(single.x, flipped))["agrees"]  # less than 1 % are off
    flipped[1] += 1
    assert not agreement(single, State(single.x, flipped))["agrees"]


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_quantizer_puts_the_sign_on_by_its_bit(rng, dtype):
    u = np.concatenate([rng.normal(size=200), [0.0, -0.0, 1e-20, -1e20]]).astype(dtype)
    sent, fill = quantizer(u)
    with np.errstate(divide="ignore"):
        fill()
        expected = np.copysign(np.exp(0.5 * np.rint(np.log(np.abs(u.astype(float))) / 0.5)), u)
    off = np.abs(sent / np.where(expected == 0, 1, expected) - (expected != 0)) > 1e-5
    assert off.sum() == 0


@pytest.mark.fast
def test_blocks_cover_the_threads():
    assert candidates(64, 2) == [(16, 2, False), (16, 2, True), (32, 2, False), (32, 2, True)]
    assert candidates(1, 1) == [(1, 1, False), (1, 1, True)]


@pytest.mark.fast
def test_the_floor_counts_by_hand():
    case = Case(nodes=10, degree=2, runs=3, params=5)
    state, messages = 2 * 10 * 3 * (3 * 5 + 1), 10 * 3 * 11 * (2 + 1 + 1)
    assert bytes_moved(case, 2.0) == 4 * (state + messages + 10 * 5 * 6)
    assert gradient_flops(case) == 2 * 10 * 3 * 5 * 5


def test_loops_and_parts_are_timed():
    assert 0 < seconds_of(lambda u: u + 1, jax.numpy.zeros(10)) < 1e-3
    instance = make_instance(CASES[0])
    engine = Engine(instance)
    engine.advance(1)
    parts = with_rest(measure_parts(instance, engine), 1.0)
    assert sum(parts.values()) == pytest.approx(1.0)
    assert all(seconds > 0 for seconds in parts.values())
    engine.advance(1)  # the parts left the engine's own arrays alone


@pytest.mark.fast
def test_a_python_for_decent_bench_is_found_or_missed_in_words():
    try:
        path = find_python()
    except RuntimeError as error:
        assert "3.13" in str(error)  # noqa: PT017
        return
    script = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([str(path), "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "13"]
