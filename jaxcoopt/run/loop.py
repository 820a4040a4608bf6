"""The compiled loop: iterations from one record to the next, all runs at once."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxcoopt.compensated import Pair, two_sum
from jaxcoopt.compiler import LEAST_WIDE, options_for
from jaxcoopt.draws import Draw
from jaxcoopt.methods.co_optimizer import CoState
from jaxcoopt.methods.round import Round
from jaxcoopt.methods.schedule import at_iteration
from jaxcoopt.network.halo import most
from jaxcoopt.platform import choices
from jaxcoopt.problem.box import domain
from jaxcoopt.problem.models import Params
from jaxcoopt.problem.problem import Problem
from jaxcoopt.run.clocks import Iteration, duration_of
from jaxcoopt.run.metric import Metric
from jaxcoopt.run.record import Extra
from jaxcoopt.run.setup import Carry, Evaluation, Setup
from jaxcoopt.run.stacked import Stacked
from jaxcoopt.run.statistics import OF_SAMPLES, observe, without_samples
from jaxcoopt.run.status import OF_COST, diverged, lost_halves
from jaxcoopt.run.stops import ITERATION, MEAN_SHARE, LazyRecord, stopping

Iterations = Callable[[Setup, Carry, Any], Carry]


def begin(setup: Setup, x: Pair | None, params: Params | None) -> Carry:
    """The carry of iteration 0, from where the nodes start."""
    zero = jnp.zeros(setup.runs.shape, setup.network.weights.dtype)
    iteration = jnp.asarray(0, jnp.int32)
    failures = setup.network.memory(setup.network_key, setup.runs)
    links, _ = setup.network.next_links(failures, setup.network_key, iteration, setup.runs)
    now = Round(links, Draw(setup.batch_key, setup.runs).named("start"), setup.nodes, setup.method.channel)
    state = at_iteration(setup.method, iteration).init(setup.problem, x, params, now)
    none = jnp.zeros(setup.runs.shape, bool)
    strayed = none if _has_ends(setup.problem) else None
    visits = jnp.zeros(setup.network.graphs, jnp.int32) if setup.network.seen(iteration) is None else None
    carry = Carry(iteration, state, zero, zero, visits, none, strayed=strayed, failures=failures)
    if setup.evaluation is not None:
        carry = replace(carry, evaluated=jax.tree.map(jnp.zeros_like, _of_samples(setup, carry)))
    return carry if setup.stop is None else looked_at(setup, replace(carry, bits=zero))


def advance(setup: Setup, carry: Carry, length: Any, axis: str | None = None) -> tuple[Carry, dict[str, Array]]:
    """`length` iterations, or fewer where every run has converged before, then one record; axis: the devices', where
    the runs are spread over several.
    """
    watched = setup.stop is not None
    new = until_converged(setup, carry, length, axis) if watched else moved_on(setup, carry, length)
    if setup.evaluation is not None:
        new = replace(new, evaluated=_evaluated(setup, setup.evaluation, carry, new))
    return new, recorded(setup, new)


def _evaluated(setup: Setup, evaluation: Evaluation, old: Carry, new: Carry) -> dict[str, Array]:
    """What needs all samples, evaluated anew in the runs in which it is due, whatever the others do."""
    every, evaluated = evaluation.every, new.evaluated
    passed = (new.iteration == 0) | (new.iteration // every > old.iteration // every)
    due = passed | (new.iteration >= evaluation.end) | (new.done & ~old.done)
    fresh = lax.cond(jnp.any(due), lambda: _of_samples(setup, new), lambda: evaluated)
    return jax.tree.map(partial(jnp.where, due), fresh, evaluated)


def _of_samples(setup: Setup, carry: Carry) -> dict[str, Array]:
    found = _statistics(setup, replace(carry, evaluated=None))
    return {name: found[name] for name in OF_SAMPLES if name in found}


def moved_on(setup: Setup, carry: Carry, length: Any, run: Iterations | None = None) -> Carry:
    """`length` iterations, by `run` where it is given."""
    new = replace(carry, state=setup.method.refresh(carry.state))
    run = iterations if run is None else run
    return (run if setup.split is None else setup.split.over_blocks(run))(setup, new, length)


def recorded(setup: Setup, carry: Carry) -> dict[str, Array]:
    """One record."""
    record = _statistics(setup, carry)
    sent = _bits_sent(setup, carry)
    sent = sent if carry.bits is None else jnp.where(carry.done, carry.bits, sent)
    record |= {"bits": sent, "seconds": carry.seconds}
    lost = jnp.stack(list(lost_halves(record).values())).all(axis=0)
    record |= {"diverged": diverged(record), "converged": carry.done, "over": carry.done | lost}
    return record if setup.extra is None else record | _asked_for(setup, setup.extra, carry)


def _asked_for(setup: Setup, extra: Extra, carry: Carry) -> dict[str, Any]:
    """What the user wants to be recorded, of all nodes in the order of the network."""
    problem, estimate = setup.problem, setup.method.estimate(carry.state)
    if setup.split is not None:
        assert setup.node_at is not None
        problem = setup.split.in_order(problem, setup.node_at)
        estimate = setup.split.in_order(estimate, setup.node_at)
    return extra.of(problem, estimate, len(setup.runs))


def _statistics(setup: Setup, carry: Carry, observe: Callable[..., dict[str, Array]] = observe) -> dict[str, Array]:
    problem, estimate = setup.problem, setup.method.estimate(carry.state)
    if setup.split is not None:
        problem, estimate = setup.split.without_padding(problem, estimate)
    found = (observe if carry.evaluated is None else without_samples)(problem, estimate, setup.optimum)
    found |= carry.evaluated or {}
    if carry.strayed is None:
        return found
    lost = {name: jnp.where(carry.strayed, jnp.nan, found[name]) for name in OF_COST if name in found}
    return found | lost


# Runs with a stop are looked at in iterations of their own, whatever is recorded: every tenth at first, then ever
# more seldom, so that a run stops at most a 32nd part late and looking costs less than the usual hundred records.
FIRST_LOOKS, UP_TO = 10, 640


def next_look(iteration: Int[Array, ""]) -> Int[Array, ""]:
    """The first iteration after this one in which runs may stop: every 10th up to 640, every 20th up to 1,280, ..."""
    period = FIRST_LOOKS << (32 - lax.clz(iteration // UP_TO))
    look = (iteration // period + 1) * period
    return jnp.where(look > iteration, look, 2**31 - 1)


def until_converged(setup: Setup, carry: Carry, length: Any, axis: str | None) -> Carry:
    """`length` iterations from one look to the next, or fewer where every run has converged before."""
    end = carry.iteration + jnp.asarray(length, carry.iteration.dtype)

    def to_the_next(at: tuple[Carry, Array]) -> tuple[Carry, Array]:
        old, _ = at
        look = next_look(old.iteration)
        new = moved_on(setup, old, jnp.minimum(look, end) - old.iteration)
        new = looked_at(setup, _standing(old, new), new.iteration == look)
        return new, _all(new.done, axis)

    def go_on(at: tuple[Carry, Array]) -> Array:
        return (at[0].iteration < end) & ~at[1]

    return lax.while_loop(go_on, to_the_next, (carry, _all(carry.done, axis)))[0]


def looked_at(setup: Setup, carry: Carry, due: Any = True) -> Carry:
    """The same, in which what has converged is done, if it is `due` to look."""
    bits, stop, runs = carry.bits, setup.stop, len(setup.runs)
    assert bits is not None
    assert stop is not None

    def all_stopping() -> Any:
        return stopping(stop, _seen(setup, carry, observe), runs)

    def look() -> tuple[Array, Array]:  # the samples are gone through only where all else allows of a stop
        early = stopping(stop, _seen(setup, carry, without_samples), runs, early=True)
        if early is None:
            now = all_stopping()
        else:
            now = lax.cond(jnp.any(early & ~carry.done), all_stopping, lambda: jnp.zeros_like(carry.done))
        return carry.done | now, jnp.where(carry.done, bits, _bits_sent(setup, carry))

    done, sent = lax.cond(due, look, lambda: (carry.done, bits))
    return replace(carry, done=done, bits=sent)


def _seen(setup: Setup, carry: Carry, observe: Callable[..., dict[str, Array]]) -> LazyRecord:
    """What a `Stop` may read."""
    others: dict[str, Callable[[], Array]] = {
        "bits": partial(_bits_sent, setup, carry),
        "seconds": lambda: carry.seconds,
        ITERATION: lambda: carry.iteration,
        MEAN_SHARE: lambda: setup.mean_share,
    }
    for metric in () if setup.extra is None else setup.extra.metrics:
        others[metric.name] = partial(_metric, setup, metric, carry)
    return LazyRecord(_statistics(setup, replace(carry, evaluated=None), observe), others)


def _metric(setup: Setup, metric: Metric, carry: Carry) -> Array:
    return _asked_for(setup, Extra((metric,)), carry)[metric.name]


def _standing(old: Carry, new: Carry) -> Carry:
    """The new carry, in which the runs that were done stand where they did."""
    kept = ("state", "seconds", "seconds_lost", "strayed")
    return replace(new, **{name: _keep(old.done, getattr(old, name), getattr(new, name)) for name in kept})


def _all(done: Bool[Array, " runs"], axis: str | None) -> Bool[Array, ""]:
    """On all devices."""
    left = jnp.sum(~done)
    return (left if axis is None else lax.psum(left, axis)) == 0


def advance_records(
    setup: Setup, carry: Carry, lengths: Int[Array, " most"], count: Int[Array, ""], axis: str | None = None
) -> tuple[Carry, Stacked, Int[Array, ""]]:
    """The first `count` intervals of `lengths`, or fewer where every run has left before; axis: the devices', where the
    runs are spread over several.

    Returns the carry, the records, `most` of them, and how many were made.
    """

    def go_on(state: tuple[Any, ...]) -> Array:
        made, all_left, *_ = state
        return (made < count) & ~all_left

    def interval(state: tuple[Any, ...]) -> tuple[Any, ...]:
        made, _, at, records = state
        at, record = advance(setup, at, lengths[made], axis)
        return made + 1, _all(record["over"], axis), at, records.with_record(made, Stacked.of(record))

    like = jax.eval_shape(lambda: Stacked.of(recorded(setup, carry)))
    start = (jnp.asarray(0, lengths.dtype), jnp.asarray(False), carry, like.room(len(lengths)))
    made, _, carry, records = lax.while_loop(go_on, interval, start)
    return carry, records, made


def compiled_for(runs: int) -> Any:
    """`advance_records`, compiled for so many runs: one program for any length of a run and record interval, as lengths
    and count are traced. The carry is donated.
    """
    return _compiled(tuple(options_for(runs).items()))


@cache
def _compiled(options: tuple[tuple[str, bool | int | str], ...]) -> Any:
    return jax.jit(advance_records, donate_argnames="carry", compiler_options=dict(options))


def _rows(tree: PyTree) -> Any:
    """Leaves [nodes, *shape, runs] as [nodes, shape * runs]."""
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0], -1) if leaf.ndim > 2 else leaf, tree)


def _unrows(like: PyTree) -> Callable[[Any], Any]:
    """The way back, to the shapes of `like`."""
    return partial(jax.tree.map, lambda shaped, leaf: leaf.reshape(shaped.shape), like)


def iterations(setup: Setup, carry: Carry, length: Any) -> Carry:
    """So many of them, nothing recorded; the inner loop ends where a method's numbers have outgrown their units."""
    last = carry.iteration + jnp.asarray(length, carry.iteration.dtype)
    narrow, wide = _layout(carry)

    def go_on(at: Carry) -> Array:
        due = setup.method.outgrown(at.state)
        return (at.iteration < last) if due is None else (at.iteration < last) & ~due

    def until_outgrown(at: Carry) -> Carry:
        at = lax.while_loop(go_on, lambda at: narrow(_iterate(setup, wide(at))), at)
        return narrow(_fitted(setup, wide(at)))

    return wide(lax.while_loop(lambda at: at.iteration < last, until_outgrown, narrow(carry)))


def iterations_in_reverse(setup: Setup, carry: Carry, length: int, looking: bool = False) -> Carry:
    """The same to the bit, for reverse mode: a loop of a known length, whose turns look for themselves.

    looking: runs that converge on the way stand still from then on.
    """
    narrow, wide = _layout(carry)
    iterate = partial(_iterate_and_look if looking else _iterate, setup)

    def where_due(at: Carry) -> Carry:
        due = setup.method.outgrown(at.state)
        return at if due is None else lax.cond(due, partial(_fitted, setup), lambda at: at, at)

    def one(_: Any, at: Carry) -> Carry:
        return narrow(where_due(iterate(wide(at))))

    return wide(lax.fori_loop(0, length, one, narrow(where_due(carry)))) if length else carry


def _iterate_and_look(setup: Setup, carry: Carry) -> Carry:
    """One iteration in a loop of known length, as reverse mode needs it: `until_converged` is faster."""
    new = _standing(carry, _iterate(setup, carry))
    return looked_at(setup, new, new.iteration == next_look(carry.iteration))


def _fitted(setup: Setup, carry: Carry) -> Carry:
    return replace(carry, state=setup.method.fitted(carry.state, partial(most, halo=setup.network.halo)))


def _layout(carry: Carry) -> tuple[Callable[[Carry], Carry], Callable[[Carry], Carry]]:
    """How the loop keeps its carry, and the way back.

    With few runs one row a node, all its numbers in all runs: XLA does not vectorise loops as short as a few runs. Nor
    does it vectorise such rows where a setting of each run is read along them.
    """
    if carry.done.shape[0] >= LEAST_WIDE or not choices().few_runs_as_rows:
        return lambda at: at, lambda at: at
    return _rows, _unrows(carry)


def _iterate(setup: Setup, carry: Carry) -> Carry:
    key, here = setup.network_key, None if setup.split is None else setup.split.here(setup.network)
    links, failures = setup.network.next_links(carry.failures, key, carry.iteration, setup.runs)
    draw = Draw(jax.random.fold_in(setup.batch_key, carry.iteration), setup.runs, here)
    now = Round(links, draw, setup.nodes, setup.method.channel)
    duration, strayed, visits = _duration(setup, carry, draw), carry.strayed, carry.visits
    if strayed is not None:
        strayed = strayed | _outside(setup, carry.state)
    if setup.split is not None:
        strayed = None if strayed is None else setup.split.slowest(strayed.astype(duration.dtype)) > 0
    forever = jnp.finfo(carry.seconds.dtype).max
    goes_on = jnp.maximum(carry.seconds, duration) < forever
    seconds, lost = two_sum(carry.seconds, jnp.where(goes_on, duration, 0) + carry.seconds_lost)
    return replace(
        carry,
        iteration=carry.iteration + 1,
        state=at_iteration(setup.method, carry.iteration).update(carry.state, setup.problem, now),
        seconds=jnp.where(goes_on, jnp.minimum(seconds, forever), forever),
        seconds_lost=jnp.where(goes_on, lost, 0),
        visits=None if visits is None else visits.at[setup.network.graph_at(key, carry.iteration)].add(1),
        strayed=strayed,
        failures=failures,
    )


def _has_ends(problem: Problem) -> bool:
    """Whether there is a cost that is not defined everywhere."""
    ends = () if problem.allocation is None else problem.allocation.cost.domain()
    return not all(isinstance(end, float) and math.isinf(end) for end in ends)


def _outside(setup: Setup, state: CoState) -> Bool[Array, " runs"]:
    """Which runs stand outside of the domain of their cost; what is padded has no work, and does not count."""
    x, work, allocation = setup.method.estimate(state).allocation, setup.problem.work, setup.problem.allocation
    assert x is not None
    assert allocation is not None
    start, end = domain(allocation)
    return jnp.any(((x < start) | (x > end)) & (work > 0), axis=0)


def _duration(setup: Setup, carry: Carry, draw: Draw) -> Float[Array, "#runs"]:
    """The seconds of one iteration. What is padded has no work, and takes no time."""
    method, state, work = setup.method, carry.state, setup.problem.work
    now = Iteration(carry.iteration, work, method.estimate(state).allocation, method, state, draw, setup.split)
    return duration_of(setup.clock, now, len(setup.runs), carry.seconds.dtype)


def _bits_sent(setup: Setup, carry: Carry) -> Float[Array, " runs"]:
    """Bits the mean node has sent, on each of its links, failed ones included."""
    seen = setup.network.seen(carry.iteration) if carry.visits is None else carry.visits
    assert seen is not None  # the carry counts what the network does not know
    copies = jnp.sum(seen.astype(carry.seconds.dtype) * setup.network.links_sent)
    bits = jnp.asarray(setup.method.bits(carry.state), carry.seconds.dtype)
    return jnp.broadcast_to(copies * bits, carry.seconds.shape)


def _keep(done: Bool[Array, " runs"], old: PyTree, new: PyTree) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(done.reshape((1,) * (b.ndim - 1) + done.shape), a, b), old, new)
