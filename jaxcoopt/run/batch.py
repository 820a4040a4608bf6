"""The one driver of runs, under `solve`, sweeps, comparisons and tuning."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Int

from jaxcoopt.host import as_jax
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import floats
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.calls import Placing, drive
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.prepare import prepare
from jaxcoopt.run.record import Extra
from jaxcoopt.run.result import Result, result_of
from jaxcoopt.run.shards import spread_runs
from jaxcoopt.run.stops import Stop
from jaxcoopt.run.unrolled import unrolled


def run_batch(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    runs: int | Int[np.ndarray, " runs"] | Int[Array, " runs"],
    lengths: Sequence[int],
    *,
    optimum: Optimum,
    seed: int = 0,
    initial: Initial | None = None,
    stop: Stop | None = None,
    extra: Extra | None = None,
    clock: Clock = SYNCHRONOUS,
    training_every: int | None = None,
    concrete: bool = True,
    progress: bool = False,
    spread: Placing = spread_runs,
) -> Result:
    """All runs at once; nothing is checked. runs: how many, or the numbers by which they draw; lengths: iterations
    before each record, the first of which is 0; concrete: False inside someone's jit or grad.
    """
    setup, carry = prepare(
        problem, network, method, runs, seed, initial, stop, optimum, extra, clock, training_every if concrete else None
    )
    if concrete:
        carry, records = drive(setup, carry, list(lengths), progress, spread)
    else:
        carry, records = unrolled(setup, carry, list(lengths))
    return result_of(setup, carry, records, np.cumsum(lengths), as_jax(floats(method)), network.names)
