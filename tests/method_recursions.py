"""Which NumPy loop is the recursion of which row of the registry, and its answer for one run."""

from functools import partial

import flow_loops as flows
import method_loops as loops
import numpy as np
import numpy_loop as oracle
from method_cases import NODES

STEPS = 50
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
    "finite_time_flow": lambda flow, run: loops.power(flow.nonlinearity.low[run]),
    "fixed_time_flow": lambda flow, run: loops.power(flow.nonlinearity.low[run], flow.nonlinearity.high[run]),
    "saturated_flow": lambda flow, run: loops.saturated(flow.nonlinearity.level[run]),
    "single_bit_flow": lambda flow, run: np.sign,
    "uniform_flow": lambda flow, run: loops.uniform(flow.nonlinearity.level[run], flow.nonlinearity.bits),
}
DUALS = {
    "primal_dual": loops.primal_dual,
    "tracking_admm": loops.tracking_admm,
    "dual_consensus_admm": loops.dual_consensus_admm,
}
OURS = {
    "curvature_flow": flows.curvature_flow,
    "dual_flow": flows.dual_flow,
    "dual_flow_memoryless": flows.dual_flow,
}
SHARES = (*FLOWS, *DUALS, *OURS, "ratio_consensus")


def settings_of(method, run):
    """The numbers of a method that its loop takes, of one run."""
    names = ("step", "momentum", "gain", "penalty", "curvature", "relaxation")
    given = {name: getattr(method, name, None) for name in names}
    return {name: float(value[run]) for name, value in given.items() if value is not None}


def params(name, method, start, gradient, sequence, run, link):
    """y after the last iteration, over the links of the first throughout: some recursions take no others."""
    weights = [sequence[0]] * len(sequence)
    return TRAINING[name](start, gradient, weights, settings_of(method, run), link)[-1]


def shares(name, method, allocation, price, start, sequence, run, link):
    """x after the last iteration, over the links of the first throughout; but for our flows, over each one's own."""
    box = low, high = tuple(np.broadcast_to(end, (NODES,)) for end in (allocation.lower, allocation.upper))
    constants = None if name in DUALS else (allocation.cost.curvature, allocation.cost.center)
    settings, weights = settings_of(method, run), [sequence[0]] * len(sequence)
    if name in OURS:
        return OURS[name](start, constants, sequence, settings, link, box)[-1]
    if name in DUALS:
        return DUALS[name](start, price, weights, settings, link, float(allocation.budget), box)[-1]
    if name == "ratio_consensus":
        return loops.ratio_consensus(start, constants, weights, settings, link, float(allocation.budget))[-1]
    weight, sharpness = float(method.bounds.weight[run]), float(method.bounds.sharpness[run])

    def with_penalty(i, x):
        return price(i, x) + oracle.penalty_price(x, low[i], high[i], weight, sharpness)

    return loops.flow(start, with_penalty, weights, settings, link, FLOWS[name](method, run))[-1]
