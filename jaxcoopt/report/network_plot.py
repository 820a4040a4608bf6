"""A picture of the network: nodes where they stand on the map, as large as their CPU share."""

import math
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Float

from jaxcoopt.errors import require
from jaxcoopt.escaping import picture
from jaxcoopt.network.graphs import node_order
from jaxcoopt.report.nodes import Nodes
from jaxcoopt.report.style import FAINT, INK, TITLE, new_figure, robust_limits, styled

LABELS = 12  # so many of the largest nodes are named
LARGEST = 330.0  # area of the largest node, in square points
LONGEST = 28  # characters of a name
DIRECTIONS = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]


@styled
def network_figure(nodes: Nodes, title: str) -> Any:
    """Area: CPU share. Colour: share relative to demand (or to the mean share). Ring: the share is at a bound.

    Without allocation, area and colour show the samples of each node.
    """
    where, geographic = positions(nodes.graph)
    width, height = _frame(where)
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    axes.set_title(picture(title, TITLE), fontsize=12)
    axes.set_axis_off()
    axes.set_aspect(1 / math.cos(math.radians(where[:, 1].mean())) if geographic else "equal")
    axes.margins(0.06)
    edges = _edges(nodes.graph, where)
    axes.add_collection(
        require("matplotlib.collections", extra="report").LineCollection(edges, colors=FAINT, linewidths=1.1, zorder=1)
    )
    size, shade, label, limits = _looks(nodes)
    ring = nodes.at_bound()
    drawn = axes.scatter(
        *where.T,
        s=_areas(size),
        c=shade,
        cmap="PuOr" if limits else "viridis",
        vmin=limits[0] if limits else None,
        vmax=limits[1] if limits else None,
        edgecolors=np.where(ring, INK, "white"),
        linewidths=np.where(ring, 1.8, 0.8),
        zorder=3,
    )
    beyond = "neither" if limits is None or shade.max() <= limits[1] else "max"
    bar = figure.colorbar(drawn, ax=axes, shrink=0.55, pad=0.02, aspect=24, extend=beyond)
    bar.set_label(label)
    bar.outline.set_visible(False)
    _size_legend(figure, axes, size, "samples" if nodes.share is None else "CPU units", bool(ring.any()))
    figure.canvas.draw()
    _name_largest(axes, nodes.names, where, size, edges)
    return figure


def positions(graph: nx.Graph) -> tuple[Float[np.ndarray, "nodes 2"], bool]:
    """(points, whether they are longitude and latitude): as the graph has them, else a layout of its links."""
    order = node_order([graph])
    given = nx.get_node_attributes(graph, "pos")
    if len(given) == len(graph):
        points = np.array([given[node] for node in order], np.float64)
        return points, bool(np.all(np.abs(points) <= (180, 85)) and np.ptp(points, axis=0).min() > 0.1)
    layout = nx.kamada_kawai_layout(graph) if len(graph) <= 200 else nx.spring_layout(graph, seed=0)
    return np.array([layout[node] for node in order], np.float64), False


def _frame(where: np.ndarray) -> tuple[float, float]:
    """Inches that suit the points' shape: about 7 high, 6.5 to 11 wide."""
    span = np.maximum(np.ptp(where, axis=0), 1e-9)
    return float(np.clip(6.0 * span[0] / span[1] * 0.7 + 2.2, 7.5, 11)), 7.2


def _looks(nodes: Nodes) -> tuple[np.ndarray, np.ndarray, str, tuple[float, float] | None]:
    """(size, colour, the colour's label, its limits around 1 or None for a plain scale)."""
    if nodes.share is None:
        samples = np.ones(len(nodes.names)) if nodes.samples is None else np.asarray(nodes.samples, np.float64)
        return samples, samples, "samples at the node", None
    share = np.where(np.isfinite(nodes.share), nodes.share, 0.0)
    base, label = (share.mean(), "mean share") if nodes.demand is None else (nodes.demand, "demand")
    shade = share / np.where(base == 0, 1, base)
    reach = max(*np.abs(np.subtract(robust_limits(shade), 1)), 0.01)
    return share, shade, f"CPU share relative to the {label}", (1 - reach, 1 + reach)


def _areas(size: np.ndarray) -> np.ndarray:
    """Square points: proportional to the size, but none so small that it can't be seen."""
    return LARGEST * np.maximum(size / max(float(size.max()), 1e-12), 0.08)


def _edges(graph: nx.Graph, where: np.ndarray) -> Float[np.ndarray, "edges 2 2"]:
    """The ends of all links."""
    index = {node: i for i, node in enumerate(node_order([graph]))}
    return np.array([where[[index[a], index[b]]] for a, b in graph.edges() if a != b]).reshape(-1, 2, 2)


def _size_legend(figure: Any, axes: Any, size: np.ndarray, unit: str, ringed: bool) -> None:
    """Below the map: three sizes with their numbers, and what a ring means."""
    areas = _areas(size)
    picked = [int(np.argmin(size)), int(np.argsort(size)[len(size) // 2]), int(np.argmax(size))]
    for node in dict.fromkeys(picked):
        axes.scatter([], [], s=areas[node], color="#8A9199", edgecolors="white", label=f"{size[node]:.3g} {unit}")
    if ringed:
        axes.scatter([], [], s=110, facecolors="white", edgecolors=INK, linewidths=1.8, label="at a bound")
    figure.legend(loc="outside lower center", ncols=4, handletextpad=0.5, columnspacing=2)


def _name_largest(axes: Any, names: list[str], where: np.ndarray, size: np.ndarray, edges: np.ndarray) -> None:
    """Names beside the largest nodes, where they cover no node, no other name and as little of a link as can be.

    A name for which there is no room is left out. edges: [edges, 2, 2], the links' ends.
    """
    scale = 72 / axes.figure.dpi
    points, radius = axes.transData.transform(where), np.sqrt(_areas(size) / math.pi) / scale
    taken = [np.concatenate([point - reach, point + reach]) for point, reach in zip(points, radius, strict=True)]
    along = np.linspace(0, 1, 60)[:, None, None]
    ends = axes.transData.transform(edges.reshape(-1, 2)).reshape(-1, 2, 2)
    dots = (ends[:, 0] + along * (ends[:, 1] - ends[:, 0])).reshape(-1, 2)
    for node in np.argsort(-size, kind="stable")[:LABELS]:
        texts = [_name(axes, names[node], where[node], way, radius[node] * scale) for way in DIRECTIONS]
        boxes = [text.get_window_extent().extents for text in texts]
        free = [i for i, box in enumerate(boxes) if not any(_overlap(box, other) for other in taken)]
        best = min(free, key=lambda i: _dots_inside(boxes[i], dots), default=None)
        for i, text in enumerate(texts):
            if i != best:
                text.remove()
        if best is not None:
            taken.append(boxes[best])


def _name(axes: Any, name: str, point: np.ndarray, way: tuple[int, int], radius: float) -> Any:
    """A name beside a node of a radius, in points; way: (right, up), each -1, 0 or 1."""
    right, up = way
    reach = radius * (0.75 if right and up else 1.0) + 3
    return axes.annotate(
        picture(name, LONGEST),
        point,
        xytext=(right * reach, up * reach),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[right],
        va={1: "bottom", 0: "center", -1: "top"}[up],
        fontsize=9,
        color=INK,
        zorder=4,
        path_effects=[require("matplotlib.patheffects", extra="report").withStroke(linewidth=2.5, foreground="white")],
    )


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def _dots_inside(box: np.ndarray, dots: np.ndarray) -> int:
    return int(np.sum(np.all((dots > box[:2]) & (dots < box[2:]), axis=1)))
