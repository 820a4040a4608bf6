"""The eigenvalues of a method's iteration on quadratic losses and costs, and the rate that they set."""

from functools import singledispatch

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from jaxcoopt.errors import finite, one_number
from jaxcoopt.methods.dgd import DGD
from jaxcoopt.methods.diffusion import ExactDiffusion
from jaxcoopt.methods.extra import EXTRA
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.methods.method import Method, TrainingMethod
from jaxcoopt.methods.nonlinearities import Identity
from jaxcoopt.network.network import Network
from jaxcoopt.problem import losses
from jaxcoopt.problem.align import aligned_allocation
from jaxcoopt.problem.costs import curvature
from jaxcoopt.problem.problem import Half, Problem, Training
from jaxcoopt.problem.reference import reference
from jaxcoopt.theory.check import received
from jaxcoopt.theory.curvature import hessians_at, linear_hessians
from jaxcoopt.theory.laplacian import expected_laplacian, independent_rate, laplacians
from jaxcoopt.theory.steps import half_of

Matrix = Float[np.ndarray, "size size"]
Whole = Float[np.ndarray, "state state"]
PLAIN = "method: the spectrum is that of a plain step over all samples"


def _over_all_samples(method: TrainingMethod) -> None:
    if method.batch_size is not None:
        raise TypeError(PLAIN)


@singledispatch
def iteration_matrix(method: Method, laplacian: Matrix, hessian: Matrix) -> Whole:
    """M of state(k+1) = M state(k) for one graph, around the optimum.

    laplacian: L kron I [nm, nm], times the links' gain; hessian: block diagonal [nm, nm]. States: [y; z] gradient
    tracking ([y; z; y(k-1)] with momentum), [y; s] EXTRA, NIDS and exact diffusion, y DGD, [x; x(k-1)] flows. Raises
    TypeError for other methods.
    """
    raise TypeError(f"method: the iteration of {type(method).__name__} has no matrix here; see `iteration_matrix`")


@iteration_matrix.register
def _(method: GradientTracking, laplacian: Matrix, hessian: Matrix) -> Whole:
    if method.optimizer is not None:
        raise TypeError(PLAIN)
    _over_all_samples(method)
    one = np.eye(len(laplacian))
    mix, step = one - laplacian, _number("step", method.step)
    momentum = 0.0 if method.momentum is None else _number("momentum", method.momentum)
    if method.order == "atc":
        to_y = [mix * (1 + momentum), -step * mix, -momentum * mix]
        change = hessian @ np.hstack([to_y[0] - one, *to_y[1:]])
        to_z = mix @ (change + np.hstack([0 * one, one, 0 * one]))
    else:
        to_y = [mix + momentum * one, -step * one, -momentum * one]
        to_z = hessian @ np.hstack([to_y[0] - one, *to_y[1:]]) + np.hstack([0 * one, mix, 0 * one])
    whole = np.vstack([np.hstack(to_y), to_z, np.hstack([one, 0 * one, 0 * one])])
    return whole if momentum else whole[: 2 * len(one), : 2 * len(one)]


@iteration_matrix.register
def _(method: EXTRA, laplacian: Matrix, hessian: Matrix) -> Whole:
    _over_all_samples(method)
    one = np.eye(len(laplacian))
    return np.block([[one - laplacian - _number("step", method.step) * hessian, one], [-laplacian / 2, one]])


@iteration_matrix.register
def _(method: ExactDiffusion, laplacian: Matrix, hessian: Matrix) -> Whole:
    _over_all_samples(method)
    one = np.eye(len(laplacian))
    adapt, half = one - _number("step", method.step) * hessian, one - laplacian / 2
    return np.block([[half @ adapt, -half], [laplacian @ adapt / 2, half]])


@iteration_matrix.register
def _(method: DGD, laplacian: Matrix, hessian: Matrix) -> Whole:
    _over_all_samples(method)
    return np.eye(len(laplacian)) - laplacian - _number("step", method.step) * hessian


@iteration_matrix.register
def _(method: LaplacianFlow, laplacian: Matrix, hessian: Matrix) -> Whole:
    if not isinstance(method.nonlinearity, Identity):
        raise TypeError(f"method: a flow that answers by {type(method.nonlinearity).__name__} has no linear iteration")
    one, momentum = np.eye(len(laplacian)), _number("momentum", method.momentum or 0.0)
    move = (1 + momentum) * one - _number("step", method.step) * laplacian @ hessian
    return np.block([[move, -momentum * one], [one, 0 * one]]) if momentum else move


def eigenvalues(
    method: Method, problem: Problem, network: Network, *, gain: float = 1.0
) -> Complex[np.ndarray, " size"]:
    """All eigenvalues of one period of the iteration, by falling modulus; gain: of the links, within the sector.

    Links that fail, and graphs drawn at random: of the mean iteration. Exact for least squares and quadratic costs,
    else linearised at the optimum; bounds are left out. Gradient tracking, EXTRA and the diffusions have as many
    eigenvalues at 1 as there are parameters, which their conserved sums keep still; flows have one. Raises TypeError
    for other methods, ValueError for settings that differ between runs.

    >>> import jaxcoopt as jc, networkx as nx
    >>> problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(2.0, 1.0), budget=5.0))
    >>> network = jc.Network.from_graphs(nx.complete_graph(5))
    >>> abs(jc.theory.eigenvalues(jc.methods.LaplacianFlow(step=0.1), problem, network)).round(6).tolist()
    [1.0, 0.8, 0.8, 0.8, 0.8]
    """
    whole, _, _ = _period(method, problem, network, gain)
    values = np.linalg.eigvals(whole)
    return values[np.argsort(-np.abs(values), kind="stable")].astype(complex)


def spectral_rate(method: Method, problem: Problem, network: Network, *, gain: float = 1.0) -> float:
    """The largest modulus, an iteration, of the eigenvalues apart from those that conserved sums hold at 1.

    Distances to the optimum shrink by it in the end, gaps by its square. Arguments and errors as `eigenvalues`.
    """
    whole, still, length = _period(method, problem, network, gain)
    values = np.linalg.eigvals(whole)
    moving = values[np.argsort(np.abs(values - 1), kind="stable")][still:]
    return float(np.abs(moving).max() ** (1 / length))


def _period(method: Method, problem: Problem, network: Network, gain: float) -> tuple[Whole, int, int]:
    """The matrix of one period, how many of its eigenvalues are at 1 by conservation, and its iterations."""
    method, problem, network = received(method, problem, network)
    half, gain = half_of(method, problem), one_number("gain", gain)
    blocks = _hessians(half, network.nodes)
    nodes, size, _ = blocks.shape
    hessian = np.zeros((nodes, size, nodes, size))
    hessian[np.arange(nodes), :, np.arange(nodes), :] = blocks
    hessian = hessian.reshape(nodes * size, -1)
    keep = 1 - independent_rate(network)
    if network.switching == "random":
        graphs = [expected_laplacian(network)]
    else:
        each = laplacians(network)
        order = range(len(each)) if network.sequence is None else np.asarray(network.sequence)
        graphs = [keep * each[i] for i in order]
    whole = None
    for graph in graphs:
        matrix = iteration_matrix(method, gain * np.kron(graph.toarray(), np.eye(size)), hessian)
        whole = matrix if whole is None else matrix @ whole
    assert whole is not None
    return whole, 0 if isinstance(method, DGD) else size, len(graphs)


def _hessians(half: Half, nodes: int) -> Float[np.ndarray, "nodes size size"]:
    """Of every node's loss or cost, at the optimum where they depend on where that is."""
    if isinstance(half, Training):
        if isinstance(half.loss, losses.Linear):
            return linear_hessians(half)
        return hessians_at(half, reference(Problem(training=half)).params)
    optimum = np.asarray(reference(Problem(allocation=half), nodes).allocation)
    if optimum.ndim > 1:
        raise ValueError("problem.allocation: its numbers differ between runs; give one run's")
    with jax.enable_x64(True):
        bend = np.asarray(curvature(aligned_allocation(half).cost, jnp.asarray(optimum[:, None])))
    return bend[:, :, None]


def _number(name: str, value: object) -> float:
    value = finite(f"method.{name}", value)
    if value.ndim:
        raise ValueError(f"method.{name}: expected a scalar, got one for each of {value.size} runs; give one run's")
    return float(value)
