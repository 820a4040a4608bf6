"""Link weights that are too strong, as lengths or counts are: mixing itself grows then, and no step can help."""

from functools import singledispatch

import numpy as np
from scipy import sparse

from jaxcoopt.channel.channel import Channel
from jaxcoopt.methods.allocation_admm import TrackingADMM
from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.dgd import DGD
from jaxcoopt.methods.diffusion import LEAD, ExactDiffusion
from jaxcoopt.methods.extra import EXTRA
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.method import Method
from jaxcoopt.methods.ratio_consensus import RatioConsensus
from jaxcoopt.methods.schedule import in_each_phase
from jaxcoopt.network.network import Network
from jaxcoopt.theory.laplacian import DENSE, average_laplacian, lambda_max, laplacians, shares
from jaxcoopt.theory.sector import sector_of

ROUNDS = 400  # of mixing over graphs that take turns, in which growth shows


@singledispatch
def strongest(method: Method) -> float | np.ndarray:
    """`strength` of the weighted Laplacian from which on I - L, or what the method mixes by, grows whatever the step
    is; a float or [runs], infinite for methods that scale with their step or penalty, or ignore the weights.
    """
    return np.inf


@strongest.register(DGD)
@strongest.register(ExactDiffusion)
@strongest.register(GradientTracking)
@strongest.register(TrackingADMM)
@strongest.register(RatioConsensus)
def _(method: Method) -> float | np.ndarray:
    return 2.0


@strongest.register
def _(method: EXTRA) -> float | np.ndarray:
    return 8 / 3


@strongest.register(CHOCO)
@strongest.register(LEAD)
def _(method: CHOCO | LEAD) -> float | np.ndarray:
    return 2 / np.asarray(method.gain, np.float64)


def too_strong(method: Method, network: Network, channel: Channel, *, surely: bool) -> str | None:
    """What to say of weights that a half's method does not stand; None where there is nothing to say.

    surely: only where mixing grows in the mean over failures, and not where a sufficient condition fails.
    """
    most = [np.asarray(strongest(part), np.float64) for part in in_each_phase(method)]
    least, limit = min(float(np.min(each)) for each in most), max(float(np.max(each)) for each in most)
    lower, upper, _ = sector_of(channel)
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    kappa = float(upper.max()) if channel.placement != "innovation" and np.isfinite(upper).all() else 1.0
    if not np.isfinite(least) or 2 * kappa * _most_of_a_node(network) < least:  # Gershgorin
        return None
    top = max(
        strength(of, network.directed)
        for of, share in zip(laplacians(network), shares(network), strict=True)
        if share > 0
    )
    held = 1.0 if channel.placement == "innovation" else float(lower.min())
    if kappa * top < least or (surely and not _grows(network, held / limit)):
        return None
    heaviest = float(np.max(np.asarray(network.edges.weights)))
    also = "" if network.directed else ", or use weights='metropolis'"
    also += "; a smaller gain does the same" if isinstance(method, (CHOCO, LEAD)) else ""
    what = "|lambda|^2 / Re lambda over the eigenvalues" if network.directed else "eigenvalue"
    return (
        f"network: its link weights, up to {heaviest:.3g}, are too strong for {type(method).__name__}, whatever the "
        f"step is: the largest {what} of the weighted Laplacian is {top:.3g}, and must be below {least / kappa:.3g}"
        f". Multiply the weights by {_below(least / (kappa * top))} or less{also}"
    )


def strength(laplacian: sparse.csr_array, directed: bool) -> float:
    """The least s for which all eigenvalues of I - 2 L / s are at most 1 in size: lambda_max of undirected links.

    Of directed ones the largest |lambda|^2 / Re lambda, or for large networks a bound of it, by Gershgorin.
    """
    if not directed:
        return lambda_max(laplacian)
    if laplacian.diagonal().size > DENSE:
        return float(2 * laplacian.diagonal().max())
    found = np.linalg.eigvals(laplacian.toarray())
    found = found[np.abs(found) > 1e-9 * np.abs(found).max()]  # the constant vector stays as it is
    return float(np.max(np.abs(found) ** 2 / found.real))


def _most_of_a_node(network: Network) -> float:
    """The largest sum of the weights of a node's links, of those that it hears over, in any graph."""
    tail, head = np.asarray(network.edges.tail), np.asarray(network.edges.head)
    ends, times = (head, 1) if network.directed else (np.concatenate([tail, head]), 2)
    weights = np.asarray(network.edges.weights, np.float64)
    return max(float(np.bincount(ends, np.tile(of, times)).max()) for of in weights)


def _grows(network: Network, scale: float) -> bool:
    """Whether u -= 2 scale L u grows, L the mean over failures and over graphs drawn at random; False where that is
    not known.
    """
    failing = network.failing
    if failing is not None:
        rate = failing.mean_rate() if failing.memoryless else None
        if rate is None:
            return False
        scale = (1 - float(np.max(np.asarray(rate)))) * scale
    each, order = laplacians(network), range(network.graphs)
    if network.graphs == 1 or network.switching == "random":
        each, order = [average_laplacian(network)], range(1)
        if not (network.directed and network.nodes > DENSE):
            return scale * strength(each[0], network.directed) > 1
    elif network.sequence is not None:
        order = np.asarray(network.sequence).tolist()
    u, logs = np.random.default_rng(0).normal(size=network.nodes), np.zeros(ROUNDS)
    for k in range(ROUNDS):
        u = u - 2 * scale * (each[order[k % len(order)]] @ u)
        u -= u.mean()
        size = np.linalg.norm(u)
        logs[k], u = np.log(max(size, 1e-300)), u / max(size, 1e-300)
    return bool(logs[ROUNDS // 2 :].mean() > 1e-3)


def _below(factor: float) -> str:
    """Two digits, rounded down."""
    digits = 10.0 ** (np.floor(np.log10(factor)) - 1)
    return f"{np.floor(0.99 * factor / digits) * digits:.2g}"
