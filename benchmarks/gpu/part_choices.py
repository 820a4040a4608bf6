"""Each of the GPU's choices switched off in turn, and the CUDA graph: whether it pays, and by how much."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax

from benchmarks.engine.case import Case
from benchmarks.gpu.part_engine import EACH, Timed
from benchmarks.gpu.sheet import Sheet
from benchmarks.gpu.timed import WORKERS, compiled, slope, traced
from jaxcoopt import compiler, platform

ELSEWHERE = ("runs_a_device", "chunk_bytes")  # seen with several devices, and in a sweep
SECONDS = 60.0  # that all of it needs, about


@dataclass(frozen=True)
class Off:
    """A case, and what is switched off in it: "" for nothing, "graph", or a field of `Choices`."""

    timed: Timed
    choice: str

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.timed.name}, without {self.choice}" if self.choice else f"{self.timed.name}, as it is"


def cases(small: bool) -> Iterator[Off]:
    """Each choice where it should matter, beside the same case as it is."""
    if small:
        tiny = Timed(Case(nodes=10, degree=4, runs=3, params=2), "dual")
        yield from (Off(tiny, choice) for choice in ("", "graph", "gathered"))
        return
    yield from (
        Off(timed, choice)
        for timed, choices in (
            (Timed(Case(), "message"), ("graph", "gathered", "barriers", "pairs_reduced", "records")),
            (Timed(Case(), "dual"), ("newton_written_out", "barriers", "graph", "gathered")),
            (Timed(Case(runs=8), "message"), ("few_runs_as_rows", "graph")),
            (Timed(Case(nodes=10000, runs=16, graph="barabasi-albert"), "message"), ("gathered", "graph")),
        )
        for choice in ("", *choices)
    )


def run(sheet: Sheet) -> None:
    """Traced one after the other, as that depends on the choices of the moment; compiled side by side; then timed."""
    waiting = [off for off in cases(sheet.small) if not sheet.has(off.name)]
    if waiting and sheet.left < (0.1 if sheet.small else SECONDS):
        for off in waiting:
            sheet.late(off.name, SECONDS)
        return
    made = [_traced(off) for off in waiting]
    with ThreadPoolExecutor(WORKERS) as pool:
        loops = [pool.submit(_compiled, each) for each in made]
    for off, loop in zip(waiting, loops, strict=True):
        sheet.make(off.name, 0.0 if sheet.small else EACH, lambda off=off, loop=loop: _row(off, loop))


def _switched(choice: str) -> platform.Choices:
    usual = platform.GPU
    return replace(usual, **{choice: getattr(platform.CPU, choice)}) if choice in vars(usual) else usual


def _traced(off: Off) -> Any:
    """Nothing that was traced with other choices is used."""
    usual = platform.GPU
    options = {} if off.choice == "graph" else compiler.options_for(off.timed.case.runs)
    platform.GPU = _switched(off.choice)
    jax.clear_caches()
    try:
        return traced(off.timed.program, options)
    except Exception as error:
        return error
    finally:
        platform.GPU = usual
        jax.clear_caches()


def _compiled(given: Any) -> Any:
    if isinstance(given, Exception):
        raise given
    return compiled(given)


def _row(off: Off, future: Any) -> dict[str, Any]:
    loop, usual = future.result(), platform.GPU
    platform.GPU = _switched(off.choice)  # how many records a call makes
    try:
        about = off.timed.case.settings() | {"method": off.timed.method, "without": off.choice}
        times = slope(loop.advance).json() | {"record_us": round(loop.record_us(), 2)}
        return about | times | {"compile_seconds": loop.compile_seconds}
    finally:
        platform.GPU = usual
