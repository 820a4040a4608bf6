"""What must be accepted, and mean the same: one input in several types and layouts."""

import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from bad_calls import (
    CENTER,
    FEATURES,
    ONES,
    SHORT,
    N,
    X,
    Y,
    alloc,
    but,
    cost,
    cpu,
    fit,
    flow,
    given,
    run,
)

import jaxcoopt as jc

WHOLE = np.round(4 * X)  # numbers that every type holds exactly
STEP_PER_RUN = np.array([0.1, 0.2])


def same(
    features: Any = WHOLE, targets: Any = Y, mask: Any = SHORT, weights: Any = CENTER, **rest: Any
) -> Callable[[], Any]:
    """Training with everything that can be given, so that all cases share one compiled program."""
    return lambda: run(training=fit(None, features, targets, mask=mask, weights=weights), **rest)


SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "jnp features": (same(jnp.asarray(WHOLE)), same()),
    "float16 features": (same(WHOLE.astype(np.float16)), same()),
    "bfloat16 features": (same(jnp.asarray(WHOLE, jnp.bfloat16)), same()),
    "integer features": (same(WHOLE.astype(int)), same()),
    "bool features": (same(WHOLE > 0), same((WHOLE > 0).astype(float))),
    "0 and 1 labels": (same(targets=(Y > 0).astype(int)), same()),
    "bool labels": (same(targets=Y > 0), same()),
    "list mask": (same(mask=SHORT.tolist()), same()),
    "list weights": (same(weights=[0, 1, 2, 3]), same()),
    "padding is never read": (same(but(WHOLE, (0, 4, 0), 1e6), but(Y, (0, 4), -9)), same()),
    "integers": (
        lambda: run(jc.Allocation(jc.costs.Quadratic(1, np.arange(N)), 6, 0, 3), by=flow(step=1)),
        lambda: run(cpu(), by=flow(step=1.0)),
    ),
    "pandas columns": (alloc(jc.costs.Quadratic(pd.Series(ONES), pd.Series(CENTER))), alloc()),
    "jnp numbers": (alloc(budget=jnp.asarray(6), upper=jnp.asarray(3)), alloc()),
    "float16 cost": (alloc(cost(ONES.astype(np.float16), CENTER.astype(np.float16))), alloc()),
    "constants per node and run": (
        alloc(cost(np.ones((N, 1)), np.tile(CENTER[:, None], 2)), call={"runs": 2}),
        alloc(call={"runs": 2}),
    ),
    "infinite bounds": (alloc(lower=-np.inf, upper=np.inf), alloc(lower=None, upper=None)),
    "steps of jnp": (
        given(by=flow(step=jnp.asarray(STEP_PER_RUN)), runs=2),
        given(by=flow(step=STEP_PER_RUN), runs=2),
    ),
    "custom cost with a list": (
        alloc(jc.costs.Custom(lambda x, p: 0.5 * p[0] * (x - p[1]) ** 2, [ONES, CENTER])),
        alloc(),
    ),
    "initial list": (given(initial=jc.Initial(allocation=[1.5] * N)), given(initial=jc.Initial(allocation=1.5 * ONES))),
    "record_every beyond steps": (given(record_every=100), given()),
}


@pytest.mark.parametrize("name", SAME)
def test_same_input_in_another_type(name):
    here, there = (call() for call in SAME[name])
    for one, other in ((here.allocation, there.allocation), (here.params, there.params)):
        assert (one is None) == (other is None)
    got, wanted = here.allocation, there.allocation
    if got is None:
        got, wanted = here.params["weights"], there.params["weights"]
    assert got.dtype == wanted.dtype == jnp.zeros(()).dtype
    assert np.isfinite(np.asarray(got)).all()
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)


def test_data_frames_and_lists_of_nodes():
    """Node by node, as one reads it from files. JAX's own advice against lists in its functions is let pass."""
    frames = [pd.DataFrame(block) for block in X], [pd.Series(row) for row in Y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = same(*frames)()
    np.testing.assert_allclose(found.params["weights"], same(X)().params["weights"], rtol=1e-6)


def test_start_outside_the_domain_is_said_loudly():
    start = jc.Initial(allocation=np.array([-3.0, 3, 3, 3]))
    with pytest.warns(RuntimeWarning, match=r"all 1 runs diverged.*domain of the cost"):
        found = run(jc.Allocation(jc.costs.Latency(ONES), 6.0), initial=start)
    assert found.status.tolist() == [jc.Status.DIVERGED]


def test_no_optimum_is_said_once_and_needed_only_for_tol():
    separable = fit(jc.losses.Logistic(), features=Y[..., None] * np.ones(FEATURES))
    with pytest.warns(RuntimeWarning, match=r"no training gap is recorded.*l2 > 0"):
        found = run(training=separable, optimum=None)
    assert "training_gap" not in found.trace
    assert "training_loss" in found.trace
    with pytest.raises(RuntimeError, match="l2 > 0"):
        run(training=separable, optimum=None, tol=1e-3)


@pytest.mark.parametrize("seed", [-1, 7, 2**31])
def test_any_whole_seed_is_taken(seed):
    one, again, other = (same(seed=s)().params["weights"] for s in (seed, seed, 0))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    "alike",
    [jc.costs.Quadratic(2.0, 1.0), jc.costs.Quadratic(np.full((1, 1), 2.0), np.ones((1, 1)))],
    ids=["scalar", "one"],
)
def test_nodes_that_are_all_alike(alike):
    """The network says how many nodes there are: constants need not repeat it."""
    found = run(cpu(alike), optimum=None, initial=jc.Initial(allocation=np.array([0.5, 1.0, 2.0, 2.5])))
    wanted = run(cpu(jc.costs.Quadratic(2 * ONES, ONES)), optimum=None, initial=jc.Initial([0.5, 1.0, 2.0, 2.5]))
    np.testing.assert_allclose(found.allocation, wanted.allocation, rtol=1e-6)
    np.testing.assert_allclose(found.trace["allocation_gap"], wanted.trace["allocation_gap"], rtol=1e-4)
