"""What a sample costs a node: training losses over [nodes, samples, runs]."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Shaped

from jaxcoopt.along_runs import along_runs
from jaxcoopt.problem.batch import Batch
from jaxcoopt.problem.models import Params, linear_init, linear_scores, mlp_init, mlp_scores, ridge, ridge_gradient
from jaxcoopt.problem.moments import Moments, least_squares_gradient, moments_of
from jaxcoopt.problem.samples import Sample
from jaxcoopt.pytrees import pytree
from jaxcoopt.setting import Scalar, setting

Targets = Literal["real", "binary", "integer", "any"]
Features = Float[Array, "nodes samples features *runs"]
Labels = Shaped[Array, "nodes samples *runs"]


class Loss(abc.ABC):
    """A loss l(params; x, y) of one sample, plus a penalty on the parameters, stacked over nodes and runs.

    Parameters are any pytree whose leaves are [nodes, *shape, runs]; `l2` is a scalar or [runs].
    """

    targets: Targets = "any"
    convex: bool = True
    rows: bool = True  # whether a sample is one vector of features; False: an array of any shape, or a dict of arrays

    @abc.abstractmethod
    def init(self, key: Array, features: Sample) -> Params:
        """One node's random start, without nodes and runs axes; features: how many there are, or where a sample is no
        vector its arrays as `jax.ShapeDtypeStruct`s.
        """

    @abc.abstractmethod
    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """The loss of each sample at each node's own parameters."""

    def of_batch(self, params: Params, batch: Batch) -> Float[Array, "nodes samples runs"]:
        """The same of the samples of a batch."""
        return self.samples(params, batch.features, batch.labels)

    @abc.abstractmethod
    def penalty(self, params: Params) -> Float[Array, "nodes runs"]:
        """The regularisation at each node."""

    def penalty_gradient(self, params: Params) -> Params:
        """The gradient of `penalty`; leaves [nodes, *shape, runs]."""
        return jax.grad(lambda at: self.penalty(at).sum())(params)

    @property
    def outputs(self) -> int:
        """How many numbers the scores of one sample are: what memory goes by."""
        return 1

    def moments(self, batch: Batch) -> Moments | None:
        """Sums over the samples that give the gradient with less work than the samples do; None where none do."""
        return None

    def gradient_from(self, params: Params, moments: Moments) -> Params:
        """The gradient of the mean loss, without the penalty, from `moments`; leaves [nodes, *shape, runs]."""
        raise TypeError(f"{type(self).__name__} has no moments")

    def predict(self, params: Params, features: Features) -> Shaped[Array, "nodes samples runs"]:
        """The predicted target (regression), -1 or +1 (binary) or class number."""
        raise TypeError(f"{type(self).__name__} makes no predictions: it only knows the loss of a sample")


class Ridge(Loss):
    """A loss with l2/2 |w|^2 on its weights; the bias is not penalised."""

    l2: Scalar
    intercept: bool

    def penalty(self, params: Params) -> Float[Array, "nodes runs"]:
        """l2/2 |w|^2."""
        return ridge(self.l2, params)

    def penalty_gradient(self, params: Params) -> Params:
        """l2 w."""
        return ridge_gradient(self.l2, params)


@pytree
@dataclass(frozen=True)
class Linear(Ridge):
    """Least squares: (x.w + b - y)^2 / 2, with l2/2 |w|^2 (ridge)."""

    l2: Scalar = setting(0.0, least=0, doc="l2 / 2 |weights|^2 is added.")
    intercept: bool = setting(True, flag=True, doc="Whether there is a bias.")
    targets = "real"

    def init(self, key: Array, features: int) -> Params:
        """{"weights": [features], "bias": []}."""
        return linear_init(key, features, (), self.intercept)

    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """Half the squared residual."""
        return 0.5 * (self.predict(params, features) - _per_run(labels)) ** 2

    def moments(self, batch: Batch) -> Moments | None:
        """Second moments, where they are smaller than two passes over the samples."""
        _, samples, features = batch.features.shape
        return moments_of(batch.features, batch.labels, batch.share) if features <= 2 * samples else None

    def gradient_from(self, params: Params, moments: Moments) -> Params:
        """E[x x^T] w + E[x] b - E[x y], E[x].w + b - E[y]."""
        return least_squares_gradient(params, moments)

    def predict(self, params: Params, features: Features) -> Float[Array, "nodes samples runs"]:
        """x.w + b."""
        return linear_scores(params, features)


@pytree
@dataclass(frozen=True)
class Logistic(Ridge):
    """Logistic regression: ln(1 + exp(-y (x.w + b))) for labels -1, +1 (or 0, 1), with l2/2 |w|^2."""

    l2: Scalar = setting(0.0, least=0, doc="l2 / 2 |weights|^2 is added.")
    intercept: bool = setting(True, flag=True, doc="Whether there is a bias.")
    targets = "binary"

    def init(self, key: Array, features: int) -> Params:
        """{"weights": [features], "bias": []}."""
        return linear_init(key, features, (), self.intercept)

    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """softplus(-margin)."""
        return jax.nn.softplus(-_per_run(labels) * linear_scores(params, features))

    def predict(self, params: Params, features: Features) -> Float[Array, "nodes samples runs"]:
        """sign(x.w + b)."""
        return jnp.sign(linear_scores(params, features))


@pytree
@dataclass(frozen=True)
class SmoothHinge(Ridge):
    """Support vector machine: softplus(mu (1 - y (x.w + b))) / mu for labels -1, +1 (or 0, 1), mu = `sharpness`.

    Within ln(2) / mu of the hinge. A kernel machine is this loss on `jaxcoopt.features.quadratic` or `.fourier`.
    """

    l2: Scalar = setting(0.0, least=0, doc="l2 / 2 |weights|^2 is added.")
    sharpness: Scalar = setting(10.0, above=0, doc="mu of softplus(mu (1 - margin)) / mu.")
    intercept: bool = setting(True, flag=True, doc="Whether there is a bias.")
    targets = "binary"

    def init(self, key: Array, features: int) -> Params:
        """{"weights": [features], "bias": []}."""
        return linear_init(key, features, (), self.intercept)

    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """softplus(mu (1 - margin)) / mu."""
        margin = _per_run(labels) * linear_scores(params, features)
        mu = along_runs(self.sharpness, margin)
        return jax.nn.softplus(mu * (1 - margin)) / mu

    def predict(self, params: Params, features: Features) -> Float[Array, "nodes samples runs"]:
        """sign(x.w + b)."""
        return jnp.sign(linear_scores(params, features))


@pytree
@dataclass(frozen=True)
class Softmax(Ridge):
    """Multinomial logistic regression: logsumexp(x W + b) - (x W + b)_y for labels 0 .. classes-1, with l2/2 |W|^2."""

    classes: int = setting(whole=True, least=2, doc="How many there are.")
    l2: Scalar = setting(0.0, least=0, doc="l2 / 2 |weights|^2 is added.")
    intercept: bool = setting(True, flag=True, doc="Whether there is a bias.")
    targets = "integer"

    @property
    def outputs(self) -> int:
        """The classes."""
        return self.classes

    def init(self, key: Array, features: int) -> Params:
        """{"weights": [features, classes], "bias": [classes]}."""
        return linear_init(key, features, (self.classes,), self.intercept)

    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """Cross entropy."""
        return _cross_entropy(linear_scores(params, features), labels)

    def predict(self, params: Params, features: Features) -> Shaped[Array, "nodes samples runs"]:
        """The class with the highest score."""
        return jnp.argmax(linear_scores(params, features), axis=2)


@pytree
@dataclass(frozen=True)
class MLP(Loss):
    """A tanh multilayer perceptron, with cross entropy over `classes`, or least squares when classes is None.

    Not convex: there is no reference optimum, so no gap is recorded.
    """

    hidden: tuple[int, ...] = setting((32,), sizes=True, doc="Neurons of each hidden layer.")
    classes: int | None = setting(None, whole=True, least=2, doc="How many there are; None: regression.")
    l2: Scalar = setting(0.0, least=0, doc="l2 / 2 |weights|^2 is added.")
    convex = False

    def __post_init__(self) -> None:
        if isinstance(self.hidden, list):  # which could not be compiled in
            object.__setattr__(self, "hidden", tuple(self.hidden))

    @property
    def targets(self) -> Targets:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Integer labels for classes, real numbers for regression."""
        return "real" if self.classes is None else "integer"

    @property
    def outputs(self) -> int:
        """The widest layer's units."""
        return max(*self.hidden, self.classes or 1)

    def init(self, key: Array, features: int) -> Params:
        """[{"weights": [in, out], "bias": [out]}, ...], one for each layer."""
        return mlp_init(key, (features, *self.hidden, self.classes or 1))

    def samples(self, params: Params, features: Features, labels: Labels) -> Float[Array, "nodes samples runs"]:
        """Cross entropy, or half the squared residual."""
        scores = mlp_scores(params, features)
        if self.classes is None:
            return 0.5 * (scores[:, :, 0] - _per_run(labels)) ** 2
        return _cross_entropy(scores, labels)

    def penalty(self, params: Params) -> Float[Array, "nodes runs"]:
        """l2/2 |weights|^2 over all layers."""
        return sum((ridge(self.l2, layer) for layer in params[1:]), start=ridge(self.l2, params[0]))

    def predict(self, params: Params, features: Features) -> Shaped[Array, "nodes samples runs"]:
        """The class with the highest score, or the output."""
        scores = mlp_scores(params, features)
        return scores[:, :, 0] if self.classes is None else jnp.argmax(scores, axis=2)


@pytree
@dataclass(frozen=True)
class Custom(Loss):
    """Any loss fn(params, x, y) of ONE sample, with params any pytree; x: [features] or what else a sample is, y: its
    target.

    start: key -> params, one node's random start. Say `convex=True` only when it is: the reference relies on it.
    Regularisation belongs into fn. Samples may be of any shape, see `Training`: images, or a dict of arrays; whole
    numbers, such as token ids, stay whole.
    """

    fn: Callable[[Params, Array, Array], Array] = setting(function="fn(params, x, y) -> the loss of one sample")
    start: Callable[[Array], Params] = setting(function="start(key) -> params")
    convex: bool = setting(False, flag=True, doc="Whether it has no minimum but the least one.")
    rows = False

    def init(self, key: Array, features: Sample) -> Params:
        """start(key)."""
        return self.start(key)

    def samples(self, params: Params, features: PyTree, labels: PyTree) -> Float[Array, "nodes samples runs"]:
        """`fn` mapped over samples, runs and nodes; of samples that all runs share."""
        return self._mapped(params, features, labels, None)

    def of_batch(self, params: Params, batch: Batch) -> Float[Array, "nodes samples runs"]:
        """The same; a batch that was drawn differs between runs."""
        return self._mapped(params, batch.features, batch.labels, -1 if batch.share.ndim == 3 else None)

    def _mapped(self, params: Params, features: PyTree, labels: PyTree, runs: int | None) -> Array:
        over_samples = jax.vmap(self.fn, in_axes=(None, 0, 0))
        over_runs = jax.vmap(over_samples, in_axes=(-1, runs, runs), out_axes=-1)
        return jax.vmap(over_runs)(params, features, labels)

    def penalty(self, params: Params) -> Float[Array, "nodes runs"]:
        """Zero."""
        leaf = jax.tree.leaves(params)[0]
        return jnp.zeros((leaf.shape[0], leaf.shape[-1]), leaf.dtype)


def params_like(loss: Loss, features: Sample) -> Params:
    """One node's parameters as shapes and types, leaves [*shape]; features: as `Loss.init` has them."""
    if isinstance(features, int):
        return _start.eval_shape(loss, features)
    return jax.eval_shape(lambda loss: loss.init(jax.random.key(0), features), loss)


@partial(jax.jit, static_argnames="features")  # which remembers the shapes
def _start(loss: Loss, features: int) -> Params:
    return loss.init(jax.random.key(0), features)


def _per_run(labels: Labels) -> Array:
    return labels if labels.ndim == 3 else labels[..., None]


def _cross_entropy(scores: Float[Array, "nodes samples classes runs"], labels: Labels) -> Array:
    classes = jnp.arange(scores.shape[2], dtype=labels.dtype).reshape(1, 1, -1, 1)
    hit = _per_run(labels)[:, :, None] == classes
    return jax.nn.logsumexp(scores, axis=2) - jnp.where(hit, scores, 0).sum(axis=2)
