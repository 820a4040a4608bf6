"""How long a step may be: bounds below which a method converges, and bounds beyond which it cannot."""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.arrays import shown
from jaxcoopt.channel.channel import Channel
from jaxcoopt.errors import traced
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.methods.method import AllocationMethod, Method, TrainingMethod
from jaxcoopt.methods.nonlinearities import Identity
from jaxcoopt.network.network import Network
from jaxcoopt.problem import losses
from jaxcoopt.problem.bounds import Multiplier, Penalty
from jaxcoopt.problem.problem import Allocation, Half, Problem, Training
from jaxcoopt.shown import briefly
from jaxcoopt.theory.check import received, received_channel, received_network, received_problem, refuse_directed
from jaxcoopt.theory.curvature import (
    NoNumber,
    bounded,
    constant_curvature,
    curvature_range,
    linear_hessians,
    smoothness_of,
    stiffness,
)
from jaxcoopt.theory.laplacian import (
    average_laplacian,
    expected_laplacian,
    in_mean,
    lambda_2,
    lambda_max,
    laplacians,
    scaled_top,
    shares,
)
from jaxcoopt.theory.sector import sector_of
from jaxcoopt.theory.thresholds import PAPER, Threshold, sharp, threshold

SHARP_NODES, SHARP_SIZE = 400, 600  # nodes, and nodes times parameters, up to which spectra are computed for a bound


@briefly
@dataclass(frozen=True)
class StepBound:
    """value: the bound, a float or [runs]; source: whose it is; why: the formula with its numbers.

    sharp: every longer step diverges. Where not sharp, longer steps may converge as well.
    """

    value: Any
    source: str
    why: str
    sharp: bool = False


def step_bound(method: Method, problem: Problem, network: Network, channel: Channel | None = None) -> StepBound | None:
    """The step below which one half's method is stable, None where no such number is known.

    Training: alpha < min phi(kappa lambda) / L over the spectra of all graphs, each graph by itself (see `thresholds`),
    L the largest smoothness constant of the nodes' losses and kappa the channel's upper sector bound (1 where it
    quantizes innovations: stable at half of the bound in all runs tried, rho up to 1); the sharp
    1 / lambda_max(phi(L)^(-1/2) H phi(L)^(-1/2)) for least squares on one fixed graph with ideal links.
    Allocation: eta < 2 (1 + beta) / (kappa lambda_max h), h the largest f_i'' over the box plus what the bounds add.
    It is a guarantee, so where it is not sharp a run may stand much longer steps: a softplus penalty's h is that of the
    narrow band around a bound, where few nodes ever are. step="auto" looks for those, see `jaxcoopt.solve`.
    channel: default ideal links. Raises TypeError for what is no method, ValueError for a problem without its half.

    >>> import jaxcoopt as jc, networkx as nx
    >>> problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(2.0, 1.0), budget=5.0))
    >>> network = jc.Network.from_graphs(nx.complete_graph(5))
    >>> round(jc.theory.step_bound(jc.methods.LaplacianFlow(step=0.1), problem, network).value, 6)
    1.0
    """
    method, problem, network = received(method, problem, network)
    try:
        return known_bound(method, problem, network, received_channel(channel))
    except NoNumber:
        return None


def known_bound(method: Method, problem: Problem, network: Network, channel: Channel) -> StepBound:
    """As `step_bound`; raises `NoNumber`, which says why, where it gives None."""
    half = half_of(method, problem)
    if traced(half, network, channel, method):
        raise NoNumber("it follows from numbers that are not known before the run (it is inside jax.jit or jax.grad)")
    if network.directed:
        raise NoNumber("no bound is known for directed links")
    if isinstance(half, Training):
        return _training(threshold(method, channel), half, network, channel)
    return allocation_bound(method, half, network, channel)


def half_of(method: Method, problem: Problem) -> Half:
    """The half of the problem that a method moves; TypeError or ValueError where there is none."""
    if not isinstance(method, (AllocationMethod, TrainingMethod)):
        raise TypeError(
            f"method: expected one half's method, such as jaxcoopt.methods.GradientTracking, got {shown(method)}"
        )
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a jaxcoopt.Problem, got {type(problem).__name__}")
    name = "allocation" if isinstance(method, AllocationMethod) else "training"
    half = getattr(problem, name)
    if half is None:
        raise ValueError(f"problem.{name}: missing, but {type(method).__name__} moves it")
    return half


def paper_bound(problem: Problem, network: Network, channel: Channel | None = None) -> StepBound | None:
    """The paper's step bound of gradient tracking, alpha < |Re lambda_2| / (L kappa), None where L is not known.

    lambda_2 of the average Laplacian. It vanishes with the connectivity, which the sharp one does not: see
    `step_bound`. Source: arXiv 2510.25176, theorem 1.
    """
    network = refuse_directed(received_network(network))
    problem = received_problem(problem, network.nodes)
    if problem.training is None:
        raise ValueError("problem.training: missing; the bound is one of gradient tracking")
    try:
        smooth, upper = smoothness_of(problem.training), sector_of(received_channel(channel)).upper
    except NoNumber:
        return None
    if not np.isfinite(upper).all():
        return None
    algebraic = lambda_2(average_laplacian(network))
    why = f"|Re lambda_2| / (L kappa), lambda_2 = {algebraic:.3g}, L = {_text(smooth)}, kappa = {_text(upper)}"
    return StepBound(_plain(algebraic / (smooth * upper)), PAPER, why)


# ---------------------------------------------------------------- stable below


def _training(found: Threshold, training: Training, network: Network, channel: Channel) -> StepBound:
    gain, smooth = _gain(channel), smoothness_of(training, samples=found.samples)
    top = _top(network)
    value = _plain(found.least(gain * top) / smooth)
    exact = channel.lossless and _steady(network)
    size = _size(training)
    if exact and found.exact and size is not None and not np.ndim(value):
        try:
            value = sharp(found.phi, laplacians(network)[0].toarray(), linear_hessians(training))
            return StepBound(value, found.source, f"spectrum of the iteration on {network.nodes} nodes", sharp=True)
        except NoNumber:
            pass
    why = f"{found.text}; L = {_text(smooth)}, lambda_max = {top:.3g}, kappa = {_text(gain)}"
    return StepBound(value, found.source, why)


@singledispatch
def allocation_bound(method: AllocationMethod, allocation: Allocation, network: Network, channel: Channel) -> StepBound:
    """The bound of an allocation method; `NoNumber` where there is none."""
    raise NoNumber(f"no step bound is known for {type(method).__name__}")


@allocation_bound.register
def _(method: LaplacianFlow, allocation: Allocation, network: Network, channel: Channel) -> StepBound:
    _, most = curvature_range(allocation, network.nodes)
    if not np.isfinite(most).all():
        raise NoNumber("the cost's curvature grows without limit over the box; give allocation.lower and upper")
    gain, added = _gain(channel), stiffness(method.bounds, allocation)
    factor, source = _flow_factor(method, allocation)
    linear = channel.lossless and constant_curvature(allocation.cost) and not bounded(allocation)
    if linear and _steady(network) and most.shape[1] == 1 and not np.ndim(factor):
        top = scaled_top(laplacians(network)[0], most[:, 0])
        why = f"2 (1 + momentum) / lambda_max(sqrt(H) L sqrt(H)), lambda_max = {top:.3g}"
        return StepBound(float(factor / top), source, why, sharp=True)
    stiff = most.max(axis=0) + added
    value = factor / (gain * _top(network) * stiff)
    value = _plain(value if np.ndim(factor) or np.ndim(gain) or stiff.size > 1 else np.min(value))
    why = (
        f"{_text(factor)} / (kappa lambda_max h), kappa = {_text(gain)}, lambda_max = {_top(network):.3g}, "
        f"h = {_text(stiff)} of which the bounds {_text(added)}"
    )
    return StepBound(value, source, why)


def _flow_factor(method: LaplacianFlow, allocation: Allocation) -> tuple[float | np.ndarray, str]:
    """2 (1 + beta), less where multipliers answer as well: 1 + gain / 2 times as stiff, and no more than one momentum.

    With u(k+1) = u(k) + g h x(k+1) at the active nodes, z = -1 is an eigenvalue where eta h lambda (1 + g/2) =
    2 (1 + beta); others leave the circle only for beta > 1 / (1 + g).
    """
    if not isinstance(method.nonlinearity, Identity):
        raise NoNumber(f"no step bound is known for flows that answer by {type(method.nonlinearity).__name__}")
    momentum = 0.0 if method.momentum is None else np.asarray(method.momentum, np.float64)
    factor, source = 2 * (1 + momentum), "Polyak 1964; Ghadimi, Shames, Johansson 2013"
    if isinstance(method.bounds, Multiplier) and bounded(allocation):
        gain = np.asarray(method.bounds.gain, np.float64)
        if np.any(momentum * (1 + gain) >= 1):
            raise NoNumber("with multipliers, momentum must be below 1 / (1 + gain): above, no step is stable")
        return _plain(factor / (1 + gain / 2)), f"{source}, with the multipliers' answer"
    return _plain(factor), source


# ---------------------------------------------------------------- unstable beyond


def unstable_beyond(
    method: Method, problem: Problem, network: Network, channel: Channel, *, step: float = np.inf
) -> float | None:
    """The step beyond which the (mean) iteration grows whatever the start is, None where that is not known or dear, or
    where it is seen at little cost that `step` is not beyond it.

    Least squares, or costs by their least curvature, on one graph or graphs drawn at random, with the channel's lower
    sector bound; links that fail: the mean of the iteration follows the expected Laplacian. All settings scalars.
    """
    half = half_of(method, problem)
    if network.directed:
        return None
    settled = network.graphs == 1 or network.switching == "random"
    if not settled or network.nodes > SHARP_NODES or not in_mean(network):
        return None
    lower = sector_of(channel).lower
    if np.ndim(lower) or lower <= 0:
        return None
    try:
        if isinstance(half, Training):
            return _training_limit(method, half, network, channel, step)
        return _flow_limit(method, half, network, lower, step)
    except NoNumber:
        return None


def _training_limit(
    method: Method, training: Training, network: Network, channel: Channel, step: float
) -> float | None:
    found, lower = threshold(method, channel), sector_of(channel).lower
    if not isinstance(training.loss, losses.Linear) or not found.exact or _size(training) is None:
        return None
    if not (found.in_mean or _steady(network)):
        return None
    laplacian = lower * expected_laplacian(network).toarray()
    top, hessians = lambda_max(laplacian), linear_hessians(training)
    if top >= found.most or step * np.linalg.eigvalsh(hessians).max() <= found.least(top):
        return None
    return sharp(found.phi, laplacian, hessians)


def _flow_limit(method: Method, allocation: Allocation, network: Network, lower: float, step: float) -> float | None:
    """2 (1 + beta) / (kappa lambda_max(sqrt(h) L sqrt(h))) with the least curvature h: bounds only add to it."""
    if not isinstance(method, LaplacianFlow) or not isinstance(method.bounds, (Penalty, Multiplier)):
        return None
    if not isinstance(method.nonlinearity, Identity) or np.ndim(method.momentum):
        return None
    least, _ = curvature_range(allocation, network.nodes)
    if least.shape[1] > 1:
        return None
    laplacian, factor = lower * expected_laplacian(network), 2 * (1 + (method.momentum or 0.0))
    if step * 2 * laplacian.diagonal().max() * least.max() <= factor:  # Gershgorin
        return None
    top = scaled_top(laplacian, np.broadcast_to(least[:, 0], (network.nodes,)))
    return float(factor / top) if top > 0 else None


# ---------------------------------------------------------------- parts


def _top(network: Network) -> float:
    """The largest lambda_max of the graphs in use."""
    return max(lambda_max(of) for of, share in zip(laplacians(network), shares(network), strict=True) if share > 0)


def _gain(channel: Channel) -> float | np.ndarray:
    """kappa: the upper sector bound, where what is quantized is the value or the difference itself. Innovations go to
    0 with what they correct, and links are ideal in the end: 1 there, as measured rather than proved.
    """
    upper = sector_of(channel).upper
    if not np.isfinite(upper).all():
        raise NoNumber(f"nothing bounds what {type(channel).__name__} makes of a small number")
    return 1.0 if channel.placement == "innovation" else upper


def _size(training: Training) -> int | None:
    """The numbers of a linear model, None where there are too many for spectra."""
    if not isinstance(training.loss, losses.Linear):
        return None
    nodes, _, features = np.shape(training.features)
    size = features + training.loss.intercept
    return size if nodes <= SHARP_NODES and nodes * size <= SHARP_SIZE else None


def _steady(network: Network) -> bool:
    return network.graphs == 1 and not network.fails


def _plain(value: ArrayLike) -> float | np.ndarray:
    value = np.asarray(jax.device_get(value), np.float64)
    return value.item() if value.ndim == 0 else value


def _text(value: ArrayLike) -> str:
    value = np.asarray(value)
    return f"{value.min():.3g}" if value.min() == value.max() else f"{value.min():.3g} to {value.max():.3g}"
