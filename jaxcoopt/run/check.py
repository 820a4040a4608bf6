"""What must hold of the arguments of `solve`, checked once before anything is compiled."""

from typing import Any

import jax
import numpy as np

from jaxcoopt.errors import StandIn, inside_jit, positive, traced, unknown_name
from jaxcoopt.methods.check import check_method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.flat_costs import check_flat
from jaxcoopt.network.failures import failure_chance
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import node_count
from jaxcoopt.problem.check import check_per_run, check_problem
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.initial import Initial

SHARDS = ("runs", "nodes")


def check_run(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    runs: int,
    seed: Any,
    initial: Initial | None,
    optimum: Optimum | None,
) -> None:
    """Raise ValueError or TypeError naming the argument; what is traced has no values to look at and is passed over."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed: expected a whole number, got {seed!r}")
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed: expected a 64-bit whole number, got {seed}")
    if not isinstance(optimum, Optimum | None):
        raise TypeError(f"optimum: expected what jaxcoopt.reference returns, got {type(optimum).__name__}")
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a jaxcoopt.Network, got {type(network).__name__}; see Network.from_graphs")
    if initial is not None and not isinstance(initial, Initial):
        raise TypeError(f"initial: expected a jaxcoopt.Initial, got {type(initial).__name__}")
    _check_start(initial, problem)
    if not traced(problem):
        check_problem(problem, network.nodes, runs)
        if node_count(problem) not in (None, 1, network.nodes):
            raise ValueError(f"problem: it has {node_count(problem)} nodes, the network has {network.nodes}")
    if not traced(network) and network.failure_rate is not None:
        check_per_run("network.failure_rate", failure_chance("network.failure_rate", network.failure_rate), runs)
    check_method(jax.tree.map(lambda leaf: StandIn.like(leaf) if traced(leaf) else leaf, method), problem, runs)
    if not traced(problem):
        check_flat(method.allocation, problem.allocation, network.nodes)


def check_shard(shard: Any, *given: Any) -> None:
    """The nodes are spread by a plan made of the network's numbers, so these must be there."""
    if shard not in SHARDS:
        raise unknown_name("shard", shard, SHARDS)
    if shard == "nodes" and (inside_jit() or traced(*given)):
        raise ValueError("shard: 'nodes' does not work inside jit or grad; use shard='runs' there")


def check_tol(tol: Any, problem: Problem, optimum: Optimum) -> None:
    """A run can only be told to have converged where the optimum of each half is known."""
    if tol is None:
        return
    if not traced(tol):
        positive("tol", tol)
    if problem.training is not None and not problem.training.loss.convex:
        raise ValueError("tol: it compares with the optimum, and a non-convex loss has none; leave tol out")
    for half, known in (("allocation", optimum.allocation_cost), ("training", optimum.training_loss)):
        if getattr(problem, half) is not None and known is None:
            raise ValueError(
                f"tol: the optimum of the {half} half is not known; pass optimum=jaxcoopt.reference(problem)"
            )


def _check_start(initial: Initial | None, problem: Problem) -> None:
    """A start for a half that the problem lacks would be passed over in silence."""
    for half, given in (("allocation", initial and initial.allocation), ("training", initial and initial.params)):
        if given is not None and isinstance(problem, Problem) and getattr(problem, half) is None:
            name = {"allocation": "allocation", "training": "params"}[half]
            raise ValueError(f"initial.{name}: given, but the problem has no {half} half; leave it None")
