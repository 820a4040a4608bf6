"""The weighted Laplacians of a network, as matrices, and their extreme eigenvalues."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse import linalg

from jaxcoopt.arrays import Given
from jaxcoopt.errors import finite, traced
from jaxcoopt.network.network import Network

Laplacian = Given | sparse.sparray | sparse.spmatrix
DENSE = 400  # nodes up to which all eigenvalues are computed at once
TOLERANCE: Any = 1e-9  # of eigenvalues, relative; SciPy has it as a whole number in its types
LANCZOS_STEPS = 40  # restarts of ARPACK, then the inverse is tried, which suits sparse and badly connected graphs


def laplacians(network: Network) -> list[sparse.csr_array]:
    """diag(W 1) - W of every graph, scipy.sparse [nodes, nodes] in float64, all links up.

    Raises TypeError for what is no network, or has no numbers yet (under jax.jit).
    """
    if not isinstance(network, Network) or traced(network):
        raise TypeError(f"network: expected a jaxcoopt.Network of known numbers, got {type(network).__name__}")
    found, nodes = [], network.nodes
    tail, head = np.asarray(network.edges.tail), np.asarray(network.edges.head)
    ends = (head, tail) if network.directed else (np.concatenate([tail, head]), np.concatenate([head, tail]))
    for weight in np.asarray(network.edges.weights, np.float64):
        weight = weight if network.directed else np.tile(weight, 2)
        weights = sparse.csr_array((weight, ends), shape=(nodes, nodes))
        weights.eliminate_zeros()
        found.append(sparse.csr_array(sparse.diags_array(weights.sum(axis=1)) - weights))
    return found


def shares(network: Network) -> Float[np.ndarray, " graphs"]:
    """How often each graph is used, in the mean over the switching."""
    if network.sequence is None:
        return np.full(network.graphs, 1 / network.graphs)
    return np.bincount(np.asarray(network.sequence), minlength=network.graphs) / len(network.sequence)


def average_laplacian(network: Network) -> Any:
    """The mean over the switching, all links up: it is connected where the union of the graphs in use is."""
    each = laplacians(network)  # raises for what is no network
    parts = [share * of for share, of in zip(shares(network), each, strict=True)]
    return sum(parts[1:], start=parts[0])


def expected_laplacian(network: Network) -> Any:
    """The mean over switching and failures, (1 - rate) times the average. The rate must be known, and a scalar."""
    average = average_laplacian(network)
    return (1 - failure_rate(network)) * average


def failure_rate(network: Network) -> float:
    """The chance that a link is down at an iteration; ValueError where it differs between runs or links."""
    if network.failing is None:
        return 0.0
    name = "failures" if network.failure_rate is None else "failure_rate"
    rate = network.failing.mean_rate()
    if rate is None:
        raise ValueError(
            f"network.failures: {type(network.failing).__name__} has no mean_rate, one chance for all links to be "
            "down, which this depends on; give others, or none"
        )
    rate = np.asarray(rate, np.float64)
    if rate.ndim:
        raise ValueError(f"network.{name}: expected one rate, got {rate.shape[0]}, one for each run")
    return float(rate)


def independent_rate(network: Network) -> float:
    """As `failure_rate`, of failures that are drawn anew at every iteration: the mean of several iterations is the
    product of their means then, and only then.
    """
    if network.failing is not None and not network.failing.memoryless:
        raise ValueError(
            f"network.failures: with {type(network.failing).__name__} an iteration's failures depend on those before, "
            "and what the iterations do in the mean is not known; give failures that are drawn anew, such as "
            "failure_rate=, or none"
        )
    return failure_rate(network)


def in_mean(network: Network) -> bool:
    """Whether `independent_rate` is known."""
    try:
        independent_rate(network)
    except ValueError:
        return False
    return True


def lambda_max(laplacian: Laplacian) -> float:
    """The largest eigenvalue of a Laplacian's symmetric part, dense or scipy.sparse; ARPACK for large ones."""
    symmetric = _symmetric(laplacian)
    if symmetric.shape[0] <= DENSE:
        return float(np.linalg.eigvalsh(_dense(symmetric))[-1])
    start = np.random.default_rng(0).normal(size=symmetric.shape[0])
    try:
        top = linalg.eigsh(  # pyright: ignore
            symmetric, k=1, which="LA", tol=TOLERANCE, maxiter=LANCZOS_STEPS, v0=start, return_eigenvectors=False
        )
    except linalg.ArpackNoConvergence:
        above = 2.000001 * symmetric.diagonal().max()  # Gershgorin
        top = linalg.eigsh(symmetric.tocsc(), k=1, sigma=above, which="LM", v0=start, return_eigenvectors=False)
    return float(top[0])


def scaled_top(laplacian: sparse.csr_array, curvature: np.ndarray) -> float:
    """lambda_max(sqrt(H) L sqrt(H)), H the diagonal of curvatures [nodes]."""
    root = np.sqrt(np.broadcast_to(curvature, laplacian.diagonal().shape))
    return lambda_max(laplacian.multiply(root[:, None]).multiply(root[None]).tocsr())


def lambda_2(laplacian: Laplacian) -> float:
    """The second smallest eigenvalue of a Laplacian's symmetric part: 0 where the graph is not connected.

    With weight-balanced directed links it is the algebraic connectivity, a lower bound of |Re lambda_2|. Large sparse
    matrices: Lanczos on c I - L with the constant vector taken out, and by the inverse where that does not converge,
    as on long rings. Source: Olfati-Saber and Murray, IEEE Trans. Autom. Control 49 (2004).
    """
    symmetric = _symmetric(laplacian)
    nodes = symmetric.shape[0]
    if nodes <= DENSE:
        return max(0.0, float(np.linalg.eigvalsh(_dense(symmetric))[1]))
    if sparse.csgraph.connected_components(symmetric, directed=False)[0] > 1:
        return 0.0
    above = 2 * symmetric.diagonal().max()
    start = np.random.default_rng(0).normal(size=nodes)

    def turned(vector: np.ndarray) -> np.ndarray:
        vector = np.asarray(vector).ravel()
        return above * (vector - vector.mean()) - symmetric @ vector

    operator = linalg.LinearOperator((nodes, nodes), turned, dtype=np.float64)  # pyright: ignore
    try:
        top = linalg.eigsh(  # pyright: ignore
            operator, k=1, which="LA", tol=TOLERANCE, maxiter=LANCZOS_STEPS, v0=start, return_eigenvectors=False
        )
        return max(0.0, float(above - top[0]))
    except linalg.ArpackNoConvergence:
        shift = -1e-6 * above  # off the eigenvalue 0, where there is no inverse
        low = linalg.eigsh(symmetric.tocsc(), k=2, sigma=shift, which="LM", v0=start, return_eigenvectors=False)
        return max(0.0, float(np.sort(low)[1]))


def _symmetric(laplacian: Any) -> Any:
    if sparse.issparse(laplacian):
        finite("laplacian", laplacian.tocoo().data)
    square = laplacian if sparse.issparse(laplacian) else finite("laplacian", laplacian)
    if square.ndim != 2 or square.shape[0] != square.shape[1] or square.shape[0] < 2:
        raise ValueError(f"laplacian: expected a matrix [nodes, nodes] of 2 nodes or more, got shape {square.shape}")
    return (square + square.T) / 2


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else matrix
