"""From what the user gave to what the compiled loop takes."""

import zlib
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array, Int, UInt

from jaxcoopt.arrays import Numbers, float_dtype
from jaxcoopt.compensated import Pair
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.errors import traced
from jaxcoopt.host import as_jax, in_type
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import floats, laid_out
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.moments import Moments
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.clocks import SYNCHRONOUS, Clock, laid_out_clock
from jaxcoopt.run.initial import Initial, given_params, initial_allocation, random_params
from jaxcoopt.run.loop import Carry, Setup, begin
from jaxcoopt.run.record import Extra
from jaxcoopt.run.setup import Evaluation
from jaxcoopt.run.stops import Stop


def prepare(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    runs: int | Int[np.ndarray, " runs"] | Int[Array, " runs"],
    seed: int,
    initial: Initial | None,
    stop: Stop | None,
    optimum: Optimum,
    extra: Extra | None = None,
    clock: Clock = SYNCHRONOUS,
    training_every: int | None = None,
) -> tuple[Setup, Carry]:
    """Everything as arrays of one float type, and iteration 0; runs: how many, or the numbers they draw by."""
    initial = Initial() if initial is None else initial
    numbers = np.arange(runs, dtype=canonicalize_dtype(int)) if isinstance(runs, int) else runs
    exact, x, params = problem, None, None
    problem = laid_out(problem, network.nodes)
    if exact.allocation is not None:
        x = initial_allocation(initial.allocation, exact.allocation, network.nodes, len(numbers))
    if problem.training is not None and initial.params is not None:
        params = given_params(initial.params, problem.training, network.nodes, len(numbers))
    words, numbers = as_jax((words_of(seed), numbers))
    setup = Setup(
        problem=problem,
        network=replace(network, names=None).in_precision(float_dtype()),  # one program, whatever the nodes are called
        method=floats(_without_idle_momentum(method)),
        optimum=floats(optimum),
        stop=None if stop is None else floats(stop),
        network_key=words,
        batch_key=words,
        runs=numbers,
        mean_share=_mean_share(exact, network.nodes),
        extra=extra,
        clock=laid_out_clock(clock),
        evaluation=None if training_every is None else Evaluation(np.int32(training_every), np.int32(0)),
    )
    setup, x, params = as_jax((setup, x, params))
    drawn, carry = _started(setup, x, params)
    problem = setup.problem
    if problem.training is not None:
        problem = replace(problem, training=replace(problem.training, moments=drawn.moments))
    return replace(setup, problem=problem, network_key=drawn.network_key, batch_key=drawn.batch_key), carry


class _Drawn(NamedTuple):
    """What of a setup is computed from the rest of it."""

    network_key: Array
    batch_key: Array
    moments: Moments | None


@compiled_soon
def _started(setup: Setup, x: Pair | None, params: Params | None) -> tuple[_Drawn, Carry]:
    """What the setup lacks, which has the words of the seed in place of its keys, and iteration 0."""
    words, training, moments = setup.network_key, setup.problem.training, None
    if training is not None:
        training = training if training.moments is not None else training.with_moments()
        moments = training.moments
        if params is None:
            params = random_params(training, setup.network.nodes, setup.runs, _key(words, "start"))
    drawn = _Drawn(_key(words, "network"), _key(words, "batch"), moments)
    problem = replace(setup.problem, training=training)
    whole = replace(setup, problem=problem, network_key=drawn.network_key, batch_key=drawn.batch_key)
    return drawn, begin(whole, x, params)


def _mean_share(problem: Problem, nodes: int) -> Any:
    budget = in_type(0 if problem.allocation is None else problem.allocation.budget, float_dtype())
    return in_type(budget / nodes, float_dtype())


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


def words_of(seed: int) -> UInt[np.ndarray, "2"]:
    """Both halves of the seed, which count in float32 mode, too."""
    return np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], np.uint32)


def key_of(seed: int, name: str) -> jax.Array:
    """The key of one kind of draw."""
    return _key(words_of(seed), name)


def _key(words: Numbers, name: str) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(words[0]), words[1]), zlib.crc32(name.encode()))
