"""`solve`: one call that runs a method on a problem."""

from jaxcoopt.errors import a_flag, at_least_one
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.batch import run_batch
from jaxcoopt.run.drive import intervals
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.record import Record, received_record
from jaxcoopt.run.result import Result
from jaxcoopt.run.simulation import Simulation
from jaxcoopt.run.start import begun, room_for


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
) -> Result:
    """Run `method` on `problem` over `network` for `steps` iterations, all `runs` at once.

    Hyperparameters are scalars or [runs]; each run draws its own start, link failures and mini-batches from `seed`.
    Statistics are recorded at iteration 0, every `record_every` iterations (default steps / 100) and at the end;
    `record` adds metrics of your own and trajectories of chosen nodes, see `Record`. With
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
        )
        if start.concrete:
            return Simulation.of(start, record).run(steps, progress=progress)
        return run_batch(
            start.problem,
            start.network,
            start.method,
            start.runs,
            intervals(steps, max(1, steps // 100) if record.every is None else record.every),
            optimum=start.optimum,
            seed=start.seed,
            initial=start.initial,
            tol=start.tol,
            extra=start.extra,
            concrete=False,
        )
