"""`solve`: a problem, a network and a method in, a result out."""

import warnings
from contextlib import nullcontext

import numpy as np

from jaxcoopt.channel.check import warn_of_rule
from jaxcoopt.errors import a_flag, at_least_one, traced
from jaxcoopt.host import evaluated_now, inside_jit
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum, optimum_of
from jaxcoopt.programs import bounded_programs
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.check import check_run, check_shard, check_tol, received, received_optimum, received_start
from jaxcoopt.run.drive import intervals
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.memory import check_memory
from jaxcoopt.run.node_shards import in_host_memory, spread_nodes
from jaxcoopt.run.own_optimum import check_optimum
from jaxcoopt.run.result import Result
from jaxcoopt.run.shards import spread_runs
from jaxcoopt.run.status import Status
from jaxcoopt.theory.auto import warn_of_links, warn_of_steps, why_diverged, with_placeholders, with_steps


def solve(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    steps: int,
    *,
    runs: int = 1,
    seed: int = 0,
    record_every: int | None = None,
    initial: Initial | None = None,
    tol: float | None = None,
    optimum: Optimum | None = None,
    progress: bool = False,
    shard: str = "runs",
) -> Result:
    """Run `method` on `problem` over `network` for `steps` iterations, all `runs` at once.

    Hyperparameters are scalars or [runs]; each run draws its own start, link failures and mini-batches from `seed`.
    Statistics are recorded at iteration 0, every `record_every` iterations (default steps / 100) and at the end. With
    `tol`, a run stands still once its gaps, feasibility and consensus error are all within tol, and the call returns
    when all do. Runs are looked at for that in every 10th iteration up to 640, every 20th up to 1,280, and so on, and
    at the end, whatever is recorded. A run that leaves the domain of its cost in any iteration has diverged, recorded
    or not, and has no cost from then on. A step "auto" becomes a number, see `result.method`: half of
    `theory.step_bound` where that is sharp; elsewhere 0.7 of the longest step with which a trial of the method works,
    if that is more. The trial takes a few seconds, most of them to compile. `optimum` saves computing
    `reference(problem)` again; another problem's is refused. Works under jax.jit and jax.grad; gaps to a traced
    problem's optimum need `optimum`.
    Raises ValueError or TypeError for bad input, MemoryError for more runs than fit (`memory` tells), warns
    (RuntimeWarning) of a step beyond which no run can converge and of link weights with which none can, of a derivative
    rule that is wrong for the channel's placement where the run is traced, and when every run diverged.

    With several local devices the runs are spread over them, 16 or more to each, and draw what they draw on one;
    outside of jit and grad, and where `jax_default_device` names none. For a CPU, whose cores then work apart, say
    `jax.config.update("jax_num_cpu_devices", 2)`, or how many cores there are, before anything else of JAX.
    shard="nodes", for one network too large for a device, spreads the nodes over all of them instead: neighbours on
    different devices exchange what their links carry, and the numbers differ from one device's by rounding.

    JAX keeps compiled programs, tens of MiB for each new shape. Where those of calls with new shapes have taken
    `jaxcoopt.programs.MOST` bytes (768 MiB), all are let go before the next new one, and what is used again is compiled
    again; `jaxcoopt.programs.free_programs()` does so at once.
    """
    steps, runs = at_least_one("steps", steps), at_least_one("runs", runs)
    record_every = max(1, steps // 100) if record_every is None else at_least_one("record_every", record_every)
    progress = a_flag("progress", progress)
    problem, network, method = received(problem, network, method)
    initial, optimum = received_start(initial), received_optimum(optimum, network.nodes, runs)
    check_shard(shard, network, problem, method, initial)
    where = in_host_memory() if shard == "nodes" else nullcontext()
    with bounded_programs("solve", problem, network, method, initial, runs, shard), where:
        with evaluated_now():
            check_run(problem, network, with_placeholders(method), runs, seed, initial)
            if optimum is not None:
                check_optimum(optimum, problem, network.nodes)
            method = with_steps(method, problem, network, initial)
            warn_of_steps(method, problem, network)
            warn_of_links([(method, network)])
        if traced(problem, method, initial):
            for channel in method.channels():
                warn_of_rule(channel)
        if shard == "runs" and not (inside_jit() or traced(problem, network, method, initial)):
            check_memory(problem, network, method, runs, initial)
        if optimum is None:
            with evaluated_now():
                optimum = Optimum() if traced(problem) else _reference_or_warn(problem, network.nodes, tol is not None)
        check_tol(tol, problem, optimum)
        concrete = not (inside_jit() or traced(problem, network, method, initial, optimum))
        result = run_batch(
            problem,
            network,
            method,
            runs,
            intervals(steps, record_every),
            optimum=optimum,
            seed=seed,
            initial=initial,
            tol=tol,
            concrete=concrete,
            progress=progress,
            spread=spread_nodes if shard == "nodes" else spread_runs,
        )
    if concrete:
        _warn_where_all_diverged(result, method, network)
    return result


def _warn_where_all_diverged(result: Result, method: CoOptimizer, network: Network) -> None:
    status = np.asarray(result.status)
    if np.all(status == Status.DIVERGED):
        first = int(np.min(np.asarray(result.left)))
        warnings.warn(
            f"all {len(status)} runs diverged, the first before iteration {first}: {why_diverged(method, network)}",
            RuntimeWarning,
            stacklevel=3,
        )


def _reference_or_warn(problem: Problem, nodes: int, needed: bool) -> Optimum:
    try:
        return optimum_of(problem, nodes)
    except RuntimeError as error:
        if needed:
            raise
        warnings.warn(f"no training gap is recorded: {error}", RuntimeWarning, stacklevel=3)
        return optimum_of(Problem(allocation=problem.allocation), nodes)
