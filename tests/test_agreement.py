"""`solve` against the NumPy double loop: every channel and placement, on problems drawn anew each session."""

import os
from functools import partial

import networkx as nx
import numpy as np
import numpy_loop as oracle
import problems
import pytest

import jaxcoopt as jc

TOLERANCE = 1e-10


def oracle_run(shares, fit, quantize, placement, order, weights, run):
    """x [steps + 1, nodes] and y, z [steps + 1, nodes, m] of one run."""
    links = weights[..., run]
    x = oracle.allocation_loop(
        shares.start[:, run],
        partial(shares.price, run=run),
        links,
        problems.STEP[run],
        problems.MOMENTUM[run],
        quantize,
        placement,
    )
    y, z = oracle.gradient_tracking_loop(
        problems.one_run(fit.start, run),
        partial(fit.gradient, run=run),
        links,
        problems.RATE[run],
        quantize,
        placement,
        order,
    )
    return x, y, z


def distance(ours, theirs):
    """The largest difference, relative where the numbers are large; never small when either is not finite."""
    gap = np.abs(np.asarray(ours) - theirs) / np.maximum(1, np.abs(theirs))
    return gap.max() if np.isfinite(gap).all() else np.inf


def compare(rng, problem, quantizer, placement, order, checkpoints, net=None):
    net = problems.network() if net is None else net
    print(f"{problem}, {order}, {net.switching}")
    make_shares, make_fit = problems.PROBLEMS[problem]
    shares, fit = make_shares(rng), make_fit(rng)
    channel, quantize = problems.QUANTIZERS[quantizer]
    method = jc.CoOptimizer(
        jc.methods.LaplacianFlow(problems.STEP, problems.MOMENTUM, shares.bounds),
        jc.methods.GradientTracking(problems.RATE, order=order),
        channel(placement=placement),
    )
    weights = problems.weight_matrices(net, max(checkpoints), seed=7)
    loops = [oracle_run(shares, fit, quantize(run), placement, order, weights, run) for run in range(problems.RUNS)]
    for steps in checkpoints:
        result = jc.solve(
            jc.Problem(shares.allocation, fit.training),
            net,
            method,
            steps,
            runs=problems.RUNS,
            seed=7,
            record_every=steps,
            initial=jc.Initial(shares.start, fit.start),
            optimum=jc.Optimum(),
        )
        for run, (x, y, z) in enumerate(loops):
            where = f"run {run} after {steps} iterations"
            assert distance(result.allocation[:, run], x[steps]) <= TOLERANCE, f"x of {where}"
            assert distance(problems.one_run(result.params, run), y[steps]) <= TOLERANCE, f"y of {where}"
            assert distance(problems.one_run(result.state.training.tracker, run), z[steps]) <= TOLERANCE, (
                f"z of {where}"
            )


MAIN = [("ideal", "difference"), ("log", "message"), ("log", "difference"), ("log", "innovation")]
OTHERS = [
    ("uniform", "message"),
    ("sign", "difference"),
    ("clip", "innovation"),
    ("log-5-bits", "difference"),
    ("uniform-3-bits", "innovation"),
]
SWITCHING = ("cycle", "random", [0, 2, 2, 1])
SEED = int(os.environ["JAXCOOPT_TEST_SEED"])


@pytest.mark.parametrize(("quantizer", "placement"), MAIN)
def test_main_channels(rng, quantizer, placement):
    """Which problem and which order meet which channel changes from session to session; all four problems are seen."""
    case = MAIN.index((quantizer, placement)) + SEED
    order = ("cta", "atc")[(case + SEED // 4) % 2]
    compare(rng, list(problems.PROBLEMS)[case % 4], quantizer, placement, order, (1, 10, 100, 300))


@pytest.mark.parametrize(("quantizer", "placement"), OTHERS)
def test_other_channels(rng, quantizer, placement):
    """Each way to switch is seen, and runs whose links fail at unlike rates."""
    case = OTHERS.index((quantizer, placement)) + SEED
    problem, order = list(problems.PROBLEMS)[case % 4], ("cta", "atc")[case % 2]
    net = problems.network([0.0, 0.3, 0.7], SWITCHING[case % 3])
    compare(rng, problem, quantizer, placement, order, (1, 40), net)


@pytest.mark.fast
def test_links_are_metropolis_weights_where_they_hold():
    net, steps = problems.network(), 300
    weights = problems.weight_matrices(net, steps)
    held = 0.0
    for k, graph in enumerate(problems.graphs() * (steps // 3)):
        full = oracle.metropolis(nx.to_numpy_array(graph, nodelist=range(problems.NODES)))[..., None]
        assert np.all((weights[k] == 0) | (weights[k] == full))
        np.testing.assert_array_equal(weights[k], weights[k].transpose(1, 0, 2))
        held += (weights[k] > 0).sum() / (full > 0).sum() / problems.RUNS / steps
    assert abs(held - 0.7) < 0.03
    assert np.any(weights[..., 0] != weights[..., 1])  # runs fail apart
