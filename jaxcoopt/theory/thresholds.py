"""Where the training methods stop being stable: alpha H < phi(L), one scalar function phi for each of them.

For least squares and a fixed graph, an eigenvector y of the linearised iteration to the eigenvalue mu solves
P(mu) y = 0 with P a polynomial whose coefficients are symmetric matrices, made of the weighted Laplacian L and of the
Hessians H. For each method but the heavy ball, Jury's criterion for y* P(mu) y leaves one condition that the step
can break, that P(-1) be positive definite, which reads alpha H < phi(L); and where P(-1) is not, P has a root below -1,
as P is positive definite far out. So alpha < 1 / lambda_max(phi(L)^(-1/2) H phi(L)^(-1/2)) is stable and all above is
not. Whatever H is, alpha < min_lambda phi(lambda) / max H is enough.

    DGD               2 - l                      Yuan, Ling, Yin 2016: alpha <= (1 + lambda_n(W)) / L
    EXTRA             2 - 3 l / 4                Li and Yan 2021: alpha < (5 + 3 lambda_n(W)) / (4 L)
    NIDS, exact diff. (3 + 1 / (1 - l/2)) / 2    Li, Shi, Yan 2019: alpha < 2 / L
    tracking, cta     (2 - l)^2 / 2              P = (mu-1)^2 I + (mu-1) (2 L + alpha H) + L^2
    tracking, atc     (1 + 1 / (1 - l))^2 / 2    P = (L / (I - L) + (mu-1) / (I - L))^2 + (mu-1) alpha H
    heavy ball, cta   (1 - beta) (2 - l)^2 / 2    not proved: stable on all random problems tried, sharp on none
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.channel.channel import Channel
from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.dgd import DGD
from jaxcoopt.methods.diffusion import LEAD, ExactDiffusion
from jaxcoopt.methods.extra import EXTRA
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.method import Method, TrainingMethod
from jaxcoopt.shown import briefly
from jaxcoopt.theory.curvature import NoNumber

PAPER = "arXiv 2510.25176"


@briefly
@dataclass(frozen=True)
class Threshold:
    """phi: from Laplacian eigenvalues in [0, most) to alpha H; infinite or no number beyond.

    exact: sharp for least squares on a fixed graph. in_mean: the iteration is linear in L, so that its mean over random
    links is that of the mean L. samples: H is that of the worst mini-batch.
    """

    phi: Callable[[Any], Any]
    text: str
    source: str
    most: float = 2.0
    exact: bool = True
    in_mean: bool = True
    samples: bool = False

    def least(self, top: ArrayLike) -> float | np.ndarray:
        """The smallest phi over [0, top], top scalar or [runs]: all phi have it at one of the ends."""
        if np.any(np.asarray(top) >= self.most):
            raise NoNumber(
                f"the links are too strong: kappa lambda_max = {np.max(top):.3g} must be below {self.most:.3g} "
                "(scale the weights down, or quantize more finely)"
            )
        return np.minimum(self.phi(np.zeros_like(top)), self.phi(np.asarray(top)))


@singledispatch
def threshold(method: Method, channel: Channel) -> Threshold:
    """The threshold of a training method over a channel; raises `NoNumber` where none is known."""
    raise NoNumber(f"no step bound is known for {type(method).__name__}")


@threshold.register
def _(method: DGD, channel: Channel) -> Threshold:
    text, source = "(2 - kappa lambda_max) / L", "Yuan, Ling, Yin, SIAM J. Optim. 26 (2016)"
    if method.batch_size is None:
        return Threshold(lambda l: 2 - l, text, source)
    text, source = f"{text}, L over single samples", f"{source}, for each mini-batch by itself"
    return Threshold(lambda l: 2 - l, text, source, exact=False, samples=True)


@threshold.register
def _(method: EXTRA, channel: Channel) -> Threshold:
    _over_all_samples(method)
    source = "Li and Yan, Adv. Comput. Math. 47 (2021)"
    return Threshold(lambda l: 2 - 0.75 * l, "(2 - 3/4 kappa lambda_max) / L", source, most=8 / 3)


@threshold.register
def _(method: ExactDiffusion, channel: Channel) -> Threshold:
    _over_all_samples(method)
    return Threshold(_diffusion, "2 / L", "Li, Shi, Yan, IEEE Trans. Signal Process. 67 (2019)")


@threshold.register
def _(method: LEAD, channel: Channel) -> Threshold:
    _over_all_samples(method)
    gain = np.asarray(method.gain, np.float64)
    if channel.lossless:
        source = "Li, Shi, Yan, IEEE Trans. Signal Process. 67 (2019): without losses LEAD is NIDS"
        return Threshold(lambda l: _diffusion(gain * l), "2 / L", source, most=float(np.min(2 / gain)))
    source = "Liu, Li, Wang, Tang, Yan, ICLR 2021: 2 / (mu + L), for a small gain and damping"
    return Threshold(np.ones_like, "1 / L", source, most=np.inf, exact=False)


@threshold.register
def _(method: CHOCO, channel: Channel) -> Threshold:
    gain, samples = np.asarray(method.gain, np.float64), method.batch_size is not None
    if channel.lossless:
        source, most = "Koloskova, Stich, Jaggi, ICML 2019: without losses a contraction", float(np.min(2 / gain))
        return Threshold(lambda l: np.full_like(l, 2.0), "2 / L", source, most, exact=False, samples=samples)
    source = "Koloskova, Stich, Jaggi, ICML 2019, theorem 4: a step of 1 / (4 L) at first, for a small gain"
    return Threshold(lambda l: np.full_like(l, 0.25), "1 / (4 L)", source, np.inf, exact=False, samples=samples)


@threshold.register
def _(method: GradientTracking, channel: Channel) -> Threshold:
    if method.optimizer is not None:
        raise NoNumber("the step is the optimizer's")
    batches = method.batch_size is not None
    momentum = 0.0 if method.momentum is None else np.asarray(method.momentum, np.float64)
    source = f"spectrum of the linearised iteration ({PAPER})" + (", each mini-batch by itself" if batches else "")
    if method.order == "atc":
        if np.any(momentum):
            raise NoNumber("no step bound is known for ATC tracking with momentum")
        text = "min(2, ((2 - l) / (l - 1))^2 / 2 where l > 1) / L, l = kappa lambda_max"
        return Threshold(_adapt_then_combine, text, source, exact=not batches, in_mean=False, samples=batches)
    text = "(1 - momentum) (2 - l)^2 / (2 L), l = kappa lambda_max"
    exact = not batches and not np.any(momentum)
    return Threshold(lambda l: (1 - momentum) * (2 - l) ** 2 / 2, text, source, exact=exact, samples=batches)


def _over_all_samples(method: TrainingMethod) -> None:
    if method.batch_size is not None:
        raise NoNumber(f"no step bound is known for {type(method).__name__} with mini-batches")


def _diffusion(l: ArrayLike) -> float | np.ndarray:
    return (3 + 1 / (1 - np.asarray(l) / 2)) / 2


def _adapt_then_combine(l: ArrayLike) -> float | np.ndarray:
    with np.errstate(divide="ignore"):
        return (1 + 1 / (1 - np.asarray(l))) ** 2 / 2


def sharp(phi: Callable[[Any], Any], laplacian: np.ndarray, hessians: np.ndarray) -> float:
    """1 / lambda_max(phi(L)^(-1/2) H phi(L)^(-1/2)), for L [nodes, nodes] and the blocks of H [nodes, size, size].

    The largest eigenvalue is that of H^(1/2) phi(L)^(-1) H^(1/2) as well, which is less work.
    """
    values, vectors = np.linalg.eigh(laplacian)
    inverse = (vectors / phi(np.maximum(values, 0))) @ vectors.T
    bends, axes = np.linalg.eigh(hessians)
    roots = (axes * np.sqrt(np.maximum(bends, 0))[:, None]) @ np.swapaxes(axes, 1, 2)
    nodes, size, _ = hessians.shape
    product = np.einsum("iab,jbc->iajc", roots, roots, optimize=True) * inverse[:, None, :, None]
    return 1 / float(np.linalg.eigvalsh(product.reshape(nodes * size, -1))[-1])
