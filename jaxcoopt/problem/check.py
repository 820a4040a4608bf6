"""What must hold of a problem before it runs, checked once on concrete values."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcoopt.arrays import plain_tree, shown, there
from jaxcoopt.compiler import compiled_soon
from jaxcoopt.errors import apart, finite, numbers, positive, refuse_lists, refuse_unregistered
from jaxcoopt.host import Numbers, as_jax
from jaxcoopt.layout import check_axes
from jaxcoopt.problem import costs
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.answer_cache import kept
from jaxcoopt.problem.box import box, finite_box, summed
from jaxcoopt.problem.check_training import check_training
from jaxcoopt.problem.problem import PER_NODE, Allocation, Problem, Training
from jaxcoopt.setting import check_parts, check_values

CONVEXITY_POINTS = 65  # where a cost's curvature is looked at, over the box of each node


def received(problem: Problem) -> Problem:
    """The problem with plain arrays. Raises for what is no problem, for parts of the wrong kind, and for what holds no
    real numbers; shapes and values are left to `check_problem`.
    """
    check_halves(problem)
    allocation, training = problem.allocation, problem.training
    if allocation is not None:
        check_parts(allocation, "allocation")
        _check_terms("allocation.cost", allocation.cost)
        refuse_lists("allocation", allocation)
    if training is not None:
        check_parts(training, "training")
        refuse_lists("training.loss", training.loss)
    return plain_tree(problem)


def _check_terms(name: str, cost: costs.Cost) -> None:
    """Costs add to costs."""
    if not isinstance(cost, costs.Sum):
        return
    if not isinstance(cost.terms, tuple | list) or not cost.terms:
        raise TypeError(f"{name}.terms: expected a tuple of costs, got {shown(cost.terms)}")
    for term in cost.terms:
        if not isinstance(term, costs.Cost):
            raise TypeError(f"{name}.terms: costs add to costs, but a term is {shown(term)}; use Quadratic's offset")
        refuse_unregistered(name, term)
        check_parts(term, name)
        _check_terms(name, term)


def check_problem(problem: Problem, nodes: int, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for a problem that cannot be run on `nodes` nodes."""
    check_halves(problem)
    if problem.work is not None:
        check_axes("work", positive("work", problem.work), PER_NODE, {"nodes": nodes, "runs": runs})
    if problem.allocation is not None:
        _check_allocation(problem.allocation, nodes, runs)
    if problem.training is not None:
        check_training(problem.training, nodes, runs)


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


def _check_allocation(allocation: Allocation, nodes: int, runs: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(allocation.cost):
        name = f"allocation.cost{jax.tree_util.keystr(path)}"
        check_axes(name, finite(name, leaf), PER_NODE, {"nodes": nodes, "runs": runs})
    for term in costs.terms_of(allocation.cost):
        check_values(term, "allocation.cost")
    budget = finite("allocation.budget", allocation.budget)
    check_axes("allocation.budget", budget, ("runs",), {"runs": runs})
    lower = _check_bound("allocation.lower", allocation.lower, -np.inf, nodes, runs)
    upper = _check_bound("allocation.upper", allocation.upper, np.inf, nodes, runs)
    _check_box(lower, upper, nodes)
    _check_budget(budget, lower, upper, nodes, _rounding(allocation, nodes))
    kept(_check_convex, allocation, nodes)


def _check_bound(name: str, bound: object, absent: float, nodes: int, runs: int) -> np.ndarray:
    bound = numbers(name, absent if bound is None else bound)
    check_axes(name, bound, PER_NODE, {"nodes": nodes, "runs": runs})
    if np.isnan(bound).any():
        raise ValueError(f"{name}: holds NaN; use None, or an infinite entry, where there is no bound")
    return bound[:, None] if bound.ndim == 1 else bound


def _check_box(lower: np.ndarray, upper: np.ndarray, nodes: int) -> None:
    low, high = (np.broadcast_to(bound, np.broadcast_shapes(bound.shape, (nodes, 1))) for bound in (lower, upper))
    crossed = np.argwhere(np.broadcast_arrays(low > high)[0])
    if len(crossed):
        node, run = crossed[0]
        low, high = apart(*(side[node, run] for side in np.broadcast_arrays(low, high)))
        raise ValueError(
            f"allocation.lower is above allocation.upper at {len(crossed)} places, the first at node {node}: "
            f"{low} > {high}; every lower bound must be at most the upper"
        )


def _rounding(allocation: Allocation, nodes: int) -> float:
    """What a sum of the bounds may miss, relative to the sum of their sizes: it is as coarse as their float type."""
    given = (allocation.budget, allocation.lower, allocation.upper)
    types = (getattr(value, "dtype", np.dtype(float)) for value in given if value is not None)
    return max([1e-9, *(summed(dtype, nodes) for dtype in types if jnp.issubdtype(dtype, jnp.floating))])


def _check_budget(budget: np.ndarray, lower: np.ndarray, upper: np.ndarray, nodes: int, rounding: float) -> None:
    sides = [np.broadcast_to(side, np.broadcast_shapes(side.shape, (nodes, 1))) for side in (lower, upper)]
    sums = (side.sum(axis=0) for side in (*sides, *map(np.abs, sides)))
    budget, least, most, *sizes = np.broadcast_arrays(np.atleast_1d(budget), *sums)
    low, high = (rounding * np.maximum(np.abs(budget), np.where(np.isfinite(size), size, 0)) for size in sizes)
    missed = np.flatnonzero((budget < least - low) | (budget > most + high))
    if len(missed):
        run = int(missed[0])
        given, first, last = apart(budget[run], least[run], most[run])
        raise ValueError(
            f"allocation.budget: {given} (run {run}) lies outside [sum of lower, sum of upper] = "
            f"[{first}, {last}], so no allocation can meet it; change the budget or the bounds"
        )


def _check_convex(allocation: Allocation, nodes: int) -> None:
    cost = allocation.cost
    with jax.enable_x64(True):
        exact = aligned_allocation(allocation)
        lower, upper = (np.where(there(side), side, np.copysign(np.inf, side)) for side in box(exact))
        start, end = (np.asarray(edge) for edge in exact.cost.domain())
        if np.any(np.isfinite(lower) & (lower < start)) or np.any(np.isfinite(upper) & (upper > end)):
            first, last = apart(start.max(), lower.min()), apart(end.min(), upper.max())
            raise ValueError(
                f"allocation.cost: {type(cost).__name__} is convex on ({first[0]}, {last[0]}) only, but its "
                f"box [{first[1]}, {last[1]}] leaves that; tighten allocation.lower or allocation.upper"
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
    outside = np.flatnonzero(below | ((budget >= most) & (end <= upper).any(axis=0)))
    if len(outside):
        sides = np.broadcast_arrays(np.atleast_1d(budget), least, most)
        given, first, last = apart(*(side[outside[0] if len(side) > 1 else 0] for side in sides))
        raise ValueError(
            f"allocation.budget: {type(cost).__name__} is only defined where the shares sum to more than "
            f"{first} and less than {last}, got {given}; change the budget or the cost"
        )


def _look_at(cost: costs.Cost, points: Numbers) -> np.ndarray:
    """Second derivatives at the points, of a cost that can be traced and whose nodes and runs do not see each other."""
    name, x = f"allocation.cost: {type(cost).__name__}", points[0]
    try:
        shape = jax.eval_shape(_values, cost, x).shape
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(
            f"{name} cannot be evaluated by JAX on x of shape {x.shape}; a custom fn(x, parameters) must be "
            f"elementwise and written with jax.numpy. The error was: {error!s:.200}"
        ) from error
    if shape != x.shape:
        raise ValueError(f"{name} must be elementwise, but took x of shape {x.shape} to {shape}")
    bend, together, apart = _evaluate(*as_jax((cost, points)))
    if not np.allclose(together, apart, rtol=1e-9, equal_nan=True):
        raise ValueError(
            f"{name} must be elementwise, but its value at one node changes with x at another; leave sums, means and "
            "differences over nodes or runs out of it"
        )
    return np.asarray(bend)


@compiled_soon  # which remembers the shapes
def _values(cost: costs.Cost, x: jax.Array) -> jax.Array:
    return cost.value(x)


@compiled_soon
def _evaluate(cost: costs.Cost, points: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Second derivatives; values where every second node stands elsewhere, and what they must be if nodes are apart."""
    nodes, runs = points.shape[1:]
    first, last = (jnp.broadcast_to(x, (nodes, max(runs, 2))) for x in (points[0], points[-1]))
    moved = np.indices(first.shape).sum(axis=0) % 2 == 1
    together = cost.value(jnp.where(moved, last, first))
    apart = jnp.where(moved, cost.value(last), cost.value(first))
    return jax.vmap(lambda x: costs.curvature(cost, x))(points), together, apart
