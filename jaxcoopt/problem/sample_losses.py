"""The losses of linear scores with their first and second derivatives, in NumPy: the reference compiles nothing."""

from functools import singledispatch
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxcoopt.problem.losses import Linear, Logistic, Loss, SmoothHinge, Softmax

Scores = Float[np.ndarray, "samples outputs"]


class SampleLosses(NamedTuple):
    """Of each sample: its loss, the slope by its scores, and what `bend` makes the second derivatives of.

    steep: p (1 - p) of the logistic function, or 1, [samples, 1]; of softmax the probabilities.
    """

    value: Float[np.ndarray, " samples"]
    slope: Scores
    steep: Scores


def sample_losses(loss: Loss, scores: Scores, labels: Shaped[np.ndarray, " samples"]) -> SampleLosses:
    """l(s; y) and dl/ds at every sample's scores s; the same as by `Loss.samples` where s = x.w + b."""
    return _of(loss, scores, labels)


def bend(loss: Loss, of: SampleLosses) -> Float[np.ndarray, "samples outputs outputs"]:
    """d2l/ds2."""
    if not isinstance(loss, Softmax):
        return of.steep[:, :, None]
    chances = of.steep
    return chances[:, :, None] * (np.eye(chances.shape[1]) - chances[:, None])


@singledispatch
def _of(loss: Loss, scores: Scores, labels: Shaped[np.ndarray, " samples"]) -> SampleLosses:
    raise TypeError(f"{type(loss).__name__} is no loss of linear scores")


@_of.register
def _(loss: Linear, scores: Scores, labels: Float[np.ndarray, " samples"]) -> SampleLosses:
    off = scores - labels[:, None]
    return SampleLosses(0.5 * off[:, 0] ** 2, off, np.ones_like(off))


@_of.register
def _(loss: Logistic, scores: Scores, labels: Float[np.ndarray, " samples"]) -> SampleLosses:
    value, chance, steep = _softplus(-labels[:, None] * scores)
    return SampleLosses(value[:, 0], -labels[:, None] * chance, steep)


@_of.register
def _(loss: SmoothHinge, scores: Scores, labels: Float[np.ndarray, " samples"]) -> SampleLosses:
    sharpness = float(loss.sharpness)
    value, chance, steep = _softplus(sharpness * (1 - labels[:, None] * scores))
    return SampleLosses(value[:, 0] / sharpness, -labels[:, None] * chance, sharpness * steep)


@_of.register
def _(loss: Softmax, scores: Scores, labels: Int[np.ndarray, " samples"]) -> SampleLosses:
    above = scores - scores.max(axis=1, keepdims=True)
    parts = np.exp(above)
    total = parts.sum(axis=1, keepdims=True)
    own, chances = labels[:, None], parts / total
    value = np.log(total) - np.take_along_axis(above, own, axis=1)
    return SampleLosses(value[:, 0], chances - (np.arange(scores.shape[1]) == own), chances)


def _softplus(at: Scores) -> tuple[Scores, Scores, Scores]:
    """ln(1 + e^t) and its first two derivatives, p and p (1 - p), without cancellation for any t."""
    small = np.exp(-np.abs(at))
    value = np.maximum(at, 0) + np.log1p(small)
    return value, np.where(at >= 0, 1, small) / (1 + small), small / (1 + small) ** 2
