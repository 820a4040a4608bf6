"""The Lyapunov functions that the paper's proofs rest on, along a run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxcoopt.arrays import Given, plain_tree
from jaxcoopt.channel.channel import Channel
from jaxcoopt.compensated import Pair
from jaxcoopt.draws import Draw
from jaxcoopt.errors import at_least_one, check_seed, shown
from jaxcoopt.host import as_jax
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.methods.method import Method
from jaxcoopt.methods.round import Round
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import aligned, floats
from jaxcoopt.problem.allocation_optimum import dual_bisection
from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.box import feasible_point
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Half, Problem, Training
from jaxcoopt.problem.reference import reference
from jaxcoopt.problem.samples import shape_of
from jaxcoopt.theory.alone import Alone
from jaxcoopt.theory.check import received, received_channel
from jaxcoopt.theory.penalised import Penalised
from jaxcoopt.theory.steps import half_of


def lyapunov(
    method: Method,
    problem: Problem,
    network: Network,
    steps: int,
    *,
    channel: Channel | None = None,
    start: PyTree = None,
    seed: int = 0,
) -> Float[np.ndarray, " records"]:
    """V(k) for k = 0 .. steps, [steps + 1], of one half's method, run alone in float64.

    LaplacianFlow with `Penalty`: F(x(k)) - F(x*), F the costs with the penalties and x* its own optimum; without
    momentum it falls at every iteration for steps below `step_bound`. GradientTracking: sum_i |y_i - y*|^2 + |z_i|^2,
    which falls in the end, not at every iteration. start: shares [nodes] that meet the budget, or one node's
    parameters; default the feasible point, or the loss's own start. Raises TypeError for other methods. Source:
    arXiv 2510.25176, theorems 1 and 2.
    """
    steps, seed = at_least_one("steps", steps), check_seed("seed", seed)
    method, problem, network = received(method, problem, network)
    half_of(method, problem)
    channel, start = received_channel(channel), plain_tree(start, "start")
    with jax.enable_x64(True):
        exact, net = aligned(problem, network.nodes), network.in_precision(jnp.float64)
        key, run = jax.random.key(seed), jnp.arange(1)
        if isinstance(method, LaplacianFlow) and isinstance(method.bounds, Penalty):
            half, first, value = _flow(method, exact.allocation, start, network.nodes)
        elif isinstance(method, GradientTracking):
            half, first, value = _tracking(exact.training, problem, start, key)
        else:
            raise TypeError(
                "method: Lyapunov functions are known for GradientTracking, and for LaplacianFlow with Penalty bounds, "
                f"not for {type(method).__name__}"
            )

        def scan(method: Method, channel: Channel, half: Half, net: Network, first: PyTree) -> Array:
            def now(memory: PyTree, k: Array) -> tuple[Round, PyTree]:
                links, memory = net.next_links(memory, key, k, run)
                return Round(links, Draw(jax.random.fold_in(key, k), run), network.nodes, channel), memory

            def one(at: tuple[PyTree, PyTree], k: Array) -> tuple[PyTree, Array]:
                state, memory = at
                this, memory = now(memory, k)
                state = alone.update(state, this)
                return (state, memory), value(half, alone.own(state))

            alone, memory = Alone.of(method, half, channel), net.memory(key, run)
            begin = alone.init(first, now(memory, jnp.asarray(0))[0])
            _, rest = jax.lax.scan(one, (begin, memory), jnp.arange(steps))
            return jnp.concatenate([value(half, alone.own(begin))[None], rest])

        return np.asarray(jax.jit(scan)(floats(method), floats(channel), half, net, first))


def _flow(
    method: LaplacianFlow, allocation: Allocation | None, start: Given | None, nodes: int
) -> tuple[Any, Pair, Any]:
    """The half, x(0), and F - F* of a state."""
    assert allocation is not None
    bounds = floats(method.bounds)
    assert isinstance(bounds, Penalty)
    penalised = Penalised(allocation.cost, bounds, allocation.lower, allocation.upper)
    best, *_ = dual_bisection(Allocation(penalised, allocation.budget), nodes)
    lowest = penalised.value(jnp.asarray(best))
    x = (
        as_jax(feasible_point(allocation, nodes))
        if start is None
        else jnp.asarray(start, jnp.float64).reshape(nodes, 1)
    )

    def value(half: Allocation, state: PyTree) -> Array:
        at = Penalised(half.cost, bounds, half.lower, half.upper).value(state.x.value)
        return (at - lowest).sum()  # node by node, or the sums' rounding would hide the end

    return allocation, Pair(x, jnp.zeros_like(x)), value


def _tracking(training: Training | None, problem: Problem, start: Params, key: Array) -> tuple[Any, Any, Any]:
    """The half, y(0), and |y - y*|^2 + |z|^2 of a state."""
    assert training is not None
    best = reference(Problem(training=problem.training)).params
    like = training.loss.init(key, training.one_sample)
    one = like if start is None else start
    if [jax.tree.structure(one), *map(np.shape, jax.tree.leaves(one))] != [
        jax.tree.structure(like),
        *map(np.shape, jax.tree.leaves(like)),
    ]:
        raise TypeError(f"start: expected parameters like {jax.tree.map(np.shape, like)}, got {shown(start)}")
    nodes, _ = shape_of(training.features)
    first = jax.tree.map(
        lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, jnp.float64)[None, ..., None], (nodes, *np.shape(leaf), 1)), one
    )

    def value(half: Half, state: PyTree) -> Array:
        apart = jax.tree.map(lambda y, end: jnp.sum((y - jnp.asarray(end)[None, ..., None]) ** 2), state.params, best)
        tracked = jax.tree.map(lambda z: jnp.sum(z**2), state.tracker)
        return jnp.stack(jax.tree.leaves((apart, tracked))).sum()

    return training, first, value
