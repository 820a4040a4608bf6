"""The longest step that works, found by trying: the method itself, from the run's start, at many steps at once."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from jaxcoopt.arrays import Numbers
from jaxcoopt.channel.channel import Channel
from jaxcoopt.compensated import Pair
from jaxcoopt.draws import Draw
from jaxcoopt.errors import traced
from jaxcoopt.host import as_jax, evaluated_now
from jaxcoopt.layout import along, axes_of_leaves, changed_along
from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.dgd import DGD
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.methods.method import Method, TrainingMethod
from jaxcoopt.methods.nonlinearities import Identity
from jaxcoopt.methods.round import Round
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import aligned, columns, floats
from jaxcoopt.problem.allocation_optimum import dual_bisection
from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.box import feasible_point
from jaxcoopt.problem.costs import curvature
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Allocation, Half, Problem, Training
from jaxcoopt.problem.reference import reference
from jaxcoopt.problem.samples import shape_of
from jaxcoopt.theory.alone import Alone
from jaxcoopt.theory.curvature import NoNumber
from jaxcoopt.theory.laplacian import average_laplacian, scaled_top
from jaxcoopt.theory.penalised import Penalised
from jaxcoopt.theory.thresholds import threshold

EACH, BELOW = 4, 2  # steps tried in an octave, and how many of them the chosen one is below the longest that works
TRIED = 41  # ten octaves: down to a thousandth of the first
DRAWS = 16  # of link failures that a flow is tried with: what one stands may lead another out of the cost's domain
LEAST, USUAL, MOST = 40, 400, 1200  # iterations of a trial, in four quarters
MOST_MOVES = 2e8  # of nodes, in all runs and iterations: beyond 250 nodes with failures fewer iterations, then draws
FASTER, SLOWER = 0.5, 0.9  # from the second quarter to the last: falls for certain, and not certainly
WORSE = 1.5  # times as far from the optimum as at a shorter step: noise, no instability
NEARBY = 1e-3  # of the start's distance, so far from the target a second trial begins
ROUNDING = 1e-9  # of the distance at the start
MOST_WORK = 1e11  # multiplications that the gradients of a trial may take
TURNS = 60  # of the power method


class Trial(NamedTuple):
    """What is run. starts: where from, each a trial; target: where the iterations go to; longest: the first step;
    biased: they stop at a distance from the target that grows with the step; draws: of what is random, for each step;
    most: iterations.
    """

    method: Any
    half: Any
    starts: tuple[Any, Any]
    target: Any
    longest: float
    biased: bool
    draws: int = 1
    most: int = MOST


def may_try(method: Method, problem: Problem, network: Network, channel: Channel) -> bool:
    """Whether a trial can tell: linear flows, and convex losses by methods that have a bound at all."""
    if traced(method, problem, network, channel) or network.directed:
        return False
    if isinstance(method, LaplacianFlow):
        return isinstance(method.nonlinearity, Identity)
    try:
        threshold(method, channel)
    except NoNumber:
        return False
    return problem.training is not None and problem.training.loss.convex


def longest(
    method: Method, problem: Problem, network: Network, channel: Channel, start: PyTree = None
) -> float | np.ndarray:
    """0.7 of the longest step that works for one half's method, a float, or [runs] where settings differ.

    A step works where the iterations stay in the cost's domain and go on coming nearer to their limit, or end no
    further from it than at shorter steps, both from the start and from beside the limit; so must all steps down to that
    part of it. A flow over links that fail must do so in all of 16 runs (fewer beyond 760 nodes). Steps beyond
    2 (1 + momentum) / lambda_max of the mean iteration at the limit are not tried, as that is no point of rest there.
    Methods that stop at a distance which grows with the step (DGD, CHOCO, and all with mini-batches) get the step that
    comes nearest, if that is shorter. start: an allocation or parameters as in `Initial`, None for the run's own.
    Raises `NoNumber` where nothing can be tried.
    """
    name = "allocation" if isinstance(method, LaplacianFlow) else "training"
    with evaluated_now(), jax.enable_x64(True), jax.disable_jit(False):  # without compiling it would take minutes
        exact = network.in_precision(jnp.float64)
        problem = aligned(Problem(**{name: getattr(problem, name)}), network.nodes)
        settings = floats((method, problem.allocation, problem.training and problem.training.loss, channel))
        begin = None if name == "training" or start is None else columns(jnp.asarray(start, jnp.float64))
        settings = *settings, _of_runs(exact), begin
        chosen, of_run = [], _different(settings)
        for run in dict.fromkeys(of_run):
            method, allocation, loss, channel, _, begin = jax.tree.map(lambda leaf, run=run: _in(leaf, run), settings)
            training = problem.training and replace(problem.training, loss=loss)
            links = changed_along(exact, ("runs",), lambda leaf, axis, run=run: jnp.take(leaf, run, axis))
            one = Problem(allocation, training), links, channel
            trial = (
                flow_trial(method, *one, begin)
                if isinstance(method, LaplacianFlow)
                else training_trial(method, *one, start)
            )
            chosen.append(_chosen(trial, *one[1:]))
    found = dict(zip(dict.fromkeys(of_run), chosen, strict=True))
    if len(found) == 1 or _starts_differ_only(settings):
        return min(chosen)
    return np.array([found[run] for run in of_run])


def _different(settings: PyTree) -> list[int]:
    """For each run the first one with the same settings."""
    rows = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(settings) if np.ndim(leaf)]
    rows = [leaf.reshape(-1, leaf.shape[-1]) for leaf in rows if leaf.shape[-1] > 1]
    if not rows:
        return [0]
    _, first, which = np.unique(np.concatenate(rows), axis=1, return_index=True, return_inverse=True)
    return first[which.ravel()].tolist()


def _in(leaf: Numbers, run: int) -> Numbers | np.number:
    """What a leaf, scalar, [runs] or [nodes, runs], is in one run: a scalar or [nodes, 1]."""
    if np.ndim(leaf) == 0 or np.shape(leaf)[-1] == 1:
        return leaf
    return leaf[run] if np.ndim(leaf) == 1 else leaf[:, run : run + 1]


def _of_runs(network: Network) -> list[PyTree]:
    """The settings of its failures that have one number for each run, [runs]."""
    leaves = zip(jax.tree.leaves(network), axes_of_leaves(network), strict=True)
    return [leaf for leaf, axes in leaves if along(leaf, axes, ("runs",)) is not None]


def _starts_differ_only(settings: PyTree) -> bool:
    return not any(np.ndim(leaf) and np.shape(leaf)[-1] > 1 for leaf in jax.tree.leaves(settings[:-1]))


# ---------------------------------------------------------------- what is tried


def flow_trial(
    method: LaplacianFlow, problem: Problem, network: Network, channel: Channel, start: ArrayLike | None
) -> Trial:
    """Of an allocation, from `start` [nodes, 1] or the feasible point, to the optimum of the penalised costs."""
    allocation, nodes = problem.allocation, network.nodes
    assert allocation is not None
    goal = allocation
    if isinstance(method.bounds, Penalty):
        penalised = Penalised(allocation.cost, method.bounds, allocation.lower, allocation.upper)
        goal = Allocation(penalised, allocation.budget)
    try:
        target = jnp.asarray(dual_bisection(goal, nodes)[0])
    except ValueError as error:
        raise NoNumber(f"the optimum is not known: {error}") from None
    bend = np.maximum(np.asarray(curvature(goal.cost, target))[:, 0], 0)
    momentum = 0.0 if method.momentum is None else float(method.momentum)
    top = scaled_top(_mean_laplacian(network), bend)
    if not np.isfinite(top) or top <= 0:
        raise NoNumber("the cost has no curvature at the optimum")
    x = as_jax(feasible_point(allocation, nodes) if start is None else start)
    beside = _beside(target, x)
    beside = beside + (target - beside).mean(axis=0, keepdims=True)  # the budget is met
    domain = allocation.cost.domain()
    beside = jnp.where((beside > domain[0]) & (beside < domain[1]), beside, target)
    rate = None if network.failing is None else network.failing.mean_rate()
    fails = network.fails and (rate is None or bool(np.any(rate)))
    draws = int(np.clip(MOST_MOVES / (nodes * TRIED * USUAL), 1, DRAWS)) if fails else 1
    starts = (jnp.broadcast_to(each, (nodes, draws * TRIED)) for each in (x, beside))
    first, second = (Pair(each, jnp.zeros_like(each)) for each in starts)
    return Trial(method, allocation, (first, second), target, 2 * (1 + momentum) / top, False, draws)


def training_trial(method: Method, problem: Problem, network: Network, channel: Channel, start: Params) -> Trial:
    """Of a convex loss, from one node's parameters `start` or the loss's own, to the optimum."""
    training = problem.training
    assert isinstance(method, TrainingMethod)
    assert training is not None
    nodes, samples = shape_of(training.features)
    numbers = sum(leaf.size // (nodes * samples) for leaf in jax.tree.leaves(training.features))
    batch = method.batch_size
    work, most = 4 * nodes * (batch or samples) * numbers * training.loss.outputs * TRIED, MOST
    if batch or training.loss.moments(training.batch()) is None:
        most = int(min(MOST, MOST_WORK / work))
    if most < USUAL:
        raise NoNumber("there are too many samples")
    try:
        best = reference(Problem(training=training), nodes).params
    except RuntimeError as error:
        raise NoNumber(f"the optimum is not known: {error}") from None
    target = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64)[None, ..., None], best)
    training = training.with_moments()
    momentum = float(getattr(method, "momentum", None) or 0.0)
    bend = float(_mean_curvature(training, target))
    if not (np.isfinite(bend) and bend > 0):
        raise NoNumber("the loss has no curvature at the optimum")
    longest = 2 * (1 + momentum) / bend
    one = training.loss.init(jax.random.key(0), training.one_sample) if start is None else start

    def laid(leaf: ArrayLike, like: Array) -> Array:
        leaf, shape = jnp.asarray(leaf, jnp.float64), like.shape[1:-1]
        leaf = leaf[..., 0] if leaf.ndim == len(shape) + 2 else leaf  # the first run's
        leaf = leaf if leaf.ndim == len(shape) + 1 else leaf[None]
        return jnp.broadcast_to(leaf[..., None], (nodes, *shape, TRIED))

    first, biased = jax.tree.map(laid, one, target), batch is not None or isinstance(method, (DGD, CHOCO))
    beside = jax.tree.map(lambda end, begin: jnp.broadcast_to(_beside(end, begin), begin.shape), target, first)
    return Trial(method, training, (first, beside), target, longest, biased, most=most)


def _beside(target: Array, start: Array) -> Float[Array, "nodes *shape"]:
    """A little beside the target, at each node elsewhere, which tells whether the iterations rest there."""
    away = NEARBY * jnp.sqrt(jnp.mean((start - target) ** 2))
    away = jnp.where(away > 0, away, NEARBY * jnp.maximum(jnp.sqrt(jnp.mean(target**2)), NEARBY))
    return target + away * jax.random.normal(jax.random.key(1), (*start.shape[:-1], 1))


def _mean_laplacian(network: Network) -> Any:
    """Over switching and failures, as far as these have one rate for all links."""
    rate = None if network.failing is None else network.failing.mean_rate()
    return (1 - (0.0 if rate is None else float(rate))) * average_laplacian(network)


@jax.jit
def _mean_curvature(training: Training, at: Params) -> Float[Array, ""]:
    """lambda_max of the mean over the nodes of d2g_i / dy2, by the power method; at: leaves [1, *shape, 1]."""
    nodes, _ = shape_of(training.features)

    def everywhere(tree: Params) -> Params:
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (nodes, *leaf.shape[1:])), tree)

    def size(tree: Params) -> Array:
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))

    def turn(_: Array, at_hand: tuple[Any, Array]) -> tuple[Params, Array]:
        along, _ = at_hand
        turned = jax.jvp(training.gradient, (everywhere(at),), (everywhere(along),))[1]
        turned = jax.tree.map(lambda leaf: leaf.mean(axis=0, keepdims=True), turned)
        most = size(turned)
        return jax.tree.map(lambda leaf: leaf / most, turned), most

    leaves, form = jax.tree.flatten(at)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    along = form.unflatten([jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)])
    along = jax.tree.map(lambda leaf: leaf / size(along), along)
    return jax.lax.fori_loop(0, TURNS, turn, (along, jnp.zeros(())))[1]


# ---------------------------------------------------------------- how it went


def _chosen(trial: Trial, network: Network, channel: Channel) -> float:
    """The step that is `BELOW` under the longest that works, 2^(-1/2) of it; from there on down the one that comes
    nearest, where the method stops at a distance that grows with the step.
    """
    steps = trial.longest * 2.0 ** (-np.arange(TRIED) / EACH)
    method = replace(trial.method, step=jnp.asarray(np.tile(steps, trial.draws)))
    iterations = int(np.clip(MOST_MOVES / (network.nodes * TRIED * trial.draws), LEAST, trial.most)) // 4 * 4
    found, near = (
        np.asarray(_distances(method, trial.half, network, channel, start, trial.target, iterations))
        .reshape(-1, trial.draws, TRIED)
        .max(axis=1)  # NaN where there is one
        for start in trial.starts
    )
    works = working(found / (steps if trial.biased else 1.0)) & working(near / (steps if trial.biased else 1.0))
    if not works.any():
        raise NoNumber("no step that was tried works")
    first = int(np.argmax(works)) + BELOW
    return float(steps[first + np.argmin(found[-1, first:]) if trial.biased else first])


def working(distance: Float[np.ndarray, "parts steps"]) -> Bool[np.ndarray, " steps"]:
    """Which steps work, long ones first; distance: at the start, then the mean of each quarter of the trial."""
    start, _, middle, _, late = distance
    late = np.where(np.isfinite(late), late, np.inf)
    enough = ROUNDING * start
    shorter = np.minimum.accumulate(late[::-1])[::-1]
    falling = late <= SLOWER * middle + enough
    near = late <= WORSE * late.min() + enough
    alone = (late <= FASTER * middle + enough) | ((falling | near) & (late <= WORSE * shorter + enough))
    alone &= np.isfinite(late)
    return np.array([i + BELOW < len(alone) and bool(alone[i : i + BELOW + 1].all()) for i in range(len(alone))])


@partial(jax.jit, static_argnames="iterations")
def _distances(
    method: Method, half: Half, network: Network, channel: Channel, start: PyTree, target: PyTree, iterations: int
) -> Float[Array, "parts steps"]:
    """How far from the target the nodes stand: at the start, then the mean over each quarter of the iterations."""
    length = iterations // 4
    key = jax.random.key(0)
    numbers = jnp.repeat(
        jnp.arange(jax.tree.leaves(start)[0].shape[-1] // TRIED, dtype=jnp.int32), TRIED
    )  # all steps draw the same

    def now(memory: PyTree, k: Array) -> tuple[Round, PyTree]:
        links, memory = network.next_links(memory, key, k, numbers)
        return Round(links, Draw(jax.random.fold_in(key, k), numbers), network.nodes, channel), memory

    def one(k: Array, at: tuple[PyTree, PyTree, Array]) -> tuple[PyTree, PyTree, Array]:
        state, memory, total = at
        this, memory = now(memory, k)
        state = alone.update(state, this)
        return state, memory, total + _distance(half, alone.estimate(state), target)

    def quarter(at: tuple[PyTree, PyTree], begin: Array) -> tuple[PyTree, Array]:
        state, memory, total = jax.lax.fori_loop(begin, begin + length, one, (*at, jnp.zeros(numbers.shape)))
        return (state, memory), total / length

    alone, memory = Alone.of(method, half, channel), network.memory(key, numbers)
    state = alone.init(start, now(memory, jnp.asarray(0))[0])
    _, found = jax.lax.scan(quarter, (state, memory), jnp.arange(4) * length)
    return jnp.concatenate([_distance(half, alone.estimate(state), target)[None], found])


def _distance(half: Half, at: PyTree, target: PyTree) -> Float[Array, " steps"]:
    """The Euclidean one over all nodes; infinite outside the domain of the cost."""
    squares = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2, axis=tuple(range(a.ndim - 1))), at, target)
    distance = jnp.sqrt(sum(jax.tree.leaves(squares)))
    if isinstance(half, Training):
        return distance
    first, last = half.cost.domain()
    return jnp.where(jnp.all((at > first) & (at < last), axis=0), distance, jnp.inf)
