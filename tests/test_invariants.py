"""What holds at every iteration of every method, whatever the links do to the numbers (spec, section 7)."""

import math
from dataclasses import replace

import jax
import networkx as nx
import numpy as np
import problems
import pytest
from by_run import ByRun
from quick import others_slow

import jaxcoopt as jc

LONG = 20_000
QUANTIZERS = ("log", "uniform", "sign", "clip", "log-5-bits", "uniform-3-bits")  # one for each run of a batch
CASES = [(True, "difference"), *((False, placement) for placement in problems.PLACEMENTS)]


def start_of(problem, rng, quantizer="log", placement="difference", order="cta"):
    """(problem, method, initial, fit) of a pair of halves."""
    make_shares, make_fit = problems.PROBLEMS[problem]
    shares, fit = make_shares(rng), make_fit(rng)
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(problems.STEP, problems.MOMENTUM, shares.bounds),
        jc.methods.GradientTracking(problems.RATE, order=order),
        problems.QUANTIZERS[quantizer][0](placement=placement),
    )
    return jc.Problem(shares.allocation, fit.training), method, jc.Initial(shares.start, fit.start), fit


def solve(problem, method, initial, steps, net=None, **options):
    """`solve` of these tests: three runs, a record at the end, no reference."""
    options = {"runs": problems.RUNS, "record_every": steps, "optimum": jc.Optimum()} | options
    return jc.solve(problem, net or problems.network(), method, steps, initial=initial, **options)


def budget_error(x, budget):
    """|sum x - b| / |b|, the sum exact."""
    return max(abs(math.fsum(column) - budget) / abs(budget) for column in np.asarray(x, np.float64).T)


def tracker_error(result, fit, runs):
    """|sum_i z_i - sum_i grad g_i(y_i)| over the size of what was added up, the gradients from the oracle."""
    errors = []
    for run in range(runs):
        y, z = problems.one_run(result.params, run), problems.one_run(result.state.training.tracker, run)
        slopes = np.array([fit.gradient(i, y[i], run % problems.RUNS) for i in range(problems.NODES)])
        scale = np.maximum(1, np.abs(slopes).sum(axis=0) + np.abs(z).sum(axis=0))
        errors.append(np.max(np.abs(z.sum(axis=0) - slopes.sum(axis=0)) / scale))
    return max(errors)


def twice(problem, method, initial):
    """All runs once more, with the same numbers: as many as there are quantizers."""
    again = lambda leaf: np.concatenate([leaf, leaf], axis=-1)  # noqa: E731
    cost, loss = problem.allocation.cost, problem.training.loss
    wide = jc.Problem(
        replace(problem.allocation, cost=replace(cost, center=again(cost.center))),
        replace(problem.training, loss=replace(loss, l2=again(loss.l2))),
    )
    halves = (jax.tree.map(again, half) for half in (method.allocation, method.training))
    return wide, jc.CoOptimizer(*halves), jax.tree.map(again, initial)


def by_run(placement):
    """Every quantizer in a run of its own, with that run's settings."""
    channels = (problems.QUANTIZERS[name][0](placement=placement) for name in QUANTIZERS)
    parts = [
        jax.tree.map(lambda leaf: leaf[run % problems.RUNS] if np.ndim(leaf) else leaf, channel)  # noqa: B023
        for run, channel in enumerate(channels)
    ]
    return ByRun(tuple(parts), placement)


def check_sums(rng, ideal, placement, net, budget_tolerance, tracker_tolerance):
    *given, fit = start_of("quadratic-linear", rng)
    names = ["ideal"] * problems.RUNS if ideal else QUANTIZERS
    problem, method, initial = given if ideal else twice(*given)
    method = replace(method, channel=jc.channels.Ideal() if ideal else by_run(placement))
    result = solve(problem, method, initial, LONG, net, record_every=LONG // 20, runs=len(names))
    assert np.isfinite(result.allocation).all()
    assert result.trace["budget_residual"].max() <= budget_tolerance
    assert budget_error(result.allocation, problem.allocation.budget) <= budget_tolerance
    assert tracker_error(result, fit, len(names)) <= tracker_tolerance
    moved = np.abs(np.asarray(result.allocation) - initial.allocation).max(axis=0)
    for name, distance in zip(names, moved, strict=True):
        if (name, placement) != ("sign", "message"):  # all prices may have one sign there, and then nothing flows
            assert distance > 0.01, name


@pytest.mark.parametrize(("ideal", "placement"), others_slow(CASES, kept=lambda case: case[1] == "message"))
def test_sums_stay_in_float64(rng, ideal, placement):
    check_sums(rng, ideal, placement, problems.network(), 1e-13, 1e-12)


@pytest.mark.parametrize(("ideal", "placement"), others_slow(CASES, kept=lambda case: case[1] == "innovation"))
def test_sums_stay_in_float32(rng, float32, ideal, placement):
    check_sums(rng, ideal, placement, problems.network(0.0), 1e-6, 1e-4)


def test_budget_stays_in_float32_for_a_million_iterations(rng, float32):
    """The sign quantizer never comes to rest, so that rounding goes on to the end."""
    problem, method, initial, _ = start_of("quadratic-linear", rng, "sign")
    problem, method = replace(problem, training=None), replace(method, training=None)
    result = solve(problem, method, replace(initial, params=None), 1_000_000, problems.network(0.0))
    assert budget_error(result.allocation, problem.allocation.budget) <= 1e-6


@pytest.mark.parametrize(
    ("problem", "order", "placement"),
    [
        ("quadratic-linear", "cta", "message"),
        ("latency-logistic", "atc", "difference"),
        ("queueing-softmax", "cta", "innovation"),
    ],
)
def test_relabelled_nodes_give_the_relabelled_answer(rng, problem, order, placement):
    problem, method, initial, _ = start_of(problem, rng, "log", placement, order)
    old = rng.permutation(problems.NODES)  # node i of the relabelled problem was node old[i]
    names = {int(node): i for i, node in enumerate(old)}
    graphs = problems.graphs()
    moved = [nx.relabel_nodes(graph, names) for graph in graphs]

    def relabel(tree):
        return jax.tree.map(lambda leaf: np.asarray(leaf)[old] if is_per_node(leaf) else leaf, tree)

    here = solve(problem, method, initial, 200, jc.Network.from_graphs(graphs))
    there = solve(relabel(problem), method, relabel(initial), 200, jc.Network.from_graphs(moved))
    assert_close((there.allocation, there.params), jax.tree.map(lambda leaf: leaf[old], (here.allocation, here.params)))
    assert_close(there.trace, here.trace)


def is_per_node(leaf):
    return np.ndim(leaf) and np.shape(leaf)[0] == problems.NODES


def assert_close(ours, theirs, tolerance=1e-10):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def first_run(result):
    return jax.tree.map(lambda leaf: leaf[..., 0], (result.allocation, result.params, result.trace, result.status))


def random_start(rng, **tracking):
    """One setting for all runs: starts, link failures and batches are what tells them apart."""
    problem, _, _, _ = start_of("latency-logistic", rng)
    training = replace(problem.training, loss=jc.losses.Logistic(l2=0.05))
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(0.02),
        jc.methods.GradientTracking(0.1, **tracking),
        jc.channels.LogQuantizer(0.5, placement="difference"),
    )
    return replace(problem, training=training), method


@pytest.mark.parametrize("batch_size", others_slow([None, 2], kept=bool))
def test_a_run_alone_is_the_same_run_in_a_batch(rng, batch_size):
    problem, method = random_start(rng, batch_size=batch_size)
    alone, batch = (solve(problem, method, None, 100, runs=runs, record_every=50) for runs in (1, 4))
    assert_close(first_run(alone), first_run(batch), 1e-12)
    assert np.unique(np.asarray(batch.params["weights"])[0, 0]).size == 4  # the runs differ


@pytest.mark.fast
def test_the_seed_decides_every_bit(rng):
    problem, method = random_start(rng)
    first, again, other = (solve(problem, method, None, 100, runs=4, seed=seed) for seed in (3, 3, 4))
    assert_same_bits((first.state, first.trace, first.status), (again.state, again.trace, again.status))
    assert np.all(np.asarray(first.params["weights"]) != np.asarray(other.params["weights"]))
    assert np.any(np.asarray(first.allocation) != np.asarray(other.allocation))


@pytest.mark.parametrize("placement", problems.PLACEMENTS)
def test_a_diverging_run_leaves_the_others_alone(rng, placement):
    problem, method, initial, _ = start_of("quadratic-linear", rng, "log", placement)
    wild = replace(
        method,
        allocation=replace(method.allocation, step=problems.STEP * [1, 1e4, 1]),
        training=replace(method.training, step=problems.RATE * [1, 1e4, 1]),
    )
    calm, broken = (solve(problem, m, initial, 1000, record_every=100) for m in (method, wild))
    assert broken.status.tolist() == [calm.status[0], jc.Status.DIVERGED, calm.status[2]]
    assert not np.isfinite(np.asarray(broken.allocation)[:, 1]).all()
    assert_same_bits(other_runs(calm), other_runs(broken))


def other_runs(result):
    return [np.asarray(leaf)[..., [0, 2]] for leaf in jax.tree.leaves((result.state, result.trace, result.left))]
