"""From what the user gave to what the compiled loop takes."""

import zlib
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.errors import traced
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import aligned, floats
from jaxcoopt.problem.problem import Problem, Training
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.initial import Initial, initial_allocation, initial_params
from jaxcoopt.run.loop import Carry, Setup, begin


def prepare(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    runs: int | Int[np.ndarray, " runs"] | Int[Array, " runs"],
    seed: int,
    initial: Initial | None,
    tol: float | None,
    optimum: Optimum,
) -> tuple[Setup, Carry]:
    """Everything as arrays of one float type, and iteration 0; runs: how many, or the numbers they draw by."""
    initial = Initial() if initial is None else initial
    numbers = jnp.arange(runs) if isinstance(runs, int) else jnp.asarray(runs)
    runs = len(numbers)
    exact, x, params = problem, None, None
    problem = aligned(problem, network.nodes)
    if exact.allocation is not None:
        x = initial_allocation(initial.allocation, exact.allocation, network.nodes, runs)
    if problem.training is not None:
        params = initial_params(initial.params, problem.training, network.nodes, numbers, key_of(seed, "start"))
    if problem.training is not None and problem.training.moments is None:
        problem = replace(problem, training=_with_moments(problem.training))
    setup = Setup(
        problem=problem,
        network=replace(network, names=None).in_precision(float_dtype()),  # one program, whatever the nodes are called
        method=floats(_without_idle_momentum(method)),
        optimum=floats(optimum),
        tol=None if tol is None else jnp.asarray(tol, float_dtype()),
        network_key=key_of(seed, "network"),
        batch_key=key_of(seed, "batch"),
        runs=numbers,
        mean_share=_mean_share(problem, network.nodes),
    )
    return setup, begin(setup, x, params)


def _mean_share(problem: Problem, nodes: int) -> Any:
    return jnp.asarray(0 if problem.allocation is None else problem.allocation.budget / nodes, float_dtype())


def _without_idle_momentum(method: CoOptimizer) -> CoOptimizer:
    """Momentum that is known to be 0 takes no memory and no time."""
    idle = {
        half: replace(part, momentum=None)
        for half in ("allocation", "training")
        if getattr(part := getattr(method, half), "momentum", None) is not None
        and not traced(part.momentum)
        and not np.any(part.momentum)
    }
    return replace(method, **idle)


@jax.jit
def _with_moments(training: Training) -> Training:
    return training.with_moments()


def key_of(seed: int, name: str) -> jax.Array:
    """The key of one kind of draw; both halves of the seed count, in float32 mode too."""
    low, high = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    halves = jax.random.fold_in(jax.random.key(low), high)
    return jax.random.fold_in(halves, zlib.crc32(name.encode()))
