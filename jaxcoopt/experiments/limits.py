"""Whether there is room for what a file asks for, known from its numbers before anything is made."""

from itertools import accumulate
from typing import Any

from jaxcoopt.containers import free_memory
from jaxcoopt.datasets.size import bytes_of, check_size
from jaxcoopt.datasets.topologies import SIZED
from jaxcoopt.errors import check_fits
from jaxcoopt.experiments.amounts import under
from jaxcoopt.experiments.compare_tables import FAMILIES, Comparison
from jaxcoopt.experiments.data_tables import Topology
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.experiments.tune_tables import TuneExperiment

STATISTICS = 9  # of a record
DIGITS = {"float32": 15, "float64": 26}  # characters of a number in a CSV file, or less
SIZES = {"float32": 4, "float64": 8}
LINE = 200  # bytes of a node's line in nodes.csv
LINK = 16  # bytes of a link in a graph, or more


def check_count(name: str, count: int, each: int) -> None:
    """Raise MemoryError for more of something, of `each` bytes or more, than fit."""
    free = free_memory()
    check_fits(name, count, int(free // max(1, each)), count * each, free)


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
    size, runs = SIZES[settings.precision], settings.runs if runs is None else runs
    nodes = max(getattr(graph, "nodes", None) or 1 for graph in settings.network.graphs)
    check_neurons(settings, 1, nodes)
    batch = getattr(settings.method.training, "batch_size", None)
    if batch is not None:
        check_count("method.training.batch_size: samples", batch, nodes * size * runs)
    check_count(name, runs, nodes * size * sum(half is not None for half in (settings.allocation, settings.training)))
    check_count("record_every: records", records(settings), STATISTICS * size * runs)


def check_neurons(settings: Experiment, inputs: int, nodes: int) -> None:
    """Raise MemoryError for more neurons than fit, the first layer of them having so many inputs, or more."""
    before = max(1, inputs)
    for i, width in enumerate(getattr(settings.training and settings.training.loss, "hidden", ())):
        check_count(f"training.loss.hidden.{i}", width, nodes * SIZES[settings.precision] * (before + 1))
        before = max(1, width)


def check_comparison(settings: Comparison) -> None:
    """Raise MemoryError naming the key that asks for more than fits, with how much would."""
    nodes = 1
    for i, table in enumerate(settings.networks):
        with under(f"networks.{i}"):
            for size in table.nodes if table.kind == "topology" else []:
                check_size(table.name, size, table.degree, table.probability)
        most = max(table.nodes, default=1)
        check_count(f"networks.{i}.graphs", table.graphs, LINK * most)
        nodes = max(nodes, most)
    for i, family in enumerate(settings.problems):
        samples, features = (family.samples, family.features) if FAMILIES[family.kind] == "training" else (1, 1)
        check_count(f"problems.{i}.samples", samples, 8 * nodes)
        check_count(f"problems.{i}.features", features, 8 * nodes * samples)
        for name in ("instances", "tuning_instances", "width"):
            check_count(name, getattr(settings, name), 8 * nodes * samples * features)
    count = int(settings.last * settings.longest) // settings.record_every
    check_count("record_every: records", count, settings.width * STATISTICS * SIZES[settings.precision])


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
