"""What a user gives to the functions of theory: checked as `solve` checks it, with plain arrays."""

from typing import Any

import jax
from jaxtyping import PyTree

from jaxcoopt.arrays import plain_tree, shown
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.check import check_channel
from jaxcoopt.channel.quantizers import Ideal
from jaxcoopt.errors import finite, refuse_unregistered, traced
from jaxcoopt.methods.check import received as received_method
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.method import AllocationMethod, Method, TrainingMethod
from jaxcoopt.network.check_failures import check_failures, check_one
from jaxcoopt.network.network import Network
from jaxcoopt.problem import check
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import run_count

EXAMPLE = "such as jaxcoopt.methods.GradientTracking"


def received(method: Method, problem: Problem, network: Network) -> tuple[Method, Problem, Network]:
    """One half's method, the problem and the network. Raises TypeError or ValueError, naming the argument."""
    if not isinstance(method, (AllocationMethod, TrainingMethod)):
        raise TypeError(f"method: expected one half's method, {EXAMPLE}, got {shown(method)}")
    half = "allocation" if isinstance(method, AllocationMethod) else "training"
    halves: dict[str, Any] = {half: method}
    method = getattr(received_method(CoOptimizer(**halves)), half)
    _check_finite("method", method)
    network = refuse_directed(received_network(network))
    return method, received_problem(problem, network.nodes), network


def received_problem(problem: Problem, nodes: int | None = None) -> Problem:
    """A problem that is right on so many nodes; None: on as many as it has."""
    problem = check.received(problem)
    if not traced(problem) and nodes is not None:
        check.check_problem(problem, nodes, run_count(problem))
    return problem


def received_network(network: Network) -> Network:
    """A network, with plain arrays."""
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a jaxcoopt.Network, got {type(network).__name__}; see Network.from_graphs")
    check_one("network.failures", network.failure_rate, network.failures)
    found: Network = plain_tree(network, "network")
    if found.failures is not None:
        check_failures("network.failures", found.failures, {"edges": found.edges.count, "nodes": found.nodes})
    return found


def refuse_directed(network: Network) -> Network:
    """The network. Raises ValueError where its links go one way."""
    if network.directed:
        raise ValueError("network: it is directed, and this is known for links that go both ways only")
    return network


def received_channel(channel: Channel | None) -> Channel:
    """A channel that can be run, ideal links where there is none."""
    if channel is None:
        return Ideal()
    if not isinstance(channel, Channel):
        raise TypeError(f"channel: expected one of jaxcoopt.channels, such as Ideal(), got {shown(channel)}")
    refuse_unregistered("channel", channel)
    found: Channel = plain_tree(channel, "channel")
    _check_finite("channel", found)
    check_channel(found)
    return found


def _check_finite(name: str, settings: PyTree) -> None:
    """All numbers but the step, which may be a word, or not known yet."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(settings):
        where = jax.tree_util.keystr(path)
        if not traced(leaf) and not (where == ".step" and name == "method"):
            finite(f"{name}{where}", leaf)
