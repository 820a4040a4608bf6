"""Mini-batches for every training method: right in the mean, drawn anew, and refused where they mean nothing."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from quick import others_slow

import jaxcoopt as jc
from jaxcoopt.methods.registry import ENTRIES

NODES, RUNS, STEPS = 5, 3000, 4
TRAINING = [entry for entry in ENTRIES if entry.half == "training"]
NETWORK = jc.Network.from_graphs(nx.cycle_graph(NODES))


def problem(rng):
    features, targets = rng.normal(size=(NODES, 7, 2)), rng.normal(size=(NODES, 7))
    mask = np.arange(7) < rng.integers(4, 8, (NODES, 1))
    return jc.Problem(training=jc.Training(jc.losses.Linear(0.1), features, targets, mask))


@pytest.mark.parametrize("entry", others_slow(TRAINING, kept=lambda entry: entry.name in ("extra", "nids", "lead")))
def test_the_mean_over_runs_is_the_run_over_all_samples(rng, entry):
    """Of least squares over ideal links: an iteration is linear in y and in the gradients, and batches are fresh."""
    whole, start = problem(rng), jc.Initial(params={"weights": rng.normal(size=2), "bias": 0.5})
    sampled = entry.build(batch_size=2)
    given = {"optimum": jc.Optimum(), "initial": start}
    drawn = jc.solve(whole, NETWORK, jc.CoOptimizer(training=sampled), STEPS, runs=RUNS, **given).params
    full = replace(sampled, batch_size=None)
    exact = jc.solve(whole, NETWORK, jc.CoOptimizer(training=full), STEPS, **given).params
    for name, leaf in drawn.items():
        values = np.asarray(leaf)
        spread = values.std(axis=-1)
        assert np.all(spread > 1e-6), name
        off = np.abs(values.mean(axis=-1) - np.asarray(exact[name])[..., 0])
        assert np.all(off < 6 * spread / np.sqrt(RUNS)), name


@pytest.mark.fast
def test_bounds_are_those_of_all_samples(rng):
    whole = problem(rng)
    for make in (jc.methods.EXTRA, jc.methods.NIDS, jc.methods.LEAD):
        with pytest.raises(ValueError, match=r"no step bound is known for .* with mini-batches; give a number"):
            jc.solve(whole, NETWORK, jc.CoOptimizer(training=make("auto", batch_size=2)), 3)
        assert jc.theory.step_bound(make(0.1, batch_size=2), whole, NETWORK) is None
        assert jc.theory.step_bound(make(0.1), whole, NETWORK) is not None
    for make in (jc.methods.EXTRA, jc.methods.NIDS, jc.methods.DIGing, jc.methods.DGD):
        with pytest.raises(TypeError, match="a plain step over all samples"):
            jc.theory.spectral_rate(make(0.1, batch_size=2), whole, NETWORK)
