"""The module that pytest runs: one test for each case and entrant, timed by pytest-benchmark's fixture."""

from typing import Any

CALL, MOST = 0.02, 2000  # seconds that one timed call should last at least, iterations that it may take at most
ROUNDS, SLOW_ROUNDS, TOTAL = 15, 3, 0.6  # calls, fewer of them where so many would last more seconds than TOTAL


def pytest_generate_tests(metafunc: Any) -> None:
    """The plan is the plugin that `benchmarks.engine.harness` hands over."""
    plan = metafunc.config.pluginmanager.get_plugin("jaxcoopt-bench")
    metafunc.parametrize(("case", "entrant"), plan.pairs, ids=[f"{case.name}:{name}" for case, name in plan.pairs])


def test_iteration(case: Any, entrant: str, benchmark: Any, pytestconfig: Any) -> None:
    """Calls of several iterations each; the iterations go on from call to call."""
    plan = pytestconfig.pluginmanager.get_plugin("jaxcoopt-bench")
    with plan.stage.ready(case, entrant) as ready:
        iterations, seconds = plan.calibrate(ready.advance, CALL, MOST)
        benchmark.extra_info.update(ready.about | {"case": case.name, "entrant": entrant, "iterations": iterations})
        rounds = min(ROUNDS, max(SLOW_ROUNDS, round(TOTAL / seconds)))
        benchmark.pedantic(ready.advance, args=(iterations,), rounds=rounds, iterations=1)
