import numpy as np
import pytest

from jaxcoopt.datasets import SPLITS, split

RNG = np.random.default_rng(7)
FEATURES = RNG.normal(size=(300, 4)).astype(np.float32)
LABELS = RNG.integers(0, 6, 300)
VALUES = RNG.gamma(2.0, size=300)


def label_distance(shards) -> float:
    """Mean over the nodes of the total variation distance between a node's labels and all labels."""
    everyone = np.bincount(LABELS, minlength=6) / len(LABELS)
    pairs = zip(shards.targets, shards.mask, strict=True)
    rows = [np.bincount(row[valid], minlength=6) / valid.sum() for row, valid in pairs]
    return float(np.abs(np.array(rows) - everyone).sum(axis=1).mean() / 2)


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("targets", [LABELS, VALUES], ids=["classes", "values"])
@pytest.mark.parametrize("nodes", [1, 2, 7, 40])
@pytest.mark.parametrize("seed", range(4))
def test_every_sample_lies_at_exactly_one_node(how, targets, nodes, seed):
    shards = split(FEATURES, targets, nodes, how=how, alpha=0.1, min_samples=3, seed=seed)
    assert shards.features.shape == (*shards.mask.shape, 4)
    assert shards.mask.shape[0] == nodes
    np.testing.assert_array_equal(np.sort(shards.assignment[shards.mask]), np.arange(300))
    np.testing.assert_array_equal(shards.features[shards.mask], FEATURES[shards.assignment[shards.mask]])
    np.testing.assert_array_equal(shards.targets[shards.mask], targets[shards.assignment[shards.mask]])
    np.testing.assert_array_equal(shards.counts, shards.mask.sum(axis=1))
    assert shards.counts.min() >= 3


@pytest.mark.parametrize("how", SPLITS)
def test_padding_is_at_the_end_and_empty(how):
    shards = split(FEATURES, LABELS, 7, how=how, alpha=0.2)
    assert shards.mask.shape[1] == shards.counts.max()
    assert not (np.diff(shards.mask.astype(int), axis=1) > 0).any()
    assert (shards.assignment[~shards.mask] == -1).all()
    assert not shards.features[~shards.mask].any()
    assert not shards.targets[~shards.mask].any()
    assert (shards.features.dtype, shards.targets.dtype) == (np.float32, LABELS.dtype)


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("seed", range(3))
def test_weights_turn_local_means_into_the_pooled_mean(how, seed):
    shards = split(FEATURES, VALUES, 9, how=how, alpha=0.3, seed=seed)
    local = shards.targets.sum(axis=1) / shards.counts
    assert shards.weights.mean() == pytest.approx(1.0)
    assert (shards.weights * local).mean() == pytest.approx(VALUES.mean())


@pytest.mark.parametrize("how", SPLITS)
def test_the_seed_decides(how):
    first, again, other = (split(FEATURES, LABELS, 5, how=how, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.assignment, again.assignment)
    assert first.assignment.shape != other.assignment.shape or not np.array_equal(first.assignment, other.assignment)


def test_iid_sizes_differ_by_one_at_most():
    counts = split(FEATURES, LABELS, 7).counts
    assert counts.max() - counts.min() <= 1


def test_alpha_sets_the_label_skew():
    skewed, mild = (split(FEATURES, LABELS, 6, "dirichlet", alpha=alpha) for alpha in (0.05, 100.0))
    assert label_distance(mild) < 0.15 < 0.4 < label_distance(skewed)


def test_alpha_sets_the_size_skew_and_leaves_the_labels_alone():
    skewed, mild = (split(FEATURES, LABELS, 6, "size_skew", alpha=alpha) for alpha in (0.2, 1e6))
    assert mild.counts.max() - mild.counts.min() <= 2
    assert skewed.counts.max() > 2 * skewed.counts.mean()
    biggest = np.bincount(skewed.targets[skewed.counts.argmax()][: skewed.counts.max()], minlength=6)
    assert np.abs(biggest / biggest.sum() - np.bincount(LABELS) / 300).max() < 0.1


@pytest.mark.parametrize("alpha", [1e-300, 1e-6, 1e300])
@pytest.mark.parametrize("how", ["dirichlet", "size_skew"])
def test_extreme_alpha_is_survived(how, alpha):
    shards = split(FEATURES, LABELS, 8, how, alpha=alpha, min_samples=10)
    assert shards.counts.sum() == 300
    assert shards.counts.min() >= 10


def test_shards_hold_few_classes():
    targets = np.repeat(np.arange(10), 40)
    shards = split(np.zeros((400, 1)), targets, 10, "shards", shards_per_node=2)
    np.testing.assert_array_equal(shards.counts, np.full(10, 40))
    assert max(len(np.unique(row)) for row in shards.targets) <= 2
    alone = split(np.zeros((400, 1)), targets, 10, "shards", shards_per_node=1)
    assert all(len(np.unique(row)) == 1 for row in alone.targets)


def test_float_targets_are_binned():
    values = np.linspace(0.0, 1.0, 200)
    shards = split(np.zeros((200, 1)), values, 4, "shards", shards_per_node=1, bins=4)
    np.testing.assert_allclose(np.sort(np.ptp(shards.targets, axis=1)), 49 / 199)
    tied = split(np.zeros((200, 1)), np.ones(200), 4, "dirichlet", bins=10)
    assert tied.counts.sum() == 200


def test_boolean_targets_count_as_classes():
    shards = split(FEATURES, LABELS > 2, 3, "dirichlet")
    np.testing.assert_array_equal(np.unique(shards.targets[shards.mask]), [0, 1])


def test_as_many_nodes_as_samples_gives_one_each():
    for how in SPLITS:
        shards = split(FEATURES[:6], LABELS[:6], 6, how, shards_per_node=1)
        np.testing.assert_array_equal(shards.counts, np.ones(6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": 301}, "301 nodes need at least 301 samples"),
        ({"nodes": 31, "min_samples": 10}, "31 nodes need at least 310 samples"),
        ({"nodes": 200, "how": "shards"}, "200 nodes need at least 400 samples for how='shards'"),
        ({"nodes": 0}, "nodes: expected 1 or more"),
        ({"alpha": 0.0}, "alpha: must be above 0"),
        ({"alpha": -1.0}, "alpha: must be above 0"),
        ({"alpha": float("nan")}, "alpha"),
        ({"min_samples": 0}, "min_samples: expected 1 or more"),
        ({"how": "dirichelt"}, "did you mean 'dirichlet'"),
        ({"features": np.where(FEATURES > 2.0, np.nan, FEATURES)}, "features: .* entries are not finite"),
        ({"targets": np.where(VALUES > 4.0, np.inf, VALUES)}, "targets: .* entries are not finite"),
        ({"features": FEATURES[:, 0]}, "features: expected shape"),
        ({"targets": LABELS[:, None]}, "targets: expected shape"),
        ({"targets": LABELS[:-1]}, "targets: expected one for each of the 300 rows of features, got 299"),
        ({"features": np.zeros((0, 2)), "targets": np.zeros(0)}, "at least one sample"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        split(**({"features": FEATURES, "targets": LABELS, "nodes": 3} | changes))


@pytest.mark.parametrize("changes", [{"targets": np.array(["a"] * 300)}, {"nodes": 2.5}, {"nodes": True}])
def test_bad_types_are_refused(changes):
    with pytest.raises(TypeError):
        split(**({"features": FEATURES, "targets": LABELS, "nodes": 3} | changes))


@pytest.mark.parametrize("form", [float, np.float32, ">f8", "f2", np.longdouble])
@pytest.mark.parametrize(("classes", "each"), [(2, 30), (25, 40), (100, 3), (10, 2)])
def test_labels_given_as_floats_are_classes(form, classes, each):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(classes), each))
    rows = np.zeros((len(labels), 1))
    for how in SPLITS:
        whole, floats = (split(rows, given, 5, how, seed=3) for given in (labels, labels.astype(form)))
        np.testing.assert_array_equal(floats.assignment, whole.assignment)
        np.testing.assert_array_equal(floats.targets, whole.targets)


def test_labels_of_two_signs_are_classes():
    signs = np.where(LABELS > 2, 1.0, -1.0)
    shards = split(FEATURES, signs, 6, "shards", shards_per_node=1)
    assert sum(len(np.unique(row[valid])) == 1 for row, valid in zip(shards.targets, shards.mask, strict=True)) >= 5


def test_many_whole_numbers_are_values_unless_said(untyped):
    prices = np.random.default_rng(2).permutation(np.arange(200) * 7.0)
    binned, classes = (split(np.zeros((200, 1)), prices, 4, "shards", bins=4, seed=1, classes=c) for c in (None, True))
    same = split(np.zeros((200, 1)), prices + 0.5, 4, "shards", bins=4, seed=1)
    np.testing.assert_array_equal(binned.assignment, same.assignment)
    assert not np.array_equal(binned.assignment, classes.assignment)
    with pytest.warns(RuntimeWarning, match="200 different whole numbers in 200 samples are taken as values"):
        whole = split(np.zeros((200, 1)), prices.astype(int), 4, "shards", bins=4, seed=1)
    np.testing.assert_array_equal(whole.assignment, binned.assignment)
    few = split(FEATURES, LABELS.astype(float), 4, "dirichlet", seed=1, classes=False, bins=2)
    assert not np.array_equal(few.assignment, split(FEATURES, LABELS, 4, "dirichlet", seed=1).assignment)
    with pytest.raises(TypeError, match="classes: expected True or False"):
        split(FEATURES, LABELS, 4, classes="yes")
