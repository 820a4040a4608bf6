"""What is known of each node at the end of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from jax.typing import ArrayLike

from jaxcoopt.escaping import csv_text
from jaxcoopt.network.graphs import listed, node_labels, node_order
from jaxcoopt.problem.problem import Problem
from jaxcoopt.report.table import csv_lines
from jaxcoopt.run.result import Result
from jaxcoopt.shown import briefly

Column = Any  # [nodes], or None where the problem has no such thing


@briefly
@dataclass(frozen=True)
class Nodes:
    """The graph, and columns [nodes]: names, CPU share at the end (median over the runs), the optimum's share, demand,
    lower and upper bound, samples.
    """

    graph: nx.Graph
    names: list[str]
    share: Column = None
    optimum: Column = None
    demand: Column = None
    lower: Column = None
    upper: Column = None
    samples: Column = None

    def at_bound(self, tolerance: float = 0.03) -> np.ndarray:
        """[nodes], True where the share is within `tolerance` of the box's width of a bound, or outside."""
        close = np.zeros(len(self.names), bool)
        if self.share is None:
            return close
        width = np.abs(self.share)
        if self.lower is not None and self.upper is not None:
            width = self.upper - self.lower
        slack = tolerance * width
        if self.lower is not None:
            close |= self.share <= self.lower + slack
        if self.upper is not None:
            close |= self.share >= self.upper - slack
        return close

    def to_csv(self) -> str:
        """One line a node; columns that the problem does not have are left out."""
        columns = {"node": np.arange(len(self.names)), "name": [csv_text(name) for name in self.names]}
        for name in ("share", "optimum", "demand", "lower", "upper", "samples"):
            if getattr(self, name) is not None:
                columns[name] = getattr(self, name)
        return csv_lines(columns, na_rep="nan")


def node_table(graph: nx.Graph, problem: Problem, result: Result, demand: Column, samples: Column) -> Nodes:
    """The columns from a problem and its result; demand and samples are [nodes] or None.

    graph: of all links; several are joined by `together`, which matches their nodes as the network does.
    """
    names = [str(label) for label in node_labels([graph], node_order([graph]))]
    allocation = problem.allocation
    return Nodes(
        graph=graph,
        names=names,
        share=None if result.allocation is None else _median(np.asarray(result.allocation, np.float64)),
        optimum=_column(result.optimum.allocation, len(names)),
        demand=demand,
        lower=None if allocation is None else _column(allocation.lower, len(names)),
        upper=None if allocation is None else _column(allocation.upper, len(names)),
        samples=samples,
    )


def together(graphs: Sequence[nx.Graph]) -> nx.Graph:
    """One graph with the links of all."""
    return nx.compose_all(listed(list(graphs)))


def _median(values: np.ndarray) -> np.ndarray:
    """[nodes], over the runs in which all nodes are finite: one that diverged does not blank the others."""
    finite = np.isfinite(values).all(axis=0)
    return np.median(values[:, finite], axis=1) if finite.any() else np.full(len(values), np.nan)


def _column(value: ArrayLike | None, nodes: int) -> Column:
    """A constant as [nodes]: where it differs between runs, that of the first."""
    if value is None:
        return None
    value = np.asarray(value, np.float64)
    return np.broadcast_to(value[:, 0] if value.ndim == 2 else value, (nodes,))
