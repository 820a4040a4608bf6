"""Losses of linear scores X w + b in coordinates in which they are well conditioned, whatever the features' units."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple, TypeGuard, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcoopt.problem.losses import Linear, Logistic, Loss, Ridge, SmoothHinge, Softmax
from jaxcoopt.problem.newton import ROUNDING, Objective, Seen, dense_step
from jaxcoopt.problem.sample_losses import bend, sample_losses
from jaxcoopt.shown import briefly

Sizes = TypeVar("Sizes", np.ndarray, jax.Array)
LINEAR = (Linear, Logistic, SmoothHinge, Softmax)
ROUNDED = 32  # roundings of the largest entry: what varies less than that is taken for constant, or for collinear
MOST_WORK = 5e10  # multiplications that an orthogonal basis of the features may take; else they are only scaled
DENSE = 600  # parameters up to which the Hessian is formed
LARGEST_PROGRAM = 5e6  # entries of the linear program that looks for a separating direction


def is_linear(loss: Loss) -> TypeGuard[Ridge]:
    """Whether it is one of linear scores, and no class that is derived from one."""
    return type(loss) in LINEAR


class Pool(NamedTuple):
    """All nodes' samples as one node's, without padding: features less their means, and what is known of them."""

    features: Float[np.ndarray, "samples features"]
    labels: np.ndarray
    share: Float[np.ndarray, " samples"]
    mean: Float[np.ndarray, " features"]
    size: Float[np.ndarray, " features"]
    blur: Float[np.ndarray, " features"]
    triangle: Float[np.ndarray, "rows features"] | None


def pool_scores(loss: Ridge, features: np.ndarray, labels: np.ndarray, share: np.ndarray) -> Pool:
    """Centre the features where the loss has an intercept, measure them, and decompose them: X = Q `triangle`."""
    peak = np.abs(features).max(axis=0)
    blur = ROUNDED * np.finfo(float).eps * peak
    mean = np.zeros(features.shape[1])
    if loss.intercept:
        for _ in range(2):  # the second time for the rounding of the first
            mean = mean + share @ (features - mean)
        features = features - mean
        features = np.where(np.abs(features).max(axis=0) <= blur, 0, features)
    peak = np.abs(features).max(axis=0)
    peak = np.where(peak > 0, peak, 1)
    size = peak * np.sqrt(share @ (features / peak) ** 2)
    samples, count = features.shape
    triangle = None
    if (samples + count) * count * min(samples, count) <= MOST_WORK:
        triangle = np.asarray(np.linalg.qr(np.sqrt(share)[:, None] * features, mode="r"))
    return Pool(features, labels, share, mean, size, blur, triangle)


def scale_of(size: Sizes, l2: ArrayLike, xp: ModuleType = np) -> Sizes:
    """What a weight is measured in: the size of its feature and of the penalty together, 1 where both are 0."""
    scale = xp.hypot(size, xp.sqrt(l2))
    return xp.where(scale > 0, scale, 1)


@briefly
@dataclass(frozen=True)
class Scores(Objective):
    """The pooled loss in u: w = `basis` u, orthogonal for the loss's quadratic form; the last row of u is the bias.

    At curvature 1 in the scores (least squares) the Hessian is the unit matrix.
    """

    loss: Ridge
    pool: Pool
    rows: Float[np.ndarray, "samples numbers"]
    basis: Float[np.ndarray, "features features"]
    penalty: Float[np.ndarray, "numbers numbers"]
    outputs: int

    @classmethod
    def of(cls, loss: Ridge, pool: Pool) -> "Scores":
        """In the coordinates that fit the features and the loss's l2."""
        l2 = float(loss.l2)
        scale = scale_of(pool.size, l2)
        basis, idle = _basis(pool, scale, l2)
        rows, roots = pool.features @ basis, np.sqrt(l2) * basis
        penalty = roots.T @ roots + np.diag(idle.astype(float))
        if loss.intercept:
            rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
            penalty = np.pad(penalty, (0, 1))
        return cls(loss, pool, rows, basis, penalty, loss.outputs)

    @property
    def start(self) -> np.ndarray:
        """All weights 0."""
        return np.zeros(self.rows.shape[1] * self.outputs)

    @property
    def finished(self) -> float:
        """Where steps are dear: errors are squared from one to the next, so that this one's leaves none to be seen."""
        return 1e-12 if self.start.size > DENSE else 0.0

    def scores(self, v: np.ndarray) -> np.ndarray:
        """[samples, outputs]."""
        return self.rows @ v.reshape(-1, self.outputs)

    def look(self, v: np.ndarray) -> Seen:
        """Value and gradient, and the samples' own derivatives by their scores."""
        u, share = v.reshape(-1, self.outputs), self.pool.share
        of = sample_losses(self.loss, self.scores(v), self.pool.labels)
        held = self.penalty @ u
        total = share @ of.value + 0.5 * np.vdot(u, held)
        return Seen(v, float(total), (self.rows.T @ (share[:, None] * of.slope) + held).ravel(), of)

    def step(self, at: Seen) -> tuple[np.ndarray, float]:
        """By the Hessian where it is small enough, else by its products."""
        v, slope, of = at.v, at.slope, at.detail
        bent = self.pool.share[:, None, None] * bend(self.loss, of)
        if v.size > DENSE:
            return krylov_step(lambda d: self._product(bent, d), slope), 1.0
        noise = ROUNDING * float(np.sqrt(self.pool.share @ (of.slope**2).sum(axis=1)))
        longest = np.inf if self.loss.targets == "real" else 2 * max(1.0, float(np.linalg.norm(v)))
        return dense_step(self._hessian(bent), slope, noise, longest)

    def _hessian(self, bent: np.ndarray) -> np.ndarray:
        numbers, outputs = self.rows.shape[1], self.outputs
        hessian = np.zeros((numbers, outputs, numbers, outputs))
        for a in range(outputs):
            for b in range(a + 1):
                block = (self.rows * bent[:, a, b, None]).T @ self.rows
                hessian[:, a, :, b] = block
                hessian[:, b, :, a] = block.T
            hessian[:, a, :, a] += self.penalty
        if isinstance(self.loss, Softmax):  # a common shift of the classes' scores changes nothing, and stays out
            hessian += np.eye(numbers)[:, None, :, None] / outputs
        return hessian.reshape(numbers * outputs, -1)

    def _product(self, bent: np.ndarray, d: np.ndarray) -> np.ndarray:
        u = d.reshape(-1, self.outputs)
        moved = np.einsum("sab,sb->sa", bent, self.rows @ u)
        return (self.rows.T @ moved + self.penalty @ u).ravel()

    def params(self, v: np.ndarray) -> dict[str, np.ndarray]:
        """Weights and bias in the features' own units; of softmax's, which may be shifted together, those of mean 0."""
        u = v.reshape(-1, self.outputs)
        u = u - u.mean(axis=1, keepdims=True) if isinstance(self.loss, Softmax) else u
        weights = self.basis @ u[: len(self.basis)]
        found = {"weights": weights}
        if len(u) > len(self.basis):
            found["bias"] = u[-1] - self.pool.mean @ weights
        return found if isinstance(self.loss, Softmax) else {name: leaf[..., 0] for name, leaf in found.items()}

    def separated(self, v: np.ndarray) -> bool:
        """Every sample on its label's side: twice the weights are then better still, if nothing holds them."""
        scores = self.scores(v)
        if self.loss.targets == "binary":
            return bool(np.all(self.pool.labels * scores[:, 0] > 0))
        if self.loss.targets != "integer":
            return False
        own = np.take_along_axis(scores, self.pool.labels[:, None], axis=1)
        others = np.where(np.arange(self.outputs) == self.pool.labels[:, None], -np.inf, scores)
        return bool(np.all(own > others.max(axis=1, keepdims=True)))

    def separable(self) -> bool:
        """A direction of the weights lowers the loss of some samples for ever and raises that of none.

        By a linear program; False where that would be too large.
        """
        import scipy.optimize  # not at the top: it takes a third of a second

        if self.loss.targets == "real" or self.rows.size * self.outputs**2 > LARGEST_PROGRAM:
            return False
        margins = self._margins()
        margins /= np.maximum(np.abs(margins).max(axis=1, keepdims=True), np.finfo(float).tiny)
        options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        found = scipy.optimize.linprog(
            -margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=(-1, 1), options=options
        )
        return bool(found.success and -found.fun > 1e-5)

    def _margins(self) -> np.ndarray:
        """One row for each sample (and each class that is not its own): times v, by how much the score is right."""
        if self.loss.targets == "binary":
            return self.pool.labels[:, None] * self.rows
        signs = np.eye(self.outputs)[self.pool.labels][:, None] - np.eye(self.outputs)  # [samples, classes, outputs]
        rows = np.einsum("sk,sco->scko", self.rows, signs).reshape(-1, self.rows.shape[1] * self.outputs)
        return rows[np.abs(rows).max(axis=1) > 0]


def _basis(pool: Pool, scale: np.ndarray, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns that are orthogonal for X^T X + l2 and of length 1, 0 where the features add nothing; and which are 0.

    What features with a mean far above their spread add to each other may be no more than their rounding.
    """
    count = len(scale)
    if pool.triangle is None:
        return np.diag(1 / scale), np.zeros(count, bool)
    together = np.concatenate([pool.triangle, np.sqrt(l2) * np.eye(count)]) if l2 > 0 else pool.triangle
    _, sizes, directions = np.linalg.svd(together / scale, full_matrices=False)
    missing = count - len(sizes)
    sizes, directions = np.pad(sizes, (0, missing)), np.pad(directions, ((0, missing), (0, 0)))
    floor = max(together.shape) * np.finfo(float).eps * sizes.max(initial=0)
    idle = sizes <= np.maximum(floor, np.linalg.norm(directions * (pool.blur / scale), axis=1))
    return directions.T * np.where(idle, 0, 1 / np.where(idle, 1, sizes)) / scale[:, None], idle


def krylov_step(product: Callable[[np.ndarray], np.ndarray], slope: np.ndarray) -> np.ndarray:
    """-H^-1 slope from products with H alone."""
    import scipy.sparse.linalg  # not at the top: it takes a third of a second

    shape = (slope.size, slope.size)
    operator = scipy.sparse.linalg.LinearOperator(  # pyright: ignore
        shape,
        lambda d: product(np.asarray(d).ravel()),
        dtype=np.float64,  # pyright: ignore
    )
    # In these coordinates slopes are of order 1 far from the optimum: steps need to be exact only near it.
    tolerance = float(np.clip(0.1 * np.linalg.norm(slope), 1e-6, 1e-2))
    return scipy.sparse.linalg.minres(operator, -slope, rtol=tolerance, maxiter=5000)[0]
