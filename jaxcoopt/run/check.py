"""What must hold of the arguments of `solve`, checked once before anything is compiled."""

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.arrays import plain_tree
from jaxcoopt.errors import StandIn, check_name, check_seed, finite, positive, shown, traced
from jaxcoopt.host import inside_jit
from jaxcoopt.layout import check_axes
from jaxcoopt.methods import check as methods
from jaxcoopt.methods.check import check_directed, check_method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.flat_costs import check_flat
from jaxcoopt.methods.unlike_costs import check_unlike
from jaxcoopt.network.check_failures import check_failures, check_one, failure_chance
from jaxcoopt.network.network import Network
from jaxcoopt.problem import check as problems
from jaxcoopt.problem.align import node_count
from jaxcoopt.problem.check import check_problem
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import SCALARS, Optimum
from jaxcoopt.run.clocks import CLOCKS, SYNCHRONOUS, Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.own_parts import check_kind, check_part, received_part
from jaxcoopt.run.stops import STOPS, Stop, Tolerance, tol_of

SHARDS = ("runs", "nodes")


def received(problem: Problem, network: Network, method: CoOptimizer) -> tuple[Problem, Network, CoOptimizer]:
    """The three with plain arrays. Raises TypeError or ValueError for one of another kind, or with parts of another."""
    problem = problems.received(problem)
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a jaxcoopt.Network, got {type(network).__name__}; see Network.from_graphs")
    check_one("network.failures", network.failure_rate, network.failures)
    return problem, plain_tree(network, "network"), methods.received(method)


def received_start(initial: Initial | None) -> Initial | None:
    """The start with plain arrays. Raises TypeError for another kind."""
    if initial is not None and not isinstance(initial, Initial):
        raise TypeError(f"initial: expected a jaxcoopt.Initial, got {type(initial).__name__}")
    return plain_tree(initial, "initial")


def received_clock(clock: Clock | None) -> Clock:
    """The clock with plain arrays, the package's where none is given. Raises TypeError for another kind."""
    return received_part("clock", SYNCHRONOUS if clock is None else clock, Clock, CLOCKS)


def received_optimum(optimum: Optimum | None, nodes: int, runs: int) -> Optimum | None:
    """The optimum with plain arrays. Raises for another kind, and for shapes that do not fit the run."""
    if not isinstance(optimum, Optimum | None):
        raise TypeError(f"optimum: expected what jaxcoopt.reference returns, got {type(optimum).__name__}")
    if optimum is None or traced(optimum):
        return optimum
    found: Optimum = plain_tree(optimum, "optimum")
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        finite(f"optimum{jax.tree_util.keystr(path)}", leaf)
    for name in ("allocation", *SCALARS):
        if not jax.tree_util.all_leaves([part := getattr(found, name)]) and part is not None:
            raise TypeError(f"optimum.{name}: expected a number or an array of them, got {shown(part)}")
    for name in SCALARS:
        value = getattr(found, name)
        check_axes(f"optimum.{name}", 0 if value is None else value, ("runs",), {"runs": runs})
    shares = np.shape(found.allocation)
    if found.allocation is not None and shares not in ((nodes,), (nodes, 1), (nodes, runs)):
        raise ValueError(
            f"optimum.allocation: expected [nodes] = ({nodes},) or [nodes, runs] = ({nodes}, {runs}), got {shares}"
        )
    return found


def check_run(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    runs: int,
    seed: object,
    initial: Initial | None,
    clock: Clock = SYNCHRONOUS,
) -> None:
    """Raise ValueError or TypeError naming the argument; what is traced has no values to look at and is passed over."""
    check_seed("seed", seed)
    _check_start(initial, problem)
    if not traced(problem):
        check_problem(problem, network.nodes, runs)
        if node_count(problem) not in (None, 1, network.nodes):
            raise ValueError(f"problem: it has {node_count(problem)} nodes, the network has {network.nodes}")
    if not traced(network) and network.failure_rate is not None:
        chance = failure_chance("network.failure_rate", network.failure_rate)
        check_axes("network.failure_rate", chance, ("runs",), {"runs": runs})
    if not traced(network) and network.failures is not None:
        sizes = {"runs": runs, "nodes": network.nodes, "edges": network.edges.count}
        check_failures("network.failures", network.failures, sizes)
    check_kind("clock", clock, Clock, CLOCKS)
    check_part("clock", clock, {"runs": runs, "nodes": network.nodes})
    check_method(jax.tree.map(lambda leaf: StandIn.like(leaf) if traced(leaf) else leaf, method), problem, runs)
    if network.directed:
        check_directed(method)
    if not traced(problem):
        check_flat(method.allocation, problem.allocation, network.nodes)
        if not traced(network):
            check_unlike(method.allocation, problem.allocation, network)


def check_shard(shard: object, network: Network, *given: PyTree) -> None:
    """The nodes are spread by a plan made of the network's numbers, so these must be there."""
    check_name("shard", shard, SHARDS)
    if shard == "nodes" and network.directed:
        raise ValueError("shard: 'nodes' is for undirected links; use shard='runs'")
    if shard == "nodes" and (inside_jit() or traced(network, *given)):
        raise ValueError("shard: 'nodes' does not work inside jit or grad; use shard='runs' there")


def check_tol_number(tol: object) -> None:
    """Raise ValueError or TypeError for what is not one number above 0."""
    shape = positive("tol", tol).shape
    if shape:
        raise ValueError(f"tol: expected a number, the same for all runs, got shape {shape}")


def received_stop(tol: object, stop: Stop | None) -> Stop | None:
    """The stop with plain arrays; tol: a shorthand for a `Tolerance`. Raises ValueError or TypeError for what is wrong
    by itself.
    """
    if tol is not None and stop is not None:
        raise ValueError("tol: stop is given, too; tol=1e-6 is the same as stop=jaxcoopt.Tolerance(1e-6), so give one")
    if tol is not None and not traced(tol):
        check_tol_number(tol)
    if tol is not None:
        return Tolerance(tol)
    return None if stop is None else received_part("stop", stop, Stop, STOPS)


def check_stop(stop: Stop | None, problem: Problem, optimum: Optimum, runs: int) -> None:
    """Raise ValueError or TypeError for settings out of their range, and where it lacks what it reads."""
    if stop is None:
        return
    check_part("stop", stop, {"runs": runs})
    stop.check("stop" if tol_of(stop) is None else "tol", problem, optimum)


def _check_start(initial: Initial | None, problem: Problem) -> None:
    """A start for a half that the problem lacks would be passed over in silence."""
    for half, given in (("allocation", initial and initial.allocation), ("training", initial and initial.params)):
        if given is not None and isinstance(problem, Problem) and getattr(problem, half) is None:
            name = {"allocation": "allocation", "training": "params"}[half]
            raise ValueError(f"initial.{name}: given, but the problem has no {half} half; leave it None")
