"""Whether the device computes the right numbers: against NumPy loops, the exact budget, the same bits, slopes."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxcoopt as jc
from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import Case
from benchmarks.engine.engine import Engine
from benchmarks.engine.instance import make_instance
from benchmarks.engine.numpy_rival import NumpyRival
from benchmarks.gpu.sheet import Row, Sheet
from benchmarks.sum_drift import problem as drifting
from jaxcoopt.methods.registry import BY_NAME, ENTRIES

Names = tuple[str | None, str | None]
TESTS = Path(__file__).parents[2] / "tests"  # their loops over nodes and neighbours
LOOPS = (  # an allocation and a training method of the registry, or one of them
    ("dual_flow", None),
    ("curvature_flow", None),
    ("laplacian_flow", "gradient_tracking"),
    ("finite_time_flow", "atc_tracking"),
    ("primal_dual", "nids"),
)
AXES = ("float64", "float32"), ("log", "ideal"), ("regular", "barabasi-albert")
SMALL_AXES = ("float64", "float32"), ("log",), ("barabasi-albert",)
RHO = 0.4
CLOSE = 1e-10  # of NumPy's loops, in float64
BUDGET = 1e-6  # of the larger of the budget and the shares' sum, in float32
IN_THE_LIMIT = ("primal_dual", "tracking_admm", "dual_consensus_admm", "ratio_consensus")  # no flows
STEPS = 100_000
SLOPE = 1e-5  # of finite differences, in float64


def run(sheet: Sheet) -> None:
    """What is compiled side by side comes together."""
    checks: dict[str, Callable[[], Row]] = {}
    for precision, channel, graph in product(*SMALL_AXES if sheet.small else AXES):
        case = Case(200, 8, 16, 10, channel, precision, graph)
        case = replace(case, nodes=12, degree=4, runs=2, params=2) if sheet.small else case
        checks[f"NumPy, {channel} {precision} {graph}"] = partial(engine_agrees, case)
    pairs = LOOPS[2:3] if sheet.small else LOOPS
    checks |= {f"plain loops, {_names(pair)}": partial(loops_agree, pair) for pair in pairs}
    flows = [entry for entry in ENTRIES if entry.half == "allocation" and entry.name not in IN_THE_LIMIT]
    steps = 50 if sheet.small else STEPS
    flows = flows[:1] if sheet.small else flows
    checks |= {f"budget, {entry.name}": partial(budget_kept, entry.name, steps) for entry in flows}
    checks["same bits twice"] = same_bits
    checks["gradient"] = partial(slopes_agree, 20 if sheet.small else 100)
    _side_by_side(sheet, checks)


def _side_by_side(sheet: Sheet, checks: dict[str, Callable[[], Row]]) -> None:
    """Compiling is most of it: in threads, each row written when it is known and in the order of the checks."""
    waiting = {name: check for name, check in checks.items() if not sheet.has(name)}
    with ThreadPoolExecutor(2 if sheet.small else 10) as pool:
        found = {name: pool.submit(_timed, check) for name, check in waiting.items()}
        for name, future in found.items():
            wait([future], timeout=max(sheet.left, 1))
            if future.done():
                sheet.make(name, 0, future.result)
            else:
                sheet.late(name)
        pool.shutdown(wait=False, cancel_futures=True)


def _timed(check: Callable[[], Row]) -> Row:
    """Its row, and how long it took beside the others."""
    begin = time.monotonic()
    return {**check(), "seconds_beside_others": round(time.monotonic() - begin, 1)}


def _names(pair: Names) -> str:
    return " and ".join(name for name in pair if name)


def engine_agrees(case: Case) -> Row:
    """The engine after a few iterations, and batched NumPy in float64, from the same start."""
    with jax.enable_x64(case.precision == "float64"):
        instance = make_instance(case)
        engine = Engine(instance)
        start = engine.start
        engine.advance(ITERATIONS)
        wide = replace(start, x=start.x.astype(np.float64), y=start.y.astype(np.float64))
        rival = NumpyRival(instance, wide, case.runs)
        rival.advance(ITERATIONS)
        found = agreement(engine.state(), rival.state())
    return {"worst": found["largest"], "part_off": found["part_off"], "limit": found["limit"], "ok": found["agrees"]}


def of_tests(name: str) -> Any:
    """A module of the tests' own."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    return import_module(name)


def loops_agree(pair: Names) -> Row:
    """50 iterations over log-quantized links, against the loops of the tests, in every run."""
    cases, recursions, problems = map(of_tests, ("method_cases", "method_recursions", "problems"))
    steps, rng = recursions.STEPS, np.random.default_rng(0)
    entries = tuple(None if name is None else BY_NAME[name] for name in pair)
    with jax.enable_x64(True):
        method = cases.per_run(cases.method_of(entries, jc.channels.LogQuantizer(RHO, placement="message")))
        allocation, fit = cases.allocation(rng), problems.fit(rng, "linear", masked=True, weighted=False)
        initial = replace(cases.starts(rng, allocation), params=fit.start)
        problem, given = cases.halves(entries, jc.Problem(allocation, fit.training), initial)
        network = cases.network(0.2 if pair[0] in recursions.OURS else 0.0)
        options = {"runs": cases.RUNS, "seed": 7, "record_every": steps, "optimum": jc.Optimum()}
        result = jc.solve(problem, network, method, steps, initial=given, **options)
        links = problems.weight_matrices(network, steps, seed=7)
        found = [_of_run(pair, run, links[..., run], method, allocation, fit, initial) for run in range(cases.RUNS)]
    worst = 0.0
    for run, theirs in enumerate(found):
        ours = [] if pair[0] is None else [np.asarray(result.allocation)[:, run]]
        ours += [] if pair[1] is None else [problems.one_run(result.params, run)]
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)))
    return {"worst": worst, "limit": CLOSE, "ok": bool(worst <= CLOSE)}


def _of_run(
    pair: Names,
    run: int,
    links: np.ndarray,
    method: Any,
    allocation: Any,
    fit: Any,
    initial: Any,
) -> list[np.ndarray]:
    """Where the tests' loops end in one run: shares, parameters, or both."""
    cases, recursions, problems, loops, oracle = map(
        of_tests, ("method_cases", "method_recursions", "problems", "method_loops", "numpy_loop")
    )
    quantize = partial(oracle.log_quantize, rho=RHO * cases.SCALES[run])
    at, ends = (links, run, partial(loops.Link, quantize, "message")), []
    if pair[0] is not None:
        price = cases.price(allocation.cost.curvature, allocation.cost.center)
        start = initial.allocation[:, run]
        ends.append(recursions.shares(pair[0], method.allocation, allocation, price, start, *at))
    if pair[1] is not None:
        start, gradient = problems.one_run(fit.start, run), partial(fit.gradient, run=run)
        ends.append(recursions.params(pair[1], method.training, start, gradient, *at))
    return ends


def budget_kept(name: str, steps: int) -> Row:
    """The worst of all records, in float32, over a switching network whose links fail and are quantized."""
    given, network = drifting(np.random.default_rng(0))
    problem = jc.Problem(given.allocation)
    method = jc.CoOptimizer(BY_NAME[name].build(), channel=jc.channels.LogQuantizer(0.5, placement="innovation"))
    result = jc.solve(
        problem, network, method, steps, runs=4, record_every=max(1, steps // 50), optimum=jc.Optimum(), seed=1
    )
    worst = float(np.max(np.asarray(result.trace["budget_residual"], np.float64)))
    exact = np.abs(np.asarray(result.allocation, np.float64).sum(axis=0) - 60.0).max() / 60.0
    told = {"worst": worst, "of_the_last_shares": float(exact), "limit": BUDGET, "steps": steps}
    return told | {"ok": bool(worst <= BUDGET)}


def both(steps: int, step: Any = 0.02) -> jc.Result:
    """Both halves of a small problem, over links that fail."""
    problem, network = drifting(np.random.default_rng(0))
    method = jc.CoOptimizer(
        jc.methods.DualFlow(), jc.methods.GradientTracking(step), jc.channels.LogQuantizer(0.5, placement="innovation")
    )
    return jc.solve(problem, network, method, steps, runs=4, record_every=steps, optimum=jc.Optimum(), seed=1)


def same_bits() -> Row:
    """Two runs of the same, bit by bit."""
    first, second = (jax.tree.leaves((each.allocation, each.params, each.trace)) for each in (both(200), both(200)))
    off = sum(int(np.sum(np.asarray(a) != np.asarray(b))) for a, b in zip(first, second, strict=True))
    return {"worst": off, "limit": 0, "ok": off == 0}


def slopes_agree(steps: int) -> Row:
    """Reverse mode through a whole run over ideal links, with respect to the training step, and central differences."""
    with jax.enable_x64(True):
        problem, network = drifting(np.random.default_rng(0))
        problem = jc.Problem(training=problem.training)

        def loss(step: Any) -> Any:
            method = jc.CoOptimizer(training=jc.methods.GradientTracking(step))
            result = jc.solve(problem, network, method, steps, runs=2, record_every=steps, optimum=jc.Optimum(), seed=1)
            return result.trace["training_loss"][-1].mean()

        at, apart = 0.01, 1e-5
        value = jax.jit(loss)
        ours = float(jax.jit(jax.grad(loss))(at))
        theirs = (float(value(at + apart)) - float(value(at - apart))) / (2 * apart)
    worst = abs(ours - theirs) / max(abs(theirs), 1e-30)
    return {"worst": worst, "gradient": ours, "differences": theirs, "limit": SLOPE, "ok": bool(worst <= SLOPE)}
