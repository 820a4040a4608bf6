"""What must hold of a method before it runs, on this problem."""

import jax
import numpy as np
import optax

from jaxcoopt.channel.check import check_channel
from jaxcoopt.channel.quantizers import Channel
from jaxcoopt.errors import at_least_one, finite, positive, refuse_lists, unknown_name
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.problem.bounds import Penalty
from jaxcoopt.problem.check import check_per_run
from jaxcoopt.problem.problem import Problem


def check_method(method: CoOptimizer, problem: Problem, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for a method that cannot be run on the problem."""
    if not isinstance(method, CoOptimizer):
        raise TypeError(
            f"method: expected a jaxcoopt.CoOptimizer, got {type(method).__name__}; wrap one half alone as "
            "CoOptimizer(allocation=...) or CoOptimizer(training=...)"
        )
    for half in ("allocation", "training"):
        given, wanted = getattr(method, half) is not None, getattr(problem, half) is not None
        if given != wanted:
            has, lacks = ("problem", "method") if wanted else ("method", "problem")
            raise ValueError(f"{lacks}.{half}: missing, but the {has} has one; give both or leave both out")
    _check_kinds(method)
    refuse_lists("method", method)
    for path, leaf in jax.tree_util.tree_leaves_with_path(method):
        name = f"method{jax.tree_util.keystr(path)}"
        check_per_run(name, finite(name, leaf), runs)
    check_channel(method.channel)
    if method.allocation is not None:
        _check_flow(method.allocation)
    if method.training is not None:
        _check_tracking(method.training)


def _check_kinds(method: CoOptimizer) -> None:
    """Every part is of its own kind: before its numbers are looked at, so that the error names the part."""
    flow, tracking, channel = method.allocation, method.training, method.channel
    if not isinstance(channel, Channel):
        raise TypeError(f"method.channel: expected one of jaxcoopt.channels, such as Ideal(), got {channel!r:.80}")
    if flow is not None and not isinstance(flow, LaplacianFlow):
        raise TypeError(f"method.allocation: expected an allocation method, such as LaplacianFlow, got {flow!r:.80}")
    if flow is not None and not isinstance(flow.bounds, Penalty):
        raise TypeError(f"method.allocation.bounds: expected jaxcoopt.bounds.Penalty, got {flow.bounds!r:.80}")
    if tracking is not None and not isinstance(tracking, GradientTracking):
        raise TypeError(f"method.training: expected a training method, such as GradientTracking, got {tracking!r:.80}")
    optimizer = None if tracking is None else tracking.optimizer
    if optimizer is not None and not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "method.training.optimizer: expected an optax transformation, such as optax.adam(0.1), "
            f"got {optimizer!r:.80}"
        )


def _check_flow(flow: LaplacianFlow) -> None:
    positive("method.allocation.step", flow.step)
    momentum = positive("method.allocation.momentum", 0.0 if flow.momentum is None else flow.momentum, zero=True)
    if np.any(momentum >= 1):
        raise ValueError(f"method.allocation.momentum: must be below 1, got {momentum.max():g}")
    positive("method.allocation.bounds.weight", flow.bounds.weight, zero=True)
    positive("method.allocation.bounds.sharpness", flow.bounds.sharpness)
    if flow.bounds.form not in ("softplus", "square"):
        raise unknown_name("method.allocation.bounds.form", flow.bounds.form, ("softplus", "square"))


def _check_tracking(tracking: GradientTracking) -> None:
    if (tracking.step is None) == (tracking.optimizer is None):
        raise ValueError(
            "method.training: give either step or optimizer (its learning rate included), not both or neither"
        )
    if tracking.step is not None:
        positive("method.training.step", tracking.step)
    if tracking.batch_size is not None:
        at_least_one("method.training.batch_size", tracking.batch_size)
    if tracking.order not in ("cta", "atc"):
        raise unknown_name("method.training.order", tracking.order, ("cta", "atc"))
