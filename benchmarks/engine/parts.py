"""Where an iteration's time goes: each part in a jitted loop of its own, in the same process and at the same size."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.engine.case import Case
from benchmarks.engine.engine import Engine
from benchmarks.engine.floor import quantize_seconds, seconds_of
from benchmarks.engine.instance import Instance
from jaxcoopt.draws import Draw
from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.problem import Problem


def measure_parts(instance: Instance, engine: Engine) -> dict[str, float]:
    """Seconds of an iteration's parts; "quantizer" is that of y and z, the price's belongs to the allocation half."""
    case, setup = instance.case, engine.setup
    params = setup.method.estimate(engine.whole().state).params
    pair = (params, jax.tree.map(jnp.copy, params))
    parts = {
        "mix of y and z": seconds_of(lambda at: _mixed(setup, at), (jnp.asarray(0, jnp.int32), pair), case.runs),
        "gradient": seconds_of(lambda y: _descended(setup, y), params, case.runs),
        "allocation half": _allocation(setup, engine),
    }
    if case.channel == "log":
        parts["quantizer of y and z"] = 2 * case.params / (2 * case.params + 1) * case.values * _per_value(case)
    return parts


def with_rest(parts: dict[str, float], whole: float) -> dict[str, float]:
    """What the parts leave of the whole iteration; below 0 where the parts overlap in it."""
    return parts | {"elementwise and the rest": whole - sum(parts.values())}


def _per_value(case: Case) -> float:
    return quantize_seconds(case, jnp.dtype(case.precision))


def _links(setup: Any, iteration: Any) -> Any:
    return setup.network.links(setup.network_key, iteration, setup.runs)


def _mixed(setup: Any, at: tuple[Any, Any]) -> tuple[Any, Any]:
    iteration, pair = at
    mixed = _links(setup, iteration).mix(pair)
    return iteration + 1, jax.tree.map(jnp.add, pair, mixed)


def _descended(setup: Any, y: Any) -> Any:
    slope = setup.problem.training.gradient(y)
    return jax.tree.map(lambda leaf, change: leaf - jnp.asarray(1e-3, leaf.dtype) * change, y, slope)


def _allocation(setup: Any, engine: Engine) -> float:
    """The engine's own step without the training half."""
    method = CoOptimizer(setup.method.allocation, None, setup.method.channel)
    problem = Problem(allocation=setup.problem.allocation)

    def step(at: tuple[Any, CoState]) -> tuple[Any, CoState]:
        iteration, state = at
        now = Round(_links(setup, iteration), Draw(setup.batch_key, setup.runs), setup.nodes, method.channel)
        return iteration + 1, method.update(state, problem, now)

    state = CoState(engine.whole().state.allocation, None)
    # The state goes through the barrier so that the loop owns it: the engine's carry is donated later.
    return seconds_of(step, (jnp.asarray(0, jnp.int32), jax.jit(lax.optimization_barrier)(state)), len(setup.runs))
