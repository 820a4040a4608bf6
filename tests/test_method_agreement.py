"""`solve` against NumPy loops of the papers' own recursions, on problems drawn anew each session."""

import os
from dataclasses import replace
from functools import partial
from itertools import zip_longest

import flow_loops as flows
import method_cases as cases
import method_loops as loops
import numpy as np
import numpy_loop as oracle
import problems
import pytest
from method_cases import NODES, RUNS

import jaxcoopt as jc
from jaxcoopt.methods.registry import BY_NAME

STEPS, TOLERANCE, RHO = 50, 1e-10, 0.4
SHIFT = int(os.environ["JAXCOOPT_TEST_SEED"])
TRAINING = {
    "gradient_tracking": loops.tracking,
    "atc_tracking": partial(loops.tracking, order="atc"),
    "heavy_ball_tracking": loops.tracking,
    "dgd": loops.dgd,
    "extra": loops.extra,
    "nids": loops.nids,
    "exact_diffusion": loops.exact_diffusion,
    "decentralized_admm": loops.decentralized_admm,
    "choco": loops.choco,
    "lead": loops.lead,
}
FLOWS = {
    "laplacian_flow": lambda flow, run: float,
    "accelerated_flow": lambda flow, run: float,
    "finite_time_flow": lambda flow, run: loops.power(flow.response.low[run]),
    "fixed_time_flow": lambda flow, run: loops.power(flow.response.low[run], flow.response.high[run]),
    "saturated_flow": lambda flow, run: loops.saturated(flow.response.level[run]),
    "single_bit_flow": lambda flow, run: np.sign,
    "uniform_flow": lambda flow, run: loops.uniform(flow.response.level[run], flow.response.bits),
}
DUALS = {
    "primal_dual": loops.primal_dual,
    "tracking_admm": loops.tracking_admm,
    "dual_consensus_admm": loops.dual_consensus_admm,
}
NAMES = list(zip_longest([*FLOWS, *DUALS, "ratio_consensus"], TRAINING))


def settings_of(method, run):
    """The numbers of a method that its loop takes, of one run."""
    names = ("step", "momentum", "gain", "penalty", "curvature", "relaxation")
    given = {name: getattr(method, name, None) for name in names}
    return {name: float(value[run]) for name, value in given.items() if value is not None}


def shares_of(rng, latency):
    """An allocation with one bound in the way, its start and price(i, x): quadratic, or latency and power."""
    allocation = cases.allocation(rng)
    a, c = allocation.cost.curvature, allocation.cost.center
    if not latency:
        return allocation, lambda i, x: oracle.quadratic_price(x, a[i], c[i])
    work = rng.uniform(0.2, 1, NODES)
    allocation = replace(allocation, cost=jc.costs.Latency(work) + jc.costs.Power(a, 2.0), lower=0.3)
    return allocation, lambda i, x: oracle.latency_price(x, work[i]) + oracle.power_price(x, a[i], 2.0)


def expected_shares(name, method, allocation, price, start, weights, run, link):
    """x after the last iteration."""
    low, high = (np.broadcast_to(end, (NODES,)) for end in (allocation.lower, allocation.upper))
    call = (weights, settings_of(method, run), link)
    if name in DUALS:
        return DUALS[name](start, price, *call, float(allocation.budget), (low, high))[-1]
    if name == "ratio_consensus":
        constants = allocation.cost.curvature, allocation.cost.center
        return loops.ratio_consensus(start, constants, *call, float(allocation.budget))[-1]
    weight, sharpness = float(method.bounds.weight[run]), float(method.bounds.sharpness[run])

    def with_penalty(i, x):
        return price(i, x) + oracle.penalty_price(x, low[i], high[i], weight, sharpness)

    return loops.flow(start, with_penalty, *call, FLOWS[name](method, run))[-1]


def expected_params(name, method, fit, run, weights, link):
    start = problems.one_run(fit.start, run)
    return TRAINING[name](start, partial(fit.gradient, run=run), weights, settings_of(method, run), link)[-1]


def compare(rng, names, channel, link):
    """Both halves of one solve with their loops, in every run."""
    pair = [None if name is None else BY_NAME[name] for name in names]
    method = cases.per_run(cases.method_of(pair, channel))
    allocation, price = shares_of(rng, latency=names[0] in DUALS and rng.random() < 0.5)
    fit = problems.fit(rng, "linear", masked=True, weighted=False)
    initial = replace(cases.starts(rng, allocation), params=fit.start)
    problem, given = cases.halves(pair, jc.Problem(allocation, fit.training), initial)
    net, options = cases.network(), {"runs": RUNS, "record_every": STEPS, "optimum": jc.Optimum()}
    result = jc.solve(problem, net, method, STEPS, seed=7, initial=given, **options)
    sequence = problems.weight_matrices(net, 1, seed=7)[0]
    for run in range(RUNS):
        weights, links = [sequence[..., run]] * STEPS, partial(link, run)
        if names[0] is not None:
            theirs = expected_shares(
                names[0],
                method.allocation,
                allocation,
                price,
                initial.allocation[:, run],
                weights,
                run,
                partial(link, run),
            )
            np.testing.assert_allclose(result.allocation[:, run], theirs, rtol=TOLERANCE, atol=TOLERANCE)
        if names[1] is not None:
            theirs = expected_params(names[1], method.training, fit, run, weights, links)
            ours = problems.one_run(result.params, run)
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


OURS = {
    "curvature_flow": flows.curvature_flow,
    "dual_flow": flows.dual_flow,
    "dual_flow_memoryless": flows.dual_flow,
}


@pytest.mark.parametrize("placement", [None, *problems.PLACEMENTS])
@pytest.mark.parametrize("name", OURS)
def test_our_flows(rng, name, placement):
    """Over links that fail, ideal or log-quantized, against loops over nodes and neighbours."""
    channel = jc.channels.Ideal() if placement is None else jc.channels.LogQuantizer(RHO, placement=placement)
    method = cases.per_run(jc.CoOptimizer(BY_NAME[name].build(), channel=channel))
    allocation = cases.allocation(rng)
    start, net = cases.starts(rng, allocation).allocation, cases.network(0.2)
    options = {"runs": RUNS, "record_every": STEPS, "optimum": jc.Optimum(), "seed": 7}
    result = jc.solve(jc.Problem(allocation), net, method, STEPS, initial=jc.Initial(start), **options)
    sequence = problems.weight_matrices(net, STEPS, seed=7)
    box = tuple(np.broadcast_to(end, (NODES,)) for end in (allocation.lower, allocation.upper))
    constants = allocation.cost.curvature, allocation.cost.center
    for run in range(RUNS):
        quantize = oracle.ideal if placement is None else partial(oracle.log_quantize, rho=RHO * cases.SCALES[run])
        link = partial(loops.Link, quantize, placement or "difference")
        settings = settings_of(method.allocation, run)
        theirs = OURS[name](start[:, run], constants, sequence[..., run], settings, link, box)[-1]
        np.testing.assert_allclose(result.allocation[:, run], theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("names", NAMES, ids=lambda names: "+".join(filter(None, names)))
def test_ideal_links(rng, names):
    compare(rng, names, jc.channels.Ideal(), lambda run: loops.Link())


@pytest.mark.parametrize("names", NAMES, ids=lambda names: "+".join(filter(None, names)))
def test_log_links(rng, names):
    """Which placement meets which method changes from session to session."""
    placement = problems.PLACEMENTS[(NAMES.index(names) + SHIFT) % 3]
    names = list(names)
    if names[1] == "lead" or (names[1] == "choco" and placement != "innovation"):
        names[1] = None  # they refuse it
    print(placement)
    channel = jc.channels.LogQuantizer(RHO, placement=placement)

    def link(run):
        return loops.Link(partial(oracle.log_quantize, rho=RHO * cases.SCALES[run]), placement)

    compare(rng, names, channel, link)
