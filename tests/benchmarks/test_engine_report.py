"""The table and the picture are made from the JSON, and the README holds what the committed JSON gives."""

import json
from pathlib import Path

import pytest

from benchmarks.engine.case import HEADLINE, Case
from benchmarks.engine.comparisons import comparisons
from benchmarks.engine.picture import cost_figure, series
from benchmarks.engine.rows import best_numpy, make_row, skipped_row
from benchmarks.engine.tables import BLOCK, readme_lines, screen_table
from jaxcoopt.report.readme import block, pattern

ROOT = Path(__file__).parents[2]
RESULTS = "benchmarks/results/engine"


def timing(case: Case, entrant: str, seconds: float, **about):
    info = {"case": case.name, "entrant": entrant, "iterations": 10, **about}
    return {"extra_info": info, "stats": {"min": 10 * seconds, "median": 11 * seconds, "rounds": 7}}


def row(case: Case, ours: float = 1e-3, numpy: float = 5e-3, threads: float = 4e-3):
    same = {"agreement": {"agrees": True}}
    timings = [timing(case, "engine", ours), timing(case, "numpy", numpy, **same)]
    timings += [timing(case, "numpy-threads", threads, **same)]
    algorithms = {name: {"min": at, "median": at} for name, at in (("SimpleGT", 0.005), ("ATC_Tracking", 0.009))}
    decent = {"algorithms": algorithms, "agreement": {"agrees": True}}
    found = {"floor": {"seconds": 6e-4, "bytes": 1e6}, "parts": {"gradient": 2e-4}, "decent-bench": decent}
    return make_row(case, timings, found, {(case.name, "vmap"): "too large"})


@pytest.mark.fast
def test_a_row_divides_by_iterations_and_takes_the_best_rival():
    made = row(HEADLINE)
    assert made["engine"]["min"] == pytest.approx(1e-3)
    assert made["engine"]["median"] == pytest.approx(1.1e-3)
    assert made["node_updates_per_second"] == pytest.approx(64e6)
    assert best_numpy(made)["ratio"] == pytest.approx(4)  # pyright: ignore[reportOptionalSubscript]
    assert made["rivals"]["vmap"] == {"absent": "too large"}
    assert made["percent_of_floor"] == pytest.approx(60)
    assert made["parts"]["elementwise and the rest"] == pytest.approx(8e-4)
    assert made["rivals"]["decent-bench"]["how"] == {"algorithm": "SimpleGT"}
    assert made["rivals"]["decent-bench"]["ratio"] == pytest.approx(0.005 / 1000 / (1e-3 / 64000))


@pytest.mark.fast
def test_what_was_asked_is_answered_from_the_rows():
    found = {each.what: each for each in comparisons([row(HEADLINE)])}
    against = found["64 runs, log-quantized: times the best NumPy/SciPy"]
    assert against.value == pytest.approx(4)
    assert against.met is False
    assert found["percent of the floor, 64 runs"].value == pytest.approx(60)
    assert found["1 run: times the best NumPy/SciPy"].met is None


def test_the_picture_of_a_single_case_has_ticks():
    figure = cost_figure([row(HEADLINE)])
    for axes in figure.axes:
        assert len(axes.get_xticks()) == 1
        low, high = axes.get_ylim()
        ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
        assert len(ticks) >= 2
    figure.draw_without_rendering()
    assert all(label.get_text() for label in figure.axes[0].get_yticklabels())


@pytest.mark.fast
def test_tables_and_picture():
    rows = [row(HEADLINE), row(Case(nodes=100)), row(Case(nodes=20), threads=6e-3), skipped_row(Case(nodes=5), "small")]
    report = {"machine": {"cores": 2, "cpu": "a CPU", "device": "cpu"}, "versions": {"jax": "1", "numpy": "2"}}
    text = "\n".join(readme_lines(report | {"rows": rows}, "engine.png"))
    assert "| 1,000, 8, 64, 10 | log | regular | 1,000 | 6.4e+07 | 5.0x | 4.0x |" in text
    assert "| gradient | 200 |" in text
    assert screen_table(rows).row_count == 3
    assert [each["case"]["nodes"] for each in series(rows, "nodes")] == [20, 100, 1000]
    assert len(cost_figure(rows).axes) == 4


@pytest.mark.fast
def test_an_entrant_that_failed_is_told():
    made = make_row(HEADLINE, [], {}, {(HEADLINE.name, "engine"): "MemoryError: too much"})
    assert made["skipped"] == "MemoryError: too much"


@pytest.mark.fast
def test_the_readme_holds_what_the_json_gives():
    """Written by `jaxcoopt bench --out benchmarks/results --readme docs/speed.md`."""
    found = pattern(BLOCK).search((ROOT / "docs" / "speed.md").read_text())
    if found is None and not (ROOT / f"{RESULTS}.json").exists():
        pytest.skip("no benchmark was committed")
    assert found is not None
    report = json.loads((ROOT / f"{RESULTS}.json").read_text())
    assert found.group() == block(BLOCK, readme_lines(report, f"../{RESULTS}.png"))
    assert (ROOT / f"{RESULTS}.png").exists()
