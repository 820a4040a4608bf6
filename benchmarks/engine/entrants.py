"""Who is timed in a case: the engine and its rivals, each as something that advances by a number of iterations."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax

from benchmarks.engine import decent_rival, vmap_rival
from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import HEADLINE, Case
from benchmarks.engine.engine import Engine, State
from benchmarks.engine.floor import make_floor
from benchmarks.engine.instance import Instance, make_instance
from benchmarks.engine.numpy_rival import NumpyRival, candidates
from benchmarks.engine.parts import measure_parts
from benchmarks.engine.vmap_rival import VmapRival
from jaxcoopt.run.shards import cores
from jaxcoopt.shown import briefly

RIVALS = ("numpy", "vmap", "decent-bench")
ENTRANTS = {"numpy": ("numpy", "numpy-threads"), "vmap": ("vmap",), "decent-bench": ()}
TRIAL = 0.02  # seconds given to each variant of a rival; the quickest is then timed at length


@briefly
@dataclass
class Ready:
    """What pytest-benchmark times, and what the JSON says about it."""

    advance: Callable[[int], None]
    about: dict[str, Any] = field(default_factory=dict)


class LeftOut(Exception):
    """A rule that leaves an entrant out of a case; its text is the reason."""


class Stage:
    """One case at a time: its instance, the engine's answer, and what is found out besides timings.

    float32 and float64 cases share the process: `jax.enable_x64` is part of the key of every compiled program, so that
    neither sees the other's, and one screen and one JSON cover both. A ratio is always within one case.
    """

    def __init__(self, rivals: tuple[str, ...]) -> None:
        self.rivals = rivals
        self.case: Case | None = None
        self.instance: Any = None
        self.start: State | None = None
        self.answer: Any = None
        self.found: dict[str, dict[str, Any]] = {}

    @contextmanager
    def ready(self, case: Case, entrant: str) -> Iterator[Ready]:
        """The entrant, compiled, checked against the engine and warm. Raises LeftOut naming the rule."""
        with jax.enable_x64(case.precision == "float64"):
            if case != self.case:
                self._set(case)
            maker = {"engine": self._engine, "numpy": self._numpy, "numpy-threads": self._threads, "vmap": self._vmap}
            with maker[entrant]() as ready:
                yield ready

    def _set(self, case: Case) -> None:
        """Lets go of the last case before the next one needs its memory."""
        self.case = self.instance = self.start = self.answer = None
        self.instance = make_instance(case)
        self.case = case

    @contextmanager
    def _engine(self) -> Iterator[Ready]:
        instance: Instance = self.instance
        engine = Engine(instance)
        begin = time.perf_counter()
        engine.advance(ITERATIONS)
        first = time.perf_counter() - begin
        self.start, self.answer = engine.start, engine.state()
        ready = Ready(engine.advance, {"compile_seconds": first})
        yield ready
        found = self.found.setdefault(instance.case.name, {})
        found["floor"] = make_floor(instance).table()
        if instance.case == HEADLINE:
            found["parts"] = measure_parts(instance, engine)
        if "decent-bench" in self.rivals:
            found["decent-bench"] = decent_rival.measure(instance, self.start)

    @contextmanager
    def _numpy(self, workers: int = 1) -> Iterator[Ready]:
        """The quickest of the rival's variants in this case."""
        start = self._start()
        best, quickest = (1, 1, False), float("inf")
        for variant in candidates(self.instance.case.runs, workers):
            with _closing(NumpyRival(self.instance, start, *variant)) as rival:
                seconds = _trial(rival.advance)
            if seconds < quickest:
                best, quickest = variant, seconds
        with _closing(NumpyRival(self.instance, start, *best)) as rival:
            about = dict(zip(("block", "threads", "joint"), best, strict=True))
            yield Ready(rival.advance, {"how": about, "agreement": self._agreement(rival)})

    def _threads(self) -> Any:
        if cores() < 2:
            raise LeftOut("one core only")
        if self.instance.case.runs < 2:
            raise LeftOut("threads take blocks of runs, and there is one run")
        return self._numpy(cores())

    @contextmanager
    def _vmap(self) -> Iterator[Ready]:
        start, reason = self._start(), vmap_rival.why_not(self.instance)
        if reason is not None:
            raise LeftOut(reason)
        ways = (False, True) if self.instance.case.nodes <= vmap_rival.DENSE_NODES else (False,)
        rivals = [VmapRival(self.instance, start, dense) for dense in ways]
        checks = [self._agreement(rival) for rival in rivals]
        seconds = [_trial(rival.advance) for rival in rivals]
        best = seconds.index(min(seconds))
        about = {"how": {"mix": "dense" if ways[best] else "neighbour table"}, "agreement": checks[best]}
        yield Ready(rivals[best].advance, about)

    def _start(self) -> State:
        if self.start is None:
            raise LeftOut("the engine did not run")
        return self.start

    def _agreement(self, rival: Any) -> dict[str, Any]:
        rival.advance(ITERATIONS)
        return agreement(self.answer, rival.state())


def entrants_of(rivals: tuple[str, ...]) -> tuple[str, ...]:
    """The engine first: it has the start and the answer that the others are held to."""
    return ("engine", *(entrant for rival in rivals for entrant in ENTRANTS[rival]))


@contextmanager
def _closing(rival: NumpyRival) -> Iterator[NumpyRival]:
    try:
        yield rival
    finally:
        rival.close()


def _trial(advance: Callable[[int], None]) -> float:
    """Roughly the seconds of an iteration, once warm."""
    advance(1)
    iterations = max(1, round(TRIAL / 2 / _seconds(advance, 1)))
    return min(_seconds(advance, iterations) for _ in range(2)) / iterations


def _seconds(advance: Callable[[int], None], iterations: int) -> float:
    begin = time.perf_counter()
    advance(iterations)
    return time.perf_counter() - begin
