"""What must hold of a training problem before it runs, checked once on concrete values."""

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from jaxcoopt.errors import finite, numbers, positive
from jaxcoopt.layout import check_axes
from jaxcoopt.problem import losses
from jaxcoopt.problem.align import sample_axes
from jaxcoopt.problem.problem import Training
from jaxcoopt.problem.samples import is_whole, type_of
from jaxcoopt.setting import check_values

CLEAN = "clean the data, and fill padding with 0 or mark it in mask"


def check_training(training: Training, nodes: int, runs: int) -> None:
    """Raise ValueError or TypeError, naming the argument, for data or a loss that cannot be trained on."""
    check_values(training.loss, "training.loss")
    for path, leaf in jax.tree_util.tree_leaves_with_path(training.loss):
        name = f"training.loss{jax.tree_util.keystr(path)}"
        check_axes(name, finite(name, leaf), ("runs",), {"runs": runs})
    for name in ("features", "targets"):
        if getattr(training, name) is None:
            raise TypeError(f"training.{name}: expected an array of real numbers, got None")
    shape, rows = sample_axes(training), training.loss.rows
    if shape[0] != nodes:
        raise ValueError(
            f"training.features: it has {shape[0]} nodes, the network has {nodes}; give each node its samples"
        )
    _check_shapes(training, shape)
    mask = np.ones(shape, bool) if training.mask is None else np.asarray(training.mask)
    if mask.dtype != bool:
        raise TypeError(f"training.mask: expected True and False, got {mask.dtype}; convert it with .astype(bool)")
    if not mask.any(axis=1).all():
        raise ValueError(f"training.mask: node {int(np.argmin(mask.any(axis=1)))} has no sample; every node needs one")
    for part in ("features", "targets"):
        _check_samples(f"training.{part}", getattr(training, part), mask)
    _check_loss(training)
    if rows:
        _check_labels(training.loss, numbers("training.targets", training.targets, flags=True)[mask])
    if training.weights is not None:
        weights = positive("training.weights", training.weights, zero=True)
        if weights.shape != (nodes,):
            raise ValueError(f"training.weights: expected [nodes] = ({nodes},), got shape {weights.shape}")
        if not weights.any():
            raise ValueError("training.weights: all of them are 0, so there is nothing to train on; make one positive")


def _check_shapes(training: Training, shape: tuple[int, int]) -> None:
    """Targets and mask are laid out as the features are."""
    if training.mask is not None and np.shape(training.mask) != shape:
        raise ValueError(
            f"training.mask: expected [nodes, samples] = {shape} like the features, got {np.shape(training.mask)}"
        )
    if not jax.tree.leaves(training.targets):
        raise ValueError("training.targets: expected an array [nodes, samples], got none")
    rows = training.loss.rows
    for path, leaf in jax.tree_util.tree_leaves_with_path(training.targets):
        if np.shape(leaf)[: None if rows else 2] != shape:
            expected = f"[nodes, samples{'' if rows else ', ...'}] = {shape} like the features"
            raise ValueError(f"training.targets{jax.tree_util.keystr(path)}: expected {expected}, got {np.shape(leaf)}")


def _check_samples(name: str, tree: PyTree, mask: np.ndarray) -> None:
    """Finite numbers, but where they are padding; whole ones where a loss is given them as such."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = numbers(f"{name}{jax.tree_util.keystr(path)}", leaf, flags=True)
        real = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
        finite(f"{name}{jax.tree_util.keystr(path)}", values if mask.all() else np.where(real, values, 0), CLEAN)


def _check_loss(training: Training) -> None:
    loss = training.loss
    if isinstance(loss, losses.Custom):
        for path, leaf in jax.tree_util.tree_leaves_with_path((training.features, training.targets)):
            if is_whole(leaf) and np.any((np.asarray(leaf) < -(2**31)) | (np.asarray(leaf) >= 2**31)):
                part = ("features", "targets")[path[0].idx] + jax.tree_util.keystr(path[1:])
                raise ValueError(
                    f"training.{part}: a Custom loss is given whole numbers as int32, and some are beyond; convert "
                    "them with .astype(float)"
                )
        x, y = (jax.tree.map(_one, part) for part in (training.features, training.targets))
        whole = all(is_whole(leaf) for leaf in jax.tree.leaves(training.targets))
        try:
            shape = jax.eval_shape(lambda x, y: loss.fn(loss.start(jax.random.key(0)), x, y), x, y).shape
        except (TypeError, ValueError, AttributeError) as error:
            raise TypeError(
                "training.loss: Custom needs start(key) -> params and fn(params, x, y) -> the loss of one sample, in "
                f"jax.numpy. Calling them gave: {error!s:.200}"
                + ("" if whole else " (y is a float, as the targets are; for class labels give targets.astype(int))")
            ) from error
        if shape:
            raise ValueError(f"training.loss: Custom's fn must give one number for one sample, got shape {shape}")


def _one(leaf: ArrayLike) -> jax.ShapeDtypeStruct:
    """One sample's part of an array."""
    return jax.ShapeDtypeStruct(np.shape(leaf)[2:], type_of(leaf))


def _check_labels(loss: losses.Loss, labels: np.ndarray) -> None:
    kind, found = loss.targets, np.unique(labels)
    name = type(loss).__name__
    if kind == "binary" and not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
        raise ValueError(f"training.targets: {name} needs labels 0 and 1, or -1 and +1, got {found[:5].tolist()}")
    if kind == "integer":
        classes = loss.classes  # pyright: ignore[reportAttributeAccessIssue]
        if not np.array_equal(found, found.astype(int)) or found.min() < 0 or found.max() >= classes:
            raise ValueError(
                f"training.targets: {name}(classes={classes}) needs whole numbers 0 .. {classes - 1}, "
                f"got {found.min():g} to {found.max():g}"
            )
