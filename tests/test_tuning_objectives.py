"""What tuning makes small: objectives are what they say, and the error is 0 at the optimum only."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tuning_cases import FLOW, MAY_BE_TOLD, METHOD, NETWORK, NODES, STEPS, shares, training

import jaxcoopt as jc
from jaxcoopt.methods.co_optimizer import Estimate
from jaxcoopt.problem.align import aligned
from jaxcoopt.run.statistics import observe

pytestmark = MAY_BE_TOLD


def test_objectives_are_what_they_say(rng):
    problem = jc.Problem(shares(rng))
    result = jc.solve(problem, NETWORK, FLOW, STEPS, runs=NODES, record_every=5)
    gap = np.log10(np.abs(result.trace["allocation_gap"]) + np.finfo(float).eps)
    assert jc.objectives.final(result) == pytest.approx(gap[-1].mean())
    assert jc.objectives.worst(result) == pytest.approx(gap[-1].max())
    assert jc.objectives.area(result) == pytest.approx(gap.mean())
    bits = np.asarray(result.trace["bits"])[:, 0]
    wanted = (gap[2] + gap[3]).mean() / 2
    assert jc.objectives.at_bits((bits[2] + bits[3]) / 2)(result) == pytest.approx(wanted)


def anywhere(problem, x, params=None):
    """A result whose nodes stand at x, or have these parameters."""
    start = jc.solve(
        problem, NETWORK, FLOW if params is None else replace(METHOD, allocation=None), 1, runs=x.shape[-1]
    )
    estimate = Estimate(x, None) if params is None else Estimate(None, params)
    record = observe(aligned(problem, NODES), estimate, start.optimum)
    trace = {name: jnp.asarray(value)[None] for name, value in record.items()}
    return replace(
        start, trace=trace, iterations=jnp.zeros(1, int), allocation=estimate.allocation, params=estimate.params
    )


@pytest.mark.parametrize("center", [0.0, 1.5])
def test_the_error_is_0_at_the_optimum_only(rng, center):
    """Above the Bregman distance to the optimum, gap, budget residual and box violation; the gap where both hold."""
    runs = 500
    curvature, center = 10 ** rng.uniform(-1, 1, (NODES, 1)), center + rng.normal(size=(NODES, 1))
    sides = np.sort(rng.uniform(0, 2, (2, NODES)), axis=0)
    budget = sides[0].sum() + rng.uniform(0.1, 0.9) * (sides[1] - sides[0]).sum()
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(curvature, center), budget, *sides))
    best = jc.reference(problem)
    x = best.allocation[:, None] + 10 ** rng.uniform(-6, 0, runs) * rng.normal(size=(NODES, runs))
    x[:, : runs // 2] -= (x[:, : runs // 2].sum(axis=0) - budget) / NODES  # on the budget
    result = anywhere(problem, jnp.asarray(x))
    found, size = np.asarray(jc.objectives.error(result))[0], abs(best.allocation_cost)
    trace = {name: np.asarray(values)[0] for name, values in result.trace.items()}
    bregman = (curvature / 2 * (x - best.allocation[:, None]) ** 2).sum(axis=0) / size
    share = np.abs(best.allocation).mean()
    for part in (bregman, np.abs(trace["allocation_gap"]), trace["budget_residual"], trace["box_violation"] / share):
        assert (found >= part * (1 - 1e-9) - 1e-12).all()
    inside = np.clip(x, *sides[..., None])
    inside = inside[:, np.abs(inside.sum(axis=0) - budget) < 1e-13]
    inside = np.concatenate([inside, best.allocation[:, None]], axis=1)
    result = anywhere(problem, jnp.asarray(inside))
    gap = np.abs(np.asarray(result.trace["allocation_gap"]))
    np.testing.assert_allclose(jc.objectives.error(result), gap, rtol=1e-9, atol=1e-12)


def test_a_cost_of_the_optimum_outside_the_box_is_far_from_it():
    """Node 0 is cheap and full: past its bound the cost falls, and passes that of the optimum on its way."""
    cost = jc.costs.Quadratic(1.0, np.array([4.0, *np.zeros(NODES - 1)]))
    problem = jc.Problem(jc.Allocation(cost, float(NODES), 0.0, 2.0))
    best = jc.reference(problem)
    over = np.linspace(0, 1, 1001)
    x = best.allocation[:, None] + np.outer([1.0, *-np.ones(NODES - 1) / (NODES - 1)], over)
    uneven = np.array([0.0, 1.0, -1.0, *np.zeros(NODES - 3)])[:, None]  # costs more
    result = anywhere(problem, jnp.asarray(x + 0.5 * uneven))
    gap, found = np.asarray(result.trace["allocation_gap"])[0], np.asarray(jc.objectives.error(result))[0]
    assert np.abs(gap).min() < 1e-3 < 0.02 < gap[0]
    assert found.argmin() == 0
    assert found[0] == pytest.approx(gap[0])


def test_nodes_that_disagree_are_not_at_the_optimum(rng):
    problem = jc.Problem(training=training(rng))
    best = jc.reference(problem).params
    apart = rng.normal(size=(NODES, 3, 2))
    apart -= apart.mean(axis=0)
    params = {
        "weights": best["weights"][None, :, None] + apart * np.array([0.0, 1.0]),
        "bias": jnp.broadcast_to(jnp.asarray(best["bias"]), (NODES, 2)),
    }
    found = np.asarray(jc.objectives.error(anywhere(problem, np.zeros((1, 2)), jax.tree.map(jnp.asarray, params))))
    size = np.sum(best["weights"] ** 2) + np.sum(best["bias"] ** 2)
    assert found[0, 0] < 1e-12
    assert found[0, 1] == pytest.approx(np.sum(apart[..., 1] ** 2) / NODES / size)


def test_a_part_that_got_worse_is_told_with_figures(rng):
    """An objective of the mean model's loss alone lets DGD's step, and with it the nodes' distance, grow."""
    problem = jc.Problem(training=training(rng))
    method = jc.CoOptimizer(training=jc.methods.DGD(1e-3), channel=jc.channels.Ideal())
    options = {"steps": 30, "iterations": 15, "optimizer": optax.adam(0.3), "held_out": problem}
    options["objective"] = lambda result: result.trace["training_loss"][-1].mean()
    with pytest.warns(RuntimeWarning, match=r"better, but .* the consensus error from \S+ to \S+ got worse"):
        tuned = jc.tune(problem, NETWORK, method, ["training.step"], **options)
    before, after = tuned.parts["consensus error"]
    assert after > 2 * before
