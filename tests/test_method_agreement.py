"""`solve` over quantized links against NumPy loops of the papers' own recursions, on problems drawn anew each session.

Over ideal links they are compared in test_method_battery, on the programs that are compiled there.
"""

import os
from dataclasses import replace
from functools import partial
from itertools import zip_longest

import method_cases as cases
import method_loops as loops
import method_recursions as recursions
import numpy as np
import numpy_loop as oracle
import problems
import pytest
from method_cases import NODES, RUNS
from method_recursions import STEPS

import jaxcoopt as jc
from jaxcoopt.methods.registry import BY_NAME

TOLERANCE, RHO = 1e-10, 0.4
SHIFT = int(os.environ["JAXCOOPT_TEST_SEED"])
NAMES = list(zip_longest([*recursions.FLOWS, *recursions.DUALS, "ratio_consensus"], recursions.TRAINING))


def link(run, placement):
    return partial(loops.Link, partial(oracle.log_quantize, rho=RHO * cases.SCALES[run]), placement)


def shares_of(rng, latency):
    """An allocation with one bound in the way, and price(i, x): quadratic, or latency and power."""
    allocation = cases.allocation(rng)
    a, c = allocation.cost.curvature, allocation.cost.center
    if not latency:
        return allocation, cases.price(a, c)
    work = rng.uniform(0.2, 1, NODES)
    allocation = replace(allocation, cost=jc.costs.Latency(work) + jc.costs.Power(a, 2.0), lower=0.3)
    return allocation, lambda i, x: oracle.latency_price(x, work[i]) + oracle.power_price(x, a[i], 2.0)


def compare(rng, names, channel, link_of):
    """Both halves of one solve with their loops, in every run; costs for which a dual method has to search."""
    pair = [None if name is None else BY_NAME[name] for name in names]
    method = cases.per_run(cases.method_of(pair, channel))
    allocation, price = shares_of(rng, latency=names[0] in recursions.DUALS)
    fit = problems.fit(rng, "linear", masked=True, weighted=False)
    initial = replace(cases.starts(rng, allocation), params=fit.start)
    problem, given = cases.halves(pair, jc.Problem(allocation, fit.training), initial)
    net, options = cases.network(), {"runs": RUNS, "record_every": STEPS, "optimum": jc.Optimum()}
    result = jc.solve(problem, net, method, STEPS, seed=7, initial=given, **options)
    sequence = np.repeat(problems.weight_matrices(net, 1, seed=7), STEPS, axis=0)
    for run in range(RUNS):
        at = sequence[..., run], run, link_of(run)
        if names[0] is not None:
            x = initial.allocation[:, run]
            theirs = recursions.shares(names[0], method.allocation, allocation, price, x, *at)
            np.testing.assert_allclose(result.allocation[:, run], theirs, rtol=TOLERANCE, atol=TOLERANCE)
        if names[1] is not None:
            start, gradient = problems.one_run(fit.start, run), partial(fit.gradient, run=run)
            theirs = recursions.params(names[1], method.training, start, gradient, *at)
            ours = problems.one_run(result.params, run)
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("placement", problems.PLACEMENTS)
@pytest.mark.parametrize("name", recursions.OURS)
def test_our_flows(rng, name, placement):
    """Over links that fail, against loops over nodes and neighbours."""
    channel = jc.channels.LogQuantizer(RHO, placement=placement)
    method = cases.per_run(jc.CoOptimizer(BY_NAME[name].build(), channel=channel))
    allocation = cases.allocation(rng)
    start, net = cases.starts(rng, allocation).allocation, cases.network(0.2)
    options = {"runs": RUNS, "record_every": STEPS, "optimum": jc.Optimum(), "seed": 7}
    result = jc.solve(jc.Problem(allocation), net, method, STEPS, initial=jc.Initial(start), **options)
    sequence = problems.weight_matrices(net, STEPS, seed=7)
    for run in range(RUNS):
        at = sequence[..., run], run, link(run, placement)
        theirs = recursions.shares(name, method.allocation, allocation, None, start[:, run], *at)
        np.testing.assert_allclose(result.allocation[:, run], theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("names", NAMES, ids=lambda names: "+".join(filter(None, names)))
def test_log_links(rng, names):
    """Which placement meets which method changes from session to session."""
    placement = problems.PLACEMENTS[(NAMES.index(names) + SHIFT) % 3]
    print(placement)
    shares, training = names
    if training == "lead" or (training == "choco" and placement != "innovation"):  # they refuse it
        compare(rng, (None, training), jc.channels.Ideal(), lambda run: loops.Link)
        training = None
    channel = jc.channels.LogQuantizer(RHO, placement=placement)
    compare(rng, (shares, training), channel, partial(link, placement=placement))
