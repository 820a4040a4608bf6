"""What must hold of a problem before it runs, checked once on concrete values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.arrays import float_dtype, there
from jaxcoopt.errors import at_least_one, finite, numbers, positive, refuse_lists
from jaxcoopt.problem import costs, losses
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.box import box, finite_box
from jaxcoopt.problem.problem import Allocation, Problem, Training

CONVEXITY_POINTS = 65  # where a cost's curvature is looked at, over the box of each node


def check_problem(problem: Problem, nodes: int, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for a problem that cannot be run on `nodes` nodes."""
    check_halves(problem)
    if problem.work is not None:
        _check_shape("work", positive("work", problem.work), nodes, runs)
    if problem.allocation is not None:
        _check_allocation(problem.allocation, nodes, runs)
    if problem.training is not None:
        _check_training(problem.training, nodes, runs)


def check_halves(problem: Problem) -> None:
    """Raise for what is no problem, or has a half of the wrong kind."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a jaxcoopt.Problem, got {type(problem).__name__}")
    if problem.allocation is None and problem.training is None:
        raise ValueError("problem: it has neither an allocation nor a training half; give at least one of them")
    for name, kind in (("allocation", Allocation), ("training", Training)):
        half = getattr(problem, name)
        if half is not None and not isinstance(half, kind):
            raise TypeError(f"problem.{name}: expected a jaxcoopt.{kind.__name__}, got {type(half).__name__}")


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
        raise TypeError(
            f"allocation.cost: expected one of jaxcoopt.costs, such as Quadratic, got {allocation.cost!r:.80}"
        )
    refuse_lists("allocation", allocation)
    for path, leaf in jax.tree_util.tree_leaves_with_path(allocation.cost):
        name = f"allocation.cost{jax.tree_util.keystr(path)}"
        _check_shape(name, finite(name, leaf), nodes, runs)
    _check_constants("allocation.cost", allocation.cost)
    budget = finite("allocation.budget", allocation.budget)
    check_per_run("allocation.budget", budget, runs)
    lower = _check_bound("allocation.lower", allocation.lower, -np.inf, nodes, runs)
    upper = _check_bound("allocation.upper", allocation.upper, np.inf, nodes, runs)
    _check_box(lower, upper, nodes)
    _check_budget(budget, lower, upper, nodes)
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
                if not isinstance(term, costs.Cost):
                    raise TypeError(f"{name}: costs add to costs, but a term is {term!r:.80}; use Quadratic's offset")
                _check_constants(name, term)
        case _:
            pass


def _check_bound(name: str, bound: Any, absent: float, nodes: int, runs: int) -> np.ndarray:
    bound = numbers(name, absent if bound is None else bound)
    _check_shape(name, bound, nodes, runs)
    if np.isnan(bound).any():
        raise ValueError(f"{name}: holds NaN; use None, or an infinite entry, where there is no bound")
    return bound[:, None] if bound.ndim == 1 else bound


def _check_box(lower: np.ndarray, upper: np.ndarray, nodes: int) -> None:
    low, high = (np.broadcast_to(bound, np.broadcast_shapes(bound.shape, (nodes, 1))) for bound in (lower, upper))
    crossed = np.argwhere(np.broadcast_arrays(low > high)[0])
    if len(crossed):
        node = int(crossed[0][0])
        raise ValueError(
            f"allocation.lower is above allocation.upper at {len(crossed)} places, the first at node {node}: "
            f"{low[node].max():g} > {high[node].min():g}; every lower bound must be at most the upper"
        )


def _check_budget(budget: np.ndarray, lower: np.ndarray, upper: np.ndarray, nodes: int) -> None:
    sides = (np.broadcast_to(side, np.broadcast_shapes(side.shape, (nodes, 1))) for side in (lower, upper))
    budget, least, most = np.broadcast_arrays(np.atleast_1d(budget), *(side.sum(axis=0) for side in sides))
    slack = 1e-9 * np.maximum(np.abs(budget), 1)
    missed = np.flatnonzero((budget < least - slack) | (budget > most + slack))
    if len(missed):
        run = int(missed[0])
        raise ValueError(
            f"allocation.budget: {budget[run]:g} (run {run}) lies outside [sum of lower, sum of upper] = "
            f"[{least[run]:g}, {most[run]:g}], so no allocation can meet it; change the budget or the bounds"
        )


def _check_convex(allocation: Allocation, nodes: int) -> None:
    cost = allocation.cost
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        lower, upper = (np.where(there(side), side, np.copysign(np.inf, side)) for side in map(np.asarray, box(exact)))
        start, end = (np.asarray(edge) for edge in exact.cost.domain())
        if np.any(np.isfinite(lower) & (lower < start)) or np.any(np.isfinite(upper) & (upper > end)):
            raise ValueError(
                f"allocation.cost: {type(cost).__name__} is convex on ({start.max():g}, {end.min():g}) only, but its "
                f"box [{lower.min():g}, {upper.max():g}] leaves that; tighten allocation.lower or allocation.upper"
            )
        _check_domain(cost, np.asarray(exact.budget), lower, upper, start, end, nodes)
        first, last = finite_box(exact, nodes)
        inside = np.linspace(0, 1, CONVEXITY_POINTS + 2)[1:-1].reshape(-1, 1, 1)
        points = first[None] + (last - first)[None] * inside
        bend = _look_at(exact.cost, points)
    smallest = -1e-9 * np.abs(bend[np.isfinite(bend)]).max(initial=0)
    bad = np.argwhere(~(bend >= smallest))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"allocation.cost: {type(cost).__name__} is not convex on its box: at x = {points[at]:g} (node {at[1]}) "
            f"its second derivative is {bend[at]:g}; use a convex cost or tighten the bounds"
        )


def _check_domain(
    cost: costs.Cost,
    budget: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    nodes: int,
) -> None:
    """The budget can be met strictly inside the cost's open domain."""
    lower, upper, start, end, _ = np.broadcast_arrays(lower, upper, start, end, np.zeros((nodes, 1)))
    least, most = np.maximum(lower, start).sum(axis=0), np.minimum(upper, end).sum(axis=0)
    below = (budget <= least) & (start >= lower).any(axis=0)
    if np.any(below | ((budget >= most) & (end <= upper).any(axis=0))):
        raise ValueError(
            f"allocation.budget: {type(cost).__name__} is only defined where the shares sum to more than "
            f"{least.max():g} and less than {most.min():g}, got {np.ravel(budget)[0]:g}; change the budget or the cost"
        )


def _look_at(cost: costs.Cost, points: jax.Array) -> np.ndarray:
    """Second derivatives at the points, of a cost that can be traced and whose nodes and runs do not see each other."""
    name, x = f"allocation.cost: {type(cost).__name__}", points[0]
    try:
        shape = jax.eval_shape(cost.value, x).shape
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(
            f"{name} cannot be evaluated by JAX on x of shape {x.shape}; a custom fn(x, parameters) must be "
            f"elementwise and written with jax.numpy. The error was: {error!s:.200}"
        ) from error
    if shape != x.shape:
        raise ValueError(f"{name} must be elementwise, but took x of shape {x.shape} to {shape}")
    bend, together, apart = _evaluate(cost, points)
    if not np.allclose(together, apart, rtol=1e-9, equal_nan=True):
        raise ValueError(
            f"{name} must be elementwise, but its value at one node changes with x at another; leave sums, means and "
            "differences over nodes or runs out of it"
        )
    return np.asarray(bend)


@jax.jit
def _evaluate(cost: costs.Cost, points: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Second derivatives; values where every second node stands elsewhere, and what they must be if nodes are apart."""
    nodes, runs = points.shape[1:]
    first, last = (jnp.broadcast_to(x, (nodes, max(runs, 2))) for x in (points[0], points[-1]))
    moved = np.indices(first.shape).sum(axis=0) % 2 == 1
    together = cost.value(jnp.where(moved, last, first))
    apart = jnp.where(moved, cost.value(last), cost.value(first))
    return jax.vmap(lambda x: costs.curvature(cost, x))(points), together, apart


def _check_training(training: Training, nodes: int, runs: int) -> None:
    if not isinstance(training.loss, losses.Loss):
        raise TypeError(
            f"training.loss: expected one of jaxcoopt.losses, such as Logistic(), got {training.loss!r:.80}"
        )
    refuse_lists("training.loss", training.loss)
    for path, leaf in jax.tree_util.tree_leaves_with_path(training.loss):
        name = f"training.loss{jax.tree_util.keystr(path)}"
        check_per_run(name, positive(name, leaf, zero="sharpness" not in name), runs)
    features, targets = (numbers(f"training.{name}", getattr(training, name)) for name in ("features", "targets"))
    if features.ndim != 3 or 0 in features.shape:
        raise ValueError(
            f"training.features: expected [nodes, samples, features], none of them 0, got {features.shape}; deal the "
            "samples to the nodes first, see jaxcoopt.datasets.split"
        )
    if features.shape[0] != nodes:
        raise ValueError(
            f"training.features: it has {features.shape[0]} nodes, the network has {nodes}; give each node its samples"
        )
    for name, given in (("targets", targets), ("mask", training.mask)):
        if given is not None and np.shape(given) != features.shape[:2]:
            expected = f"[nodes, samples] = {features.shape[:2]} like the features"
            raise ValueError(f"training.{name}: expected {expected}, got {np.shape(given)}")
    mask = np.ones(features.shape[:2], bool) if training.mask is None else np.asarray(training.mask)
    if mask.dtype != bool:
        raise TypeError(f"training.mask: expected True and False, got {mask.dtype}; convert it with .astype(bool)")
    if not mask.any(axis=1).all():
        raise ValueError(f"training.mask: node {int(np.argmin(mask.any(axis=1)))} has no sample; every node needs one")
    advice = "clean the data, and fill padding with 0 or mark it in mask"
    finite("training.features", features if mask.all() else np.where(mask[..., None], features, 0), advice)
    finite("training.targets", np.where(mask, targets, 0), advice)
    _check_loss(training, features.shape[2])
    _check_labels(training.loss, targets[mask])
    if training.weights is not None:
        weights = positive("training.weights", training.weights, zero=True)
        if weights.shape != (nodes,):
            raise ValueError(f"training.weights: expected [nodes] = ({nodes},), got shape {weights.shape}")
        if not weights.any():
            raise ValueError("training.weights: all of them are 0, so there is nothing to train on; make one positive")


def _check_loss(training: Training, features: int) -> None:
    loss = training.loss
    if isinstance(loss, losses.MLP):
        if not isinstance(loss.hidden, (tuple, list)):
            raise TypeError(f"training.loss.hidden: expected the layers' sizes, such as (32,), got {loss.hidden!r:.80}")
        for size in loss.hidden:
            at_least_one("training.loss.hidden", size)
    if isinstance(loss, losses.Custom):
        whole = np.asarray(training.targets).dtype.kind in "biu"
        x = jax.ShapeDtypeStruct((features,), float_dtype())
        y = jax.ShapeDtypeStruct((), np.int32 if whole else float_dtype())
        try:
            shape = jax.eval_shape(lambda key, x, y: loss.fn(loss.start(key), x, y), jax.random.key(0), x, y).shape
        except (TypeError, ValueError, AttributeError) as error:
            raise TypeError(
                "training.loss: Custom needs start(key) -> params and fn(params, x, y) -> the loss of one sample, in "
                f"jax.numpy. Calling them gave: {error!s:.200}"
            ) from error
        if shape:
            raise ValueError(f"training.loss: Custom's fn must give one number for one sample, got shape {shape}")


def _check_labels(loss: losses.Loss, labels: np.ndarray) -> None:
    kind, found = loss.targets, np.unique(labels)
    name = type(loss).__name__
    if kind == "binary" and not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
        raise ValueError(f"training.targets: {name} needs labels 0 and 1, or -1 and +1, got {found[:5].tolist()}")
    if kind == "integer":
        classes = loss.classes  # pyright: ignore[reportAttributeAccessIssue]
        if at_least_one("training.loss.classes", classes) < 2:
            raise ValueError(f"training.loss.classes: expected 2 or more, got {classes}")
        if not np.array_equal(found, found.astype(int)) or found.min() < 0 or found.max() >= classes:
            raise ValueError(
                f"training.targets: {name}(classes={classes}) needs whole numbers 0 .. {classes - 1}, "
                f"got {found.min():g} to {found.max():g}"
            )
