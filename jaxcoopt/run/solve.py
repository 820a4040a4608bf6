"""`solve`: one call that runs a method on a problem."""

from jaxcoopt.errors import a_flag, at_least_one
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.calls import intervals
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.record import Record, received_record
from jaxcoopt.run.result import Result
from jaxcoopt.run.simulation import Simulation
from jaxcoopt.run.start import begun, room_for, warn_of
from jaxcoopt.run.stops import Stop


def solve(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    steps: int,
    *,
    runs: int = 1,
    seed: int = 0,
    record_every: int | None = None,
    record: Record | None = None,
    initial: Initial | None = None,
    tol: float | None = None,
    optimum: Optimum | None = None,
    progress: bool = False,
    shard: str = "runs",
    clock: Clock | None = None,
    stop: Stop | None = None,
) -> Result:
    """Run `method` on `problem` over `network` for `steps` iterations, all `runs` at once.

    A setting of the method is a number, the same for all runs, or an array [runs]. A step "auto" becomes a number, see
    `result.method`: half of `theory.step_bound` where that bound is sharp, elsewhere 0.7 of the longest step with which
    a short trial works, if that is more.

    runs: each draws its own start, link failures and mini-batches. seed: of all draws. record_every: iterations between
    records of the statistics; None: steps / 100. record: metrics of your own and trajectories, see `Record`. initial:
    where the nodes start. tol: a run stands still once its gaps, budget residual, box violation and consensus error are
    at most tol, and the call returns when all runs do; they are looked at in every 10th iteration up to 640, in every
    20th up to 1,280, and so on, whatever is recorded. stop: the same by a rule, `Tolerance(tol)` or a `Stop` of your
    own. optimum: what `reference(problem)` returned, to save computing it
    again. clock: what an iteration takes of simulated time; None: `clocks.Synchronous`, max_i work_i / x_i seconds.
    progress: shows a bar. shard: "runs" spreads the runs over the local devices, 16 or more to each, with the
    numbers of one device; "nodes" spreads the nodes of a network that is too large for a device, with numbers that
    differ by rounding.

    Runs end as `Status` says. A run that leaves the domain of its cost in any iteration has diverged, recorded or not.

    Works under jax.jit and jax.grad, on one device; gaps to the optimum of a traced problem need `optimum`.

    Raises ValueError or TypeError for bad input, and MemoryError for more runs than fit (`memory` tells). Warns
    (RuntimeWarning) of a step or link weights with which no run can converge, of a derivative rule that is wrong for
    the channel, and when every run diverged.

    A CPU's cores work apart after `jax.config.update("jax_num_cpu_devices", 2)` (the number of cores), called before
    anything else of JAX. Compiled programs of earlier shapes are let go beyond 768 MiB, see `jaxcoopt.programs`.
    """
    steps, progress = at_least_one("steps", steps), a_flag("progress", progress)
    record = received_record(record, record_every)
    with room_for("solve", shard, problem, network, method, initial, runs):
        start = begun(
            problem,
            network,
            method,
            runs=runs,
            seed=seed,
            record=record,
            initial=initial,
            tol=tol,
            optimum=optimum,
            shard=shard,
            clock=clock,
            stop=stop,
        )
        if start.concrete:
            result = Simulation.of(start, record).advance(steps, progress)
            warn_of(result, start)
            return result
        return run_batch(
            start.problem,
            start.network,
            start.method,
            start.runs,
            intervals(steps, max(1, steps // 100) if record.every is None else record.every),
            optimum=start.optimum,
            seed=start.seed,
            initial=start.initial,
            stop=start.stop,
            extra=start.extra,
            clock=start.clock,
            concrete=False,
        )
