"""The paper's iteration by others: the plain vmapped JAX step, PyTorch, and a hand-written kernel through CuPy.

Each is checked against the engine's answer before it is timed, from the same start and in the same process.
"""

import gc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import Case
from benchmarks.engine.engine import Engine, State
from benchmarks.engine.instance import Instance, make_instance
from benchmarks.engine.vmap_rival import VmapRival, slots
from benchmarks.gpu.rival_cupy import CupyRival
from benchmarks.gpu.rival_torch import WAYS, TorchRival
from benchmarks.gpu.sheet import Row, Sheet
from benchmarks.gpu.timed import slope

GATHERED = 1.5e10  # bytes of all neighbours' messages, which PyTorch writes out where it is not compiled
SIZES = ((1000, 64), (1000, 1024), (1000, 16384), (1000, 1), (100, 64), (100, 16384), (10000, 64))
NEEDS = {"engine": 15.0, "vmap": 10.0, "cupy": 5.0, "torch": 5.0, "torch compiled": 20.0}


def cases(small: bool) -> list[Case]:
    """The most telling first."""
    if small:
        return [Case(nodes=10, degree=4, runs=3, params=2)]
    return [Case(nodes=nodes, runs=runs) for nodes, runs in SIZES]


def run(sheet: Sheet) -> None:
    """Case by case, each entrant in a row of its own."""
    for case in cases(sheet.small):
        names = {name: f"n={case.nodes} runs={case.runs} {name}" for name in ("engine", "vmap", *entrants())}
        if all(map(sheet.has, names.values())):
            continue
        instance, held = make_instance(case), Held()
        for name, title in names.items():
            reason = why_not(name, instance)
            if name == "engine" and sheet.has(title):
                held.answer_from(instance)
            if reason is not None:
                sheet.skip(title, reason)
                continue
            needs = 0.1 if sheet.small else NEEDS.get(name, NEEDS["torch compiled" if "compiled" in name else "torch"])
            sheet.make(title, needs, partial(held.row, name, instance))
            gc.collect()
        del held
        jax.clear_caches()


def entrants() -> dict[str, Callable[[Instance, State], Any]]:
    """Rivals beside the vmapped step, by name."""
    torch = {
        f"torch{' compiled' if compiled else ''}, {way}": partial(TorchRival, way=way, compiled=compiled)
        for compiled in (True, False)
        for way in WAYS
    }
    return {"cupy": CupyRival, **torch}


def why_not(name: str, instance: Instance) -> str | None:
    """What leaves an entrant out, in words, or None."""
    module = name.split(",")[0].split(" ")[0]
    if module in ("cupy", "torch"):
        if find_spec(module) is None:
            return f"{module} is not installed"
        if jax.default_backend() == "cpu":
            return f"{module} is timed on a GPU only"
    gathered = instance.case.values * slots(instance) * instance.case.float_bytes
    if module == "torch" and "compiled" not in name and gathered > GATHERED:
        return f"would write out {gathered / 1e9:.0f} GB of neighbours' messages an iteration"
    return None


class Held:
    """The engine's start and answer of one case."""

    def __init__(self) -> None:
        self.start: State | None = None
        self.answer: State | None = None

    def answer_from(self, instance: Instance) -> Engine:
        """The engine, after the iterations that are compared."""
        engine = Engine(instance)
        self.start = engine.start
        engine.advance(ITERATIONS)
        self.answer = engine.state()
        engine.advance(1)  # graphs change in turns
        return engine

    def row(self, name: str, instance: Instance) -> Row:
        """Of one entrant."""
        return {"entrant": name} | instance.case.settings() | self.timed(name, instance)

    def timed(self, name: str, instance: Instance) -> Row:
        """A rival's row; one that differs has no time."""
        if name == "engine":
            return slope(self.answer_from(instance).advance).json()
        if self.start is None or self.answer is None:
            raise ValueError("the engine's own answer is not there")
        make = partial(VmapRival, dense=False) if name == "vmap" else entrants()[name]
        rival = make(instance, self.start)
        rival.advance(ITERATIONS)
        found = agreement(self.answer, rival.state())
        if not found["agrees"]:
            return {"ok": False, "agreement": found}
        rival.advance(1)
        if name != "vmap" and not same_in_graphs(rival):
            return {"ok": False, "agreement": found | {"graphs": "a CUDA graph gives other numbers than its steps"}}
        return {"ok": True, "agreement": found} | slope(rival.advance, getattr(rival, "unit", 2)).json()


def same_in_graphs(rival: Any, iterations: int = 102) -> bool:
    """Whether iterations one by one and in CUDA graphs end alike, within float32's rounding."""
    ends = []
    for calls in ([1] * iterations, [iterations]):
        rival.restart()
        for call in calls:
            rival.advance(call)
        ends.append(rival.state())
    return all(np.allclose(getattr(ends[0], each), getattr(ends[1], each), rtol=1e-5, atol=1e-5) for each in "xy")
