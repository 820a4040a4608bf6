"""Microseconds of an iteration over nodes, runs and methods, beside what a copy of the same bytes would take."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax

import jaxcoopt as jc
from benchmarks.engine.case import Case, why_skipped
from benchmarks.engine.floor import bytes_moved
from benchmarks.engine.instance import make_instance, make_problem
from benchmarks.gpu.rates import measure
from benchmarks.gpu.sheet import Sheet
from benchmarks.gpu.timed import Loop, build, floor_us, slope
from benchmarks.gpu_program import Program, softmax
from jaxcoopt.run.memory import available

RUNS, NODES = (64, 1024, 1, 16384), (1000, 100, 10000, 20)
LOG = {place: jc.channels.LogQuantizer(0.5, placement=place) for place in ("message", "innovation")}
PAPERS = jc.methods.LaplacianFlow(0.05), jc.methods.GradientTracking(0.02)
METHODS = {
    "message": jc.CoOptimizer(*PAPERS, LOG["message"]),
    "dual": jc.CoOptimizer(jc.methods.DualFlow(), PAPERS[1], LOG["innovation"]),
    "ideal": jc.CoOptimizer(*PAPERS, jc.channels.Ideal()),
    "innovation": jc.CoOptimizer(*PAPERS, LOG["innovation"]),
}
TOGETHER = 12  # programs that are compiled side by side, then timed one after the other
PART = 0.3  # of the free memory that their arrays may take
EACH = 1.5  # seconds that the timing of one takes, about
SECONDS = 30.0  # that such a batch needs, until one has told


@dataclass(frozen=True)
class Timed:
    """A case to be timed, and what it is for the table."""

    case: Case
    method: str
    make: Callable[[], tuple[jc.Problem, jc.Network]] | None = None
    title: str = ""

    @property
    def name(self) -> str:
        """Unique."""
        return self.title or f"n={self.case.nodes} runs={self.case.runs} {self.method} {self.case.graph}"

    @property
    def program(self) -> Program:
        """For `build`."""
        make = self.make or (lambda: problem_and_network(replace(self.case, runs=1)))
        return Program(self.name, make, METHODS[self.method], self.case.runs)


def cases(small: bool) -> Iterator[Timed]:
    """The most telling first: time may run out."""
    if small:
        tiny = Case(nodes=10, degree=4, runs=3, params=2)
        yield from (Timed(tiny, method) for method in METHODS)
        return
    hubs = "barabasi-albert"
    yield from (Timed(Case(runs=runs), "message") for runs in RUNS)
    yield from (Timed(Case(runs=runs), method) for method in ("dual", "ideal", "innovation") for runs in (64, 1024))
    yield Timed(Case(nodes=10000, runs=16, graph=hubs), "message")
    yield Timed(Case(nodes=1000, runs=1024, graph=hubs), "message")
    yield Timed(Case(nodes=20, runs=16, params=7850), "innovation", softmax, "softmax, 7,850 parameters, n=20 runs=16")
    yield from (Timed(Case(nodes=n, runs=runs), "message") for n in NODES[1:] for runs in RUNS)
    rest = [(n, runs, method) for runs in RUNS for n in NODES for method in ("dual", "ideal", "innovation")]
    yield from (
        Timed(Case(nodes=n, runs=runs), method) for n, runs, method in rest if n != 1000 or runs not in (64, 1024)
    )


@cache
def problem_and_network(case: Case) -> tuple[jc.Problem, jc.Network]:
    """Made once for all numbers of runs."""
    instance = make_instance(case)
    return make_problem(instance), jc.Network.from_graphs(instance.graphs)


def needed(case: Case) -> float:
    """Bytes of a case's arrays, about: as `benchmarks.engine.case.why_skipped` counts them."""
    return 12.0 * case.values * case.float_bytes


def run(sheet: Sheet) -> None:
    """All cases, a batch at a time."""
    sheet.make("rates", 5, lambda: measure(sheet.small))
    rates = next(row for row in sheet.rows if row["name"] == "rates")
    if "error" in rates:
        return
    memory, waiting, seconds = available(), [], 0.1 if sheet.small else SECONDS
    for timed in cases(sheet.small):
        reason = why_skipped(timed.case, memory)
        if reason is not None:
            sheet.skip(timed.name, reason)
        elif not sheet.has(timed.name):
            waiting.append(timed)
    while waiting:
        batch = _first_of(waiting, memory * PART)
        del waiting[: len(batch)]
        if sheet.left < seconds:
            for timed in batch:
                sheet.late(timed.name, seconds)
            continue
        before = sheet.left
        _batch(sheet, batch, rates)
        seconds = max(0.1, (before - sheet.left) * min(TOGETHER, len(waiting)) / len(batch))
        jax.clear_caches()


def _first_of(waiting: list[Timed], room: float) -> list[Timed]:
    """As many as are compiled together and fit; one at least."""
    taken, batch = 0.0, []
    for timed in waiting[:TOGETHER]:
        taken += needed(timed.case)
        if batch and taken > room:
            break
        batch.append(timed)
    return batch


def _batch(sheet: Sheet, batch: list[Timed], rates: dict[str, Any]) -> None:
    loops = build([timed.program for timed in batch])
    for index, timed in enumerate(batch):
        loop, loops[index] = loops[index], ValueError()  # its memory goes when it has been timed
        needs = 0.0 if sheet.small else EACH
        sheet.make(timed.name, needs, lambda timed=timed, loop=loop: _row(timed, loop, rates))


def _row(timed: Timed, loop: Loop | Exception, rates: dict[str, Any]) -> dict[str, Any]:
    if isinstance(loop, Exception):
        raise loop
    found = slope(loop.advance)
    sizes = loop.sizes()
    least = floor_us(sizes, rates)
    row = timed.case.settings() | {"method": timed.method} | found.json() | {"floor_us": float(f"{least:.4g}")}
    if timed.method == "message":  # the engine benchmark's count, with every neighbour's message read
        moved = bytes_moved(timed.case, timed.case.degree)
        row["with_gathers_us"] = float(f"{1e6 * moved / rates['copy_bandwidth']:.4g}")
    return row | {"record_us": round(loop.record_us(3), 2), "compile_seconds": loop.compile_seconds} | sizes
