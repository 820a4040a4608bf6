"""Random problems from seeds; those for tuning and those for evaluation come from streams of their own."""

import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxcoopt.experiments.compare_tables import FAMILIES, Family
from jaxcoopt.experiments.random_networks import PARTS
from jaxcoopt.problem import costs, losses
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.reference import Optimum, reference
from jaxcoopt.run.initial import Initial
from jaxcoopt.study.instances import Instances

BLOCK = 128  # allocation instances drawn, and solved for their optimum, at once
TRIES = 40  # blocks
AT_BOUND = 1e-9  # of the mean share


def draw_instances(family: Family, nodes: int, count: int, seed: int, part: str) -> Instances:
    """`count` random instances over so many nodes. Raises ValueError where none has the active share asked for."""
    rng = np.random.default_rng([seed, PARTS.index(part), nodes, zlib.crc32(family.kind.encode())])
    if FAMILIES[family.kind] == "allocation":
        return _allocations(family, nodes, count, rng)
    batches = [_training(family, nodes, rng) for _ in range(count)]
    return Instances(batches, np.arange(count), np.zeros(count, int))


def active_share(problem: Problem, x: Float[np.ndarray, "nodes runs"]) -> Float[np.ndarray, " runs"]:
    """The part of the nodes that stand at one of their bounds."""
    allocation = problem.allocation
    assert allocation is not None
    near = AT_BOUND * np.abs(allocation.budget) / x.shape[0]
    return np.mean((x <= allocation.lower + near) | (x >= allocation.upper - near), axis=0)


def _allocations(family: Family, nodes: int, count: int, rng: np.random.Generator) -> Instances:
    """Drawn in blocks; those whose optimum has too few or too many active bounds are dropped."""
    kept = list(_accepted(family, nodes, count, rng))
    problem, optimum = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=-1)[..., :count], *kept)
    return Instances([(problem, optimum, None)], np.zeros(count, int), np.arange(count))


def _accepted(family: Family, nodes: int, count: int, rng: np.random.Generator) -> Iterator[tuple[Problem, Optimum]]:
    found = 0
    for _ in range(TRIES):
        problem = _block(family, nodes, rng)
        optimum = reference(problem)
        share = active_share(problem, np.asarray(optimum.allocation))
        good = np.flatnonzero((share >= family.active[0]) & (share <= family.active[1]))
        yield jax.tree.map(lambda leaf, good=good: np.asarray(leaf)[..., good], (problem, optimum))
        found += len(good)
        if found >= count:
            return
    raise ValueError(
        f"problems.active: {found} of {TRIES * BLOCK} random instances have {family.active[0]:.0%} to "
        f"{family.active[1]:.0%} of {nodes} nodes at a bound, {count} are needed; widen the range"
    )


def _block(family: Family, nodes: int, rng: np.random.Generator) -> Problem:
    """Mean share 1. Curvatures are log-uniform, boxes lie at random around the mean share."""
    shape = (nodes, BLOCK)
    spread = 10 ** (family.decades * rng.uniform(-0.5, 0.5, shape))
    lower = rng.uniform(0.05, 0.6, shape)
    upper = lower + rng.uniform(0.5, 3.0, shape)
    match family.kind:
        case "quadratic":
            cost = costs.Quadratic(spread, rng.uniform(0.5, 2.5, shape), np.zeros(shape))
        case "latency":
            cost = costs.Latency(spread)
        case _:
            cost = costs.Latency(spread) + costs.Power(rng.uniform(0.1, 1.0, shape), np.full(shape, 2.0))
    budget = np.full(BLOCK, float(nodes))
    work = 10 ** rng.uniform(-2.5, -1.5, shape)
    return Problem(Allocation(cost, budget, lower, upper), work=work)


def _training(family: Family, nodes: int, rng: np.random.Generator) -> tuple[Problem, Optimum, Initial]:
    """Nodes see the same truth with inputs around means of their own; all start at 0."""
    scale = 10 ** (0.5 * family.decades * np.linspace(-0.5, 0.5, family.features))
    means = rng.normal(size=(nodes, 1, family.features))
    features = scale / scale.max() * (0.5 * means + rng.normal(size=(nodes, family.samples, family.features)))
    truth = rng.normal(size=family.features) / scale
    score = features @ truth
    noise = 0.3 * rng.normal(size=score.shape)
    linear = family.kind == "linear"
    targets = score + noise if linear else np.where(score + 3 * noise > 0, 1.0, -1.0)
    loss: Any = (losses.Linear if linear else losses.Logistic)(family.l2)
    problem = Problem(training=Training(loss, features, targets))
    start = {"weights": np.zeros(family.features)} | ({"bias": np.zeros(())} if loss.intercept else {})
    return problem, reference(problem), Initial(params=start)
