"""Whether there is room for what a file asks for, known from its numbers before anything is made."""

from itertools import accumulate
from typing import Any

from jaxcoopt.containers import free_memory
from jaxcoopt.datasets.size import bytes_of, check_size
from jaxcoopt.datasets.topologies import SIZED
from jaxcoopt.errors import check_fits
from jaxcoopt.experiments.amounts import under
from jaxcoopt.experiments.data_tables import Topology
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.tune_tables import TuneExperiment

STATISTICS = 9  # of a record
DIGITS = {"float32": 15, "float64": 26}  # characters of a number in a CSV file, or less
SIZES = {"float32": 4, "float64": 8}
LINE = 200  # bytes of a node's line in nodes.csv


def check_graphs(settings: Experiment) -> None:
    """Raise MemoryError naming the graph that is too large, or for more of them than fit together: none is made yet."""
    sizes = []
    for i, graph in enumerate(settings.network.graphs):
        if isinstance(graph, Topology) and graph.name in SIZED and (graph.nodes or 0) > 0:
            given = graph.name, graph.nodes or 0, graph.degree, graph.probability
            with under(f"network.graphs.{i}"):
                check_size(*given)
            sizes.append(bytes_of(*given))
    free, most = free_memory(), 0
    for so_far in accumulate(sizes):
        most += so_far <= free
    check_fits("network.graphs", len(sizes), most, sum(sizes), free)


def check_runs(settings: Experiment, name: str = "runs", runs: int | None = None) -> None:
    """Raise MemoryError for more runs, neurons or records than fit: of the least that they take, nothing is compiled.

    name, runs: what it is that asks for them, and how many there are.
    """
    free, size = free_memory(), SIZES[settings.precision]
    runs = settings.runs if runs is None else runs
    nodes = max(getattr(graph, "nodes", None) or 1 for graph in settings.network.graphs)
    check_neurons(settings, 1, nodes)
    batch = getattr(settings.method.training, "batch_size", None)
    if batch is not None:
        each = nodes * size * runs
        check_fits("method.training.batch_size: samples", batch, int(free // each), batch * each, free)
    each = nodes * size * sum(half is not None for half in (settings.allocation, settings.training))
    check_fits(name, runs, int(free // max(1, each)), runs * each, free)
    each = STATISTICS * size * runs
    count = records(settings)
    check_fits("record_every: records", count, int(free // each), count * each, free)


def check_neurons(settings: Experiment, inputs: int, nodes: int) -> None:
    """Raise MemoryError for more neurons than fit, the first layer of them having so many inputs, or more."""
    free, before = free_memory(), max(1, inputs)
    for i, width in enumerate(getattr(settings.training and settings.training.loss, "hidden", ())):
        each = nodes * SIZES[settings.precision] * (before + 1)
        check_fits(f"training.loss.hidden.{i}", width, int(free // each), width * each, free)
        before = max(1, width)


def check_features(name: str, count: int, rows: int, size: int) -> None:
    """Raise MemoryError for more features of so many samples than fit; size: bytes of a number."""
    free = free_memory()
    check_fits(name, count, int(free // (rows * size)), count * rows * size, free)


def records(settings: Experiment) -> int:
    """Of a run."""
    every = max(1, settings.steps // 100 if settings.record_every is None else settings.record_every)
    return 1 + -(-settings.steps // every)


def file_sizes(settings: Experiment) -> dict[str, int]:
    """The bytes that each file of numbers of a run may take."""
    graphs: list[Any] = settings.network.graphs
    nodes = max(getattr(graph, "nodes", None) or 1000 for graph in graphs)
    line = (STATISTICS + 2) * DIGITS[settings.precision]
    return {"trace.csv": records(settings) * settings.runs * line, "nodes.csv": nodes * LINE}


def tuning_sizes(settings: TuneExperiment) -> dict[str, int]:
    """The bytes that each file of numbers of a tuning may take, link weights and phases not counted."""
    lines = (settings.tune.iterations + 1) * settings.tune.starts
    return {"history.csv": lines * (len(settings.tune.parameters) + 4) * DIGITS["float64"]}
