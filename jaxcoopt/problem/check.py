"""What must hold of a problem before it runs, checked once on concrete values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.errors import finite, numbers, positive
from jaxcoopt.problem import costs, losses
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import box, finite_box
from jaxcoopt.problem.problem import Allocation, Problem, Training

CONVEXITY_POINTS = 65  # where a cost's curvature is looked at, over the box of each node


def check_problem(problem: Problem, nodes: int, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for a problem that cannot be run on `nodes` nodes."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a jaxcoopt.Problem, got {type(problem).__name__}")
    if problem.allocation is None and problem.training is None:
        raise ValueError("problem: it has neither an allocation nor a training half; give at least one of them")
    if problem.work is not None:
        _check_shape("work", positive("work", problem.work), nodes, runs)
    if problem.allocation is not None:
        _check_allocation(problem.allocation, nodes, runs)
    if problem.training is not None:
        _check_training(problem.training, nodes, runs)


def check_per_run(name: str, value: Any, runs: int) -> None:
    """A hyperparameter must be a scalar or [runs]."""
    shape = np.shape(value)
    if shape not in ((), (runs,)):
        raise ValueError(f"{name}: expected a scalar or an array of shape [runs] = ({runs},), got shape {shape}")


def _check_shape(name: str, array: np.ndarray, nodes: int, runs: int) -> None:
    expected = f"expected a scalar, [nodes] = ({nodes},) or [nodes, runs] = ({nodes}, {runs})"
    if array.ndim > 2:
        raise ValueError(f"{name}: {expected}, got shape {array.shape}")
    if array.ndim and array.shape[0] not in (1, nodes):
        raise ValueError(
            f"{name}: it has {array.shape[0]} nodes, the network has {nodes}; {expected}, got shape {array.shape}"
        )
    if array.ndim == 2 and array.shape[1] not in (1, runs):
        raise ValueError(f"{name}: it has {array.shape[1]} runs, solve was asked for {runs}; {expected}")


def _check_allocation(allocation: Allocation, nodes: int, runs: int) -> None:
    if not isinstance(allocation.cost, costs.Cost):
        raise TypeError(f"allocation.cost: expected a jaxcoopt.costs family, got {type(allocation.cost).__name__}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(allocation.cost):
        name = f"allocation.cost{jax.tree_util.keystr(path)}"
        _check_shape(name, finite(name, leaf), nodes, runs)
    _check_constants("allocation.cost", allocation.cost)
    budget = finite("allocation.budget", allocation.budget)
    check_per_run("allocation.budget", budget, runs)
    lower = _check_bound("allocation.lower", allocation.lower, -np.inf, nodes, runs)
    upper = _check_bound("allocation.upper", allocation.upper, np.inf, nodes, runs)
    _check_box(lower, upper, budget, nodes)
    _check_convex(allocation, nodes)


def _check_constants(name: str, cost: costs.Cost) -> None:
    match cost:
        case costs.Quadratic():
            positive(f"{name}.curvature", cost.curvature)
        case costs.Latency():
            positive(f"{name}.work", cost.work)
        case costs.Power():
            positive(f"{name}.coefficient", cost.coefficient)
            low = numbers(f"{name}.exponent", cost.exponent)
            if (low < 1).any():
                raise ValueError(f"{name}.exponent: must be at least 1 for a convex cost, got {low.min():g}")
        case costs.Sum():
            for term in cost.terms:
                _check_constants(name, term)
        case _:
            pass


def _check_bound(name: str, bound: Any, absent: float, nodes: int, runs: int) -> np.ndarray:
    bound = numbers(name, absent if bound is None else bound)
    _check_shape(name, bound, nodes, runs)
    if np.isnan(bound).any():
        raise ValueError(f"{name}: holds NaN; use None, or an infinite entry, where there is no bound")
    return bound[:, None] if bound.ndim == 1 else bound


def _check_box(lower: np.ndarray, upper: np.ndarray, budget: np.ndarray, nodes: int) -> None:
    low, high = (np.broadcast_to(bound, np.broadcast_shapes(bound.shape, (nodes, 1))) for bound in (lower, upper))
    crossed = np.argwhere(np.broadcast_arrays(low > high)[0])
    if len(crossed):
        node = int(crossed[0][0])
        raise ValueError(
            f"allocation.lower is above allocation.upper at {len(crossed)} nodes, the first is node {node}: "
            f"{low[node].max():g} > {high[node].min():g}; every lower bound must be at most the upper"
        )
    least, most = low.sum(axis=0), high.sum(axis=0)
    slack = 1e-9 * np.maximum(np.abs(budget), 1)
    if np.any(budget < least - slack) or np.any(budget > most + slack):
        raise ValueError(
            f"allocation.budget: {np.ravel(budget)[0]:g} lies outside [sum of lower, sum of upper] = "
            f"[{least.max():g}, {most.min():g}], so no allocation can meet it; change the budget or the bounds"
        )


def _check_convex(allocation: Allocation, nodes: int) -> None:
    cost = allocation.cost
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        lower, upper = (np.asarray(side) for side in box(exact))
        start, end = (np.asarray(edge) for edge in exact.cost.domain())
        if np.any(np.isfinite(lower) & (lower < start)) or np.any(np.isfinite(upper) & (upper > end)):
            raise ValueError(
                f"allocation.cost: {type(cost).__name__} is convex on ({start.max():g}, {end.min():g}) only, but its "
                f"box [{lower.min():g}, {upper.max():g}] leaves that; tighten allocation.lower or allocation.upper"
            )
        first, last = finite_box(exact, nodes)
        inside = np.linspace(0, 1, CONVEXITY_POINTS + 2)[1:-1].reshape(-1, 1, 1)
        points = first + (last - first) * inside
        _check_elementwise(exact.cost, points[0])
        bend = np.asarray(jax.vmap(lambda x: costs.curvature(exact.cost, x))(points))
    smallest = -1e-9 * max(1.0, np.abs(bend[np.isfinite(bend)]).max(initial=0))
    bad = np.argwhere(~(bend >= smallest))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"allocation.cost: {type(cost).__name__} is not convex on its box: at x = {points[at]:g} (node {at[1]}) its "
            f"second derivative is {bend[at]:g}; use a convex cost or tighten the bounds"
        )


def _check_elementwise(cost: costs.Cost, x: jax.Array) -> None:
    shape = jnp.shape(cost.value(x))
    if shape != x.shape:
        raise ValueError(f"allocation.cost: it must be elementwise, but took x of shape {x.shape} to {shape}")


def _check_training(training: Training, nodes: int, runs: int) -> None:
    if not isinstance(training.loss, losses.Loss):
        raise TypeError(f"training.loss: expected a jaxcoopt.losses family, got {type(training.loss).__name__}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(training.loss):
        name = f"training.loss{jax.tree_util.keystr(path)}"
        check_per_run(name, positive(name, leaf, zero="sharpness" not in name), runs)
    features = finite("training.features", training.features)
    if features.ndim != 3 or 0 in features.shape:
        raise ValueError(
            f"training.features: expected [nodes, samples, features], none of them 0, got {features.shape}"
        )
    if features.shape[0] != nodes:
        raise ValueError(f"training.features: it has {features.shape[0]} nodes, the network has {nodes}")
    targets = finite("training.targets", training.targets)
    for name, given in (("targets", targets), ("mask", training.mask)):
        if given is not None and np.shape(given) != features.shape[:2]:
            raise ValueError(
                f"training.{name}: expected [nodes, samples] = {features.shape[:2]} like the features, got {np.shape(given)}"
            )
    mask = np.ones(features.shape[:2], bool) if training.mask is None else np.asarray(training.mask)
    if mask.dtype != bool:
        raise TypeError(f"training.mask: expected True and False, got {mask.dtype}")
    if not mask.any(axis=1).all():
        raise ValueError(f"training.mask: node {int(np.argmin(mask.any(axis=1)))} has no sample; every node needs one")
    _check_labels(training.loss, targets[mask])
    if training.weights is not None:
        weights = positive("training.weights", training.weights, zero=True)
        if weights.shape != (nodes,) or not weights.any():
            raise ValueError(f"training.weights: expected [nodes] = ({nodes},), not all 0, got shape {weights.shape}")


def _check_labels(loss: losses.Loss, labels: np.ndarray) -> None:
    kind, found = loss.targets, np.unique(labels)
    name = type(loss).__name__
    if kind == "binary" and not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
        raise ValueError(f"training.targets: {name} needs labels 0 and 1, or -1 and +1, got {found[:5].tolist()}")
    if kind == "integer":
        classes = loss.classes  # pyright: ignore[reportAttributeAccessIssue]
        if classes < 2:
            raise ValueError(f"training.loss.classes: expected 2 or more, got {classes}")
        if not np.array_equal(found, found.astype(int)) or found.min() < 0 or found.max() >= classes:
            raise ValueError(
                f"training.targets: {name}(classes={classes}) needs whole numbers 0 .. {classes - 1}, "
                f"got {found.min():g} to {found.max():g}"
            )
