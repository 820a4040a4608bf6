"""What must hold of a method before it runs, on this problem."""

import jax

from jaxcoopt.arrays import plain_tree, shown
from jaxcoopt.channel.channel import Channel
from jaxcoopt.channel.check import check_channel
from jaxcoopt.errors import finite, refuse_lists, refuse_unregistered
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.method import AllocationMethod, TrainingMethod
from jaxcoopt.methods.phases import in_each_phase
from jaxcoopt.methods.responses import Response
from jaxcoopt.problem.bounds import Bounds
from jaxcoopt.problem.check import check_per_run
from jaxcoopt.problem.problem import Problem


def received(method: CoOptimizer) -> CoOptimizer:
    """The method with plain arrays. Raises TypeError, naming the part, for one of the wrong kind, and for what holds no
    real numbers.
    """
    if not isinstance(method, CoOptimizer):
        raise TypeError(
            f"method: expected a jaxcoopt.CoOptimizer, got {type(method).__name__}; wrap one half alone as "
            "CoOptimizer(allocation=...) or CoOptimizer(training=...)"
        )
    _check_kinds(method)
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


def _check_settings(method: CoOptimizer, problem: Problem, runs: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(method):
        name = f"method{jax.tree_util.keystr(path)}"
        check_per_run(name, finite(name, leaf), runs)
    check_channel(method.channel)
    if method.allocation is not None and problem.allocation is not None:
        method.allocation.check(problem.allocation, method.channel)
    if method.training is not None and problem.training is not None:
        method.training.check(problem.training, method.channel)


def _check_kinds(method: CoOptimizer) -> None:
    """Every part is of its own kind: before its numbers are looked at, so that the error names the part."""
    if not isinstance(method.channel, Channel):
        raise TypeError(
            f"method.channel: expected one of jaxcoopt.channels, such as Ideal(), got {shown(method.channel)}"
        )
    refuse_unregistered("method.channel", method.channel)
    for half, kind, example in (
        ("allocation", AllocationMethod, "LaplacianFlow"),
        ("training", TrainingMethod, "GradientTracking"),
    ):
        given = getattr(method, half)
        if given is None:
            continue
        if not isinstance(given, kind):
            raise TypeError(f"method.{half}: expected one of jaxcoopt.methods, such as {example}, got {shown(given)}")
        refuse_unregistered(f"method.{half}", given)
        for name, part in (("bounds", Bounds), ("response", Response)):
            if not hasattr(given, name):
                continue
            inside = getattr(given, name)
            if not isinstance(inside, part):
                known = f"jaxcoopt.{name}" if part is Bounds else "jaxcoopt.methods.responses"
                raise TypeError(f"method.{half}.{name}: expected one of {known}, got {shown(inside)}")
            refuse_unregistered(f"method.{half}.{name}", inside)
