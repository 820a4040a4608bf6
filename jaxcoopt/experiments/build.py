"""From settings to the objects that `jaxcoopt.solve` takes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Float
from scipy import sparse

from jaxcoopt import datasets
from jaxcoopt.experiments import data_tables, problem_tables
from jaxcoopt.experiments.amounts import Amounts, under
from jaxcoopt.experiments.build_method import build_method, made
from jaxcoopt.experiments.data import Samples, load_samples
from jaxcoopt.experiments.limits import check_graphs, check_neurons, check_runs
from jaxcoopt.experiments.own_kinds import made_of, own_metrics
from jaxcoopt.experiments.settings import Experiment
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem import costs, losses
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.record import Record
from jaxcoopt.run.stops import Stop
from jaxcoopt.setting import settings_of
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Built:
    """What is solved, and what reports need besides: the graphs, the demand [nodes] and the samples."""

    settings: Experiment
    problem: Problem
    network: Network
    method: CoOptimizer
    initial: Initial | None
    record: Record
    clock: Clock
    stop: Stop | None
    graphs: list[nx.Graph]
    demand: Float[np.ndarray, " nodes"] | None
    samples: Samples | None


def build(settings: Experiment) -> Built:
    """Load the data and the graphs and put everything together.

    Raises ValueError naming the key, MemoryError naming the one that asks for too much, ImportError naming the extra
    that holds the data.
    """
    check_graphs(settings)
    check_runs(settings)
    graphs = [_graph(f"network.graphs.{i}", graph) for i, graph in enumerate(settings.network.graphs)]
    with under("network"):
        network = _network(settings.network, graphs)
    demand = None if settings.demand is None else _demand(settings.demand, network.nodes)
    samples = None
    if settings.data is not None:
        samples = _samples(settings.data, network.nodes, settings.seed)  # pyright: ignore[reportArgumentType]
        check_neurons(settings, samples.test_features.shape[1], network.nodes)
    counts = None if samples is None else samples.shards.counts
    amounts = Amounts(network.nodes, demand, counts, settings.seed)
    problem = Problem(
        allocation=None if settings.allocation is None else _allocation(settings, settings.allocation, amounts),
        training=None if settings.training is None else _training(settings.training, samples),
        work=amounts.value("work", settings.work),
    )
    return Built(
        settings=settings,
        problem=problem,
        network=network,
        method=build_method(settings.method, settings.channel, settings.allocation_channel),
        initial=_initial(settings, demand),
        record=Record(settings.record_every, own_metrics(settings.metrics)),
        clock=made(settings.clock),
        stop=made(settings.stop),
        graphs=graphs,
        demand=demand,
        samples=samples,
    )


@lru_cache(maxsize=4)
def _samples(data: data_tables.Data, nodes: int, seed: int) -> Samples:
    """Kept, as the points of a sweep mostly share them."""
    return load_samples(data, nodes, seed)


def _graph(path: str, table: data_tables.Backbone | data_tables.Topology) -> nx.Graph:
    with under(path):
        if isinstance(table, data_tables.Backbone):
            return datasets.backbone(table.name)
        return datasets.topology(table.name, table.nodes, table.degree, table.probability, table.seed)


def _network(table: data_tables.NetworkTable, graphs: list[nx.Graph]) -> Network:
    """With weights by a rule, or those that are listed."""
    rate, switching, failures = table.failure_rate, table.switching, made(table.failures)
    if isinstance(table.weights, str):
        return Network.from_graphs(graphs, table.weights, rate, switching, failures=failures)
    network = Network.from_graphs(graphs)
    given, expected = [len(row) for row in table.weights], [network.edges.count] * network.graphs
    if given != expected:
        raise ValueError(
            f"weights: got lists of {given} numbers for {network.graphs} graph(s) with {network.edges.count} links in "
            "all; give one list for each graph with a number for each link, 0 where the graph lacks it"
        )
    ends, shape = (np.asarray(network.edges.tail), np.asarray(network.edges.head)), (network.nodes, network.nodes)
    one_way = [sparse.coo_array((np.asarray(row), ends), shape) for row in table.weights]
    return Network.from_graphs(graphs, [half + half.T for half in one_way], rate, switching, failures=failures)


def _demand(table: data_tables.Trace, nodes: int) -> Float[np.ndarray, " nodes"]:
    with under("demand"):
        return table.capacity * datasets.demand(table.name, nodes, table.start, table.seed)


def _allocation(settings: Experiment, table: problem_tables.AllocationTable, amounts: Amounts) -> Allocation:
    terms = [_cost(f"allocation.cost.{i}", term, settings, amounts) for i, term in enumerate(table.cost)]
    return Allocation(
        cost=sum(terms[1:], start=terms[0]),
        budget=float(np.sum(amounts.value("allocation.budget", table.budget))),
        lower=None if table.lower is None else amounts.value("allocation.lower", table.lower),
        upper=None if table.upper is None else amounts.value("allocation.upper", table.upper),
    )


def _cost(path: str, table: Any, settings: Experiment, amounts: Amounts) -> costs.Cost:
    def amount(name: str) -> Any:
        return amounts.value(f"{path}.{name}", getattr(table, name))

    if isinstance(table, problem_tables.LatencyCost):
        work = amounts.value("work", settings.work) if table.work is None else amount("work")
        return costs.Latency(table.price * work)
    return made_of(problem_tables.COSTS, table.kind)(
        **{name: amount(name) for name in type(table).model_fields if name != "kind"}
    )


def _training(table: problem_tables.TrainingTable, samples: Samples | None) -> Training:
    assert samples is not None
    shards = samples.shards
    return Training(
        loss=_loss(table.loss, samples),
        features=shards.features,
        targets=shards.targets,
        mask=shards.mask,
        weights=shards.weights if table.weights == "samples" else None,
    )


def _loss(table: Any, samples: Samples) -> losses.Loss:
    make: Any
    make = made_of(problem_tables.LOSSES, table.kind)
    given = {name: getattr(table, name) for name in type(table).model_fields if name != "kind"}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    if make is losses.Softmax and not samples.classes:
        raise ValueError(f"training.loss.kind: {samples.name} has no classes; use 'linear' for regression")
    if "classes" in settings_of(make):
        given["classes"] = samples.classes or None
    return make(**given)


def _initial(settings: Experiment, demand: np.ndarray | None) -> Initial | None:
    if settings.allocation is None or settings.allocation.start == "feasible":
        return None
    if demand is None:
        raise ValueError("allocation.start: there is no [demand] table to start from; add one, or use 'feasible'")
    return Initial(allocation=demand)
