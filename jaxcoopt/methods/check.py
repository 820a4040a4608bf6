"""What must hold of a method before it runs, on this problem."""

import jax

from jaxcoopt.arrays import plain_tree
from jaxcoopt.channel.check import check_channel
from jaxcoopt.errors import finite, refuse_lists
from jaxcoopt.layout import check_axes
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.schedule import in_each_phase
from jaxcoopt.problem.problem import Problem
from jaxcoopt.setting import check_parts, check_values


def received(method: CoOptimizer) -> CoOptimizer:
    """The method with plain arrays. Raises TypeError, naming the part, for one of the wrong kind, and for what holds no
    real numbers.
    """
    if not isinstance(method, CoOptimizer):
        raise TypeError(
            f"method: expected a jaxcoopt.CoOptimizer, got {type(method).__name__}; wrap one half alone as "
            "CoOptimizer(allocation=...) or CoOptimizer(training=...)"
        )
    check_parts(method, "method")
    refuse_lists("method", method)
    return plain_tree(method, "method")


def check_method(method: CoOptimizer, problem: Problem, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for a method that cannot be run on the problem."""
    for half in ("allocation", "training"):
        given, wanted = getattr(method, half) is not None, getattr(problem, half) is not None
        if given != wanted:
            has, lacks = ("problem", "method") if wanted else ("method", "problem")
            raise ValueError(f"{lacks}.{half}: missing, but the {has} has one; give both or leave both out")
    for each in in_each_phase(method):
        _check_settings(each, problem, runs)


def check_directed(method: CoOptimizer) -> None:
    """Raise ValueError for a method that cannot run over directed links."""
    for half in ("allocation", "training"):
        part, channel = getattr(method, half), method.channel_of(half)
        if part is None:
            continue
        reason = part.no_directed_links(channel)
        if reason is None and channel.placement == "difference" and not channel.lossless:
            reason = "channel.placement 'difference' needs the value at both ends; use 'innovation' or 'message'"
        if reason is not None:
            raise ValueError(
                f"method.{half}: the network is directed, and {reason}; over directed links run LaplacianFlow, "
                "GradientTracking or DGD, or make the graphs undirected"
            )


def _check_settings(method: CoOptimizer, problem: Problem, runs: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(method):
        name = f"method{jax.tree_util.keystr(path)}"
        check_axes(name, finite(name, leaf), ("runs",), {"runs": runs})
    for channel in method.channels():
        check_channel(channel)
    if method.allocation is None and method.allocation_channel is not None:
        raise ValueError("method.allocation_channel: there is no method.allocation; give both, or channel alone")
    check_values(method, "method")
    if method.allocation is not None and problem.allocation is not None:
        method.allocation.check(problem.allocation, method.channel_of("allocation"))
    if method.training is not None and problem.training is not None:
        method.training.check(problem.training, method.channel_of("training"))
