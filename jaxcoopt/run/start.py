"""What a run begins with: everything that the user gave, checked and completed before anything of it runs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree

from jaxcoopt.channel.check import warn_of_rule
from jaxcoopt.errors import at_least_one, traced
from jaxcoopt.host import evaluated_now, inside_jit
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum, optimum_of
from jaxcoopt.programs import bounded_programs
from jaxcoopt.run.calls import Placing
from jaxcoopt.run.check import (
    check_run,
    check_shard,
    check_stop,
    received,
    received_clock,
    received_optimum,
    received_start,
    received_stop,
)
from jaxcoopt.run.check_optimum import check_optimum
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.memory import check_memory
from jaxcoopt.run.node_shards import in_host_memory, spread_nodes
from jaxcoopt.run.record import Extra, Record, extra_of
from jaxcoopt.run.result import Result
from jaxcoopt.run.shards import spread_runs
from jaxcoopt.run.status import Status, worse_than_start
from jaxcoopt.run.stops import Stop, Tolerance
from jaxcoopt.shown import briefly
from jaxcoopt.theory.auto import warn_of_links, warn_of_steps, why_diverged, with_placeholders, with_steps

LEVEL = 4  # frames from a warning to whoever called `solve` or `Simulation`


@briefly
@dataclass(frozen=True)
class Start:
    """All that a run begins with, nothing of it wrong. given: the method as the user has it, whose step may be "auto";
    shard: "runs" or "nodes".
    """

    problem: Problem
    network: Network
    method: CoOptimizer
    given: CoOptimizer
    runs: int
    seed: int
    initial: Initial | None
    stop: Stop | None
    optimum: Optimum
    extra: Extra | None
    shard: str
    clock: Clock

    @property
    def concrete(self) -> bool:
        """Whether every number is known: outside of jit and grad."""
        given = self.problem, self.network, self.method, self.initial, self.optimum, self.clock, self.stop
        return not (inside_jit() or traced(given))

    @property
    def placing(self) -> Placing:
        """What lays the run out over the devices."""
        return spread_nodes if self.shard == "nodes" else spread_runs


@contextmanager
def room_for(task: str, shard: str, *given: PyTree) -> Iterator[None]:
    """Around a run: programs of earlier shapes make room, and a network too large for a device stays beside the CPU."""
    nodes = isinstance(shard, str) and shard == "nodes"  # it is looked at later
    with bounded_programs(task, *given, nodes), in_host_memory() if nodes else nullcontext():
        yield


def begun(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    *,
    runs: int,
    seed: int,
    record: Record,
    initial: Initial | None,
    tol: float | None,
    stop: Stop | None,
    optimum: Optimum | None,
    shard: str,
    clock: Clock | None,
) -> Start:
    """Checks everything, chooses the steps that are "auto", and finds the optimum where it is not given."""
    runs = at_least_one("runs", runs)
    problem, network, method = received(problem, network, method)
    given = method
    initial, optimum = received_start(initial), received_optimum(optimum, network.nodes, runs)
    clock, stop = received_clock(clock), received_stop(tol, stop)
    check_shard(shard, network, problem, method, initial, clock)
    with evaluated_now():
        check_run(problem, network, with_placeholders(method), runs, seed, initial, clock)
        extra = extra_of(record, problem, network)
        if optimum is not None:
            check_optimum(optimum, problem, network.nodes)
        method = with_steps(method, problem, network, initial)
        warn_of_steps(method, problem, network, stacklevel=LEVEL)
        warn_of_links([(method, network)], stacklevel=LEVEL)
    if traced(problem, method, initial):
        for channel in method.channels():
            warn_of_rule(channel)
    if shard == "runs" and not (inside_jit() or traced(problem, network, method, initial)):
        check_memory(problem, network, method, runs, initial)
    if optimum is None:
        with evaluated_now():
            needed = isinstance(stop, Tolerance)
            optimum = Optimum() if traced(problem) else _reference_or_warn(problem, network.nodes, needed)
    check_stop(stop, problem, optimum, runs)
    return Start(problem, network, method, given, runs, seed, initial, stop, optimum, extra, shard, clock)


def warn_of(result: Result, start: Start) -> None:
    """Warn (RuntimeWarning), with what to do, where every run diverged, and of infeasible runs that ended much further
    from the optimum than they began.
    """
    status, words = np.asarray(result.status), []
    if np.all(status == Status.DIVERGED):
        first, why = int(np.min(np.asarray(result.left))), why_diverged(start.method, start.network)
        words.append(f"all {len(status)} runs diverged, the first before iteration {first}: {why}")
    if "allocation_gap" in result.trace:
        words += worse_than_start(np.asarray(result.trace["allocation_gap"]), status, (Status.INFEASIBLE,))
    for each in words:
        warnings.warn(each, RuntimeWarning, stacklevel=LEVEL - 1)


def _reference_or_warn(problem: Problem, nodes: int, needed: bool) -> Optimum:
    try:
        return optimum_of(problem, nodes)
    except RuntimeError as error:
        if needed:
            raise
        warnings.warn(f"no training gap is recorded: {error}", RuntimeWarning, stacklevel=LEVEL)
        return optimum_of(Problem(allocation=problem.allocation), nodes)
