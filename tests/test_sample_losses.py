"""What the reference knows of losses in NumPy is what JAX differentiates."""

import jax
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.problem.sample_losses import bend, sample_losses

FAR = np.array([-800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0])


def by_jax(loss, scores, labels):
    """(loss, slope, second derivatives) of one sample whose features are the scores."""
    unit = jax.numpy.eye(len(scores))[None, ..., None]
    weights = unit if isinstance(loss, jc.losses.Softmax) else unit[:, :, 0]

    def one(at):
        return loss.samples({"weights": weights}, at[None, None], labels[None, None])[0, 0, 0]

    return one(scores), jax.grad(one)(scores), jax.hessian(one)(scores)


@pytest.mark.fast
@pytest.mark.parametrize(
    "loss",
    [jc.losses.Linear(), jc.losses.Logistic(), jc.losses.SmoothHinge(sharpness=7.0), jc.losses.Softmax(3)],
    ids=lambda loss: type(loss).__name__,
)
def test_derivatives_are_those_of_the_loss(loss, rng):
    outputs = loss.outputs
    scores = np.concatenate(
        [3 * rng.normal(size=(40, outputs)), np.stack([np.roll(FAR, i) for i in range(outputs)], 1)]
    )
    count = len(scores)
    labels = {"real": rng.normal(size=count), "binary": rng.choice([-1.0, 1.0], count)}.get(loss.targets)
    labels = rng.integers(0, outputs, count) if labels is None else labels
    found = sample_losses(loss, scores, labels)
    value, slope, second = jax.jit(jax.vmap(lambda s, y: by_jax(loss, s, y)))(scores, labels)
    np.testing.assert_allclose(found.value, value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found.slope, slope, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(bend(loss, found), second, rtol=1e-12, atol=1e-13)  # where p is 1, theirs cancel
