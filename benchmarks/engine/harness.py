"""Runs pytest with pytest-benchmark over the cases, and makes rows of what it wrote."""

import contextlib
import io
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.engine import timed
from benchmarks.engine.case import Case
from benchmarks.engine.entrants import LeftOut, Stage, entrants_of
from benchmarks.engine.rows import make_row
from jaxcoopt.errors import require

LEAST, FEWEST, SLOW = 20, 4, 0.02  # iterations a call; FEWEST where one takes more seconds than SLOW
OPTIONS = ("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider", "-p", "no:warnings", "--noconftest", "-q", "-s")
OPTIONS += ("--assert=plain", "--import-mode=importlib", "--benchmark-disable-gc", "--benchmark-quiet")


class Plan:
    """A pytest plugin: which tests there are, and who hears when one is done."""

    def __init__(self, cases: list[Case], rivals: tuple[str, ...], done: Callable[[str], None]) -> None:
        self.pairs = [(case, entrant) for case in cases for entrant in entrants_of(rivals)]
        self.stage, self.done = Stage(rivals), done
        self.reasons: dict[tuple[str, str], str] = {}

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        """Keeps the reason of what was left out or went wrong."""
        if call.when != "call":
            return
        case, entrant = item.callspec.params["case"], item.callspec.params["entrant"]
        if call.excinfo is not None:
            error = call.excinfo.value
            text = str(error) if isinstance(error, LeftOut) else f"{type(error).__name__}: {error}"
            self.reasons[case.name, entrant] = " ".join(text.split())[:300]
        self.done(f"{case.name} {entrant}")

    @staticmethod
    def calibrate(advance: Callable[[int], None], seconds: float, most: int) -> tuple[int, float]:
        """How many iterations last `seconds`, and what a call of that many takes.

        At least LEAST, as in a run between records: a call's own cost, its memory above all, is shared by them. What is
        slow (rivals of large cases) is called for FEWEST, or the whole would take minutes.
        """
        begin = time.perf_counter()
        advance(1)
        taken = time.perf_counter() - begin
        iterations = min(most, LEAST if taken < SLOW else FEWEST)
        while True:
            begin = time.perf_counter()
            advance(iterations)
            taken = time.perf_counter() - begin
            if taken >= seconds or iterations >= most:
                return iterations, taken
            iterations = min(most, max(iterations + 1, round(1.2 * iterations * seconds / max(taken, 1e-9))))


def measure(cases: list[Case], rivals: tuple[str, ...], done: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each case. Raises RuntimeError where pytest itself fails, ImportError naming the `bench` extra."""
    pytest = require("pytest", extra="bench")
    require("pytest_benchmark", extra="bench")
    plan, screen = Plan(cases, rivals, done), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pytest.json"
        ini = Path(folder) / "pytest.ini"
        ini.write_text("[pytest]\n")
        arguments = [*OPTIONS, "-c", str(ini), f"--rootdir={folder}", f"--benchmark-json={path}", str(timed.__file__)]
        with _without_compilation_cache(), _plain_pytest(), contextlib.redirect_stdout(screen):
            code = pytest.main(arguments, plugins=[Named(plan)])
        if code == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not plan.pairs:
            raise RuntimeError(f"the benchmark did not run: pytest says {screen.getvalue()[-2000:]}")
        text = path.read_text() if path.exists() else ""
    timings = json.loads(text)["benchmarks"] if text else []
    return [make_row(case, timings, plan.stage.found.get(case.name, {}), plan.reasons) for case in cases]


class Named:
    """Registers the plan under the name by which the timed module finds it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def pytest_configure(self, config: Any) -> None:
        """Called by pytest first."""
        config.pluginmanager.register(self.plan, "jaxcoopt-bench")


@contextlib.contextmanager
def _without_compilation_cache() -> Iterator[None]:
    """What was compiled by an earlier process must not pass for compiling quickly."""
    kept = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX looks at the setting once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", kept)
        compilation_cache.reset_cache()


@contextlib.contextmanager
def _plain_pytest() -> Iterator[None]:
    """No plugins but the one named, no options from the user's environment."""
    names = ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT")
    kept = {name: os.environ.pop(name, None) for name in names}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Benchmark fixture was not used|Not saving anything")
            yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update({name: value for name, value in kept.items() if value is not None})
