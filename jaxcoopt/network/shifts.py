"""Rings, circulant graphs and tori: neighbours at fixed offsets, so that shifted copies replace the gathers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxcoopt.arrays import float_dtype
from jaxcoopt.host import array_of
from jaxcoopt.network.tables import fold
from jaxcoopt.network.weights import LinkList
from jaxcoopt.pytrees import pytree

SPARE = 1.5  # offsets over the mean degree: a path is a ring with one link missing, a grid a torus with some


@pytree(static=("grid", "reach"))
@dataclass(frozen=True)
class Shifts:
    """Node i = row * columns + column hears those at the same offsets (down, right) as every other, around the edges.

    start: the offsets plus `reach`, [offsets, 2], [graphs, offsets, 2] in a network; weights: of each offset for each
    node, or for all. grid: (rows, columns), (1, nodes) for circulant graphs. reach: the largest offsets either way.
    The offsets are no constants of the program: it does not grow with the number of graphs.
    """

    start: Int[Array, "*graphs offsets 2"]
    weights: Float[Array, "*graphs offsets #nodes"]
    grid: tuple[int, int]
    reach: tuple[int, int]

    def mix(self, u: Float[Array, "nodes columns"]) -> Float[Array, "nodes columns"]:
        """sum_j w_ij (u_j - u_i)."""
        field = u.reshape(*self.grid, u.shape[1])
        around = field
        for axis, reach in enumerate(self.reach):
            if reach:
                last = lax.slice_in_dim(around, around.shape[axis] - reach, around.shape[axis], axis=axis)
                first = lax.slice_in_dim(around, 0, reach, axis=axis)
                around = jnp.concatenate([last, around, first], axis=axis)

        def add(total: Array, start: Array, weight: Array) -> Array:
            shifted = lax.dynamic_slice(around, (start[0], start[1], jnp.zeros_like(start[0])), field.shape)
            return total + weight[:, None] * (shifted.reshape(u.shape) - u)

        return fold(add, jnp.zeros_like(u), (self.start, self.weights))


def recognised(links: Sequence[LinkList]) -> Shifts | None:
    """The graphs as shifts on the grid that needs the fewest, or None where they need too many."""
    nodes, best = links[0].nodes, None
    for grid in _grids(links):
        codes = [_codes(of_graph, grid) for of_graph in links]
        offsets = [np.flatnonzero(np.bincount(code, minlength=nodes)) for code in codes]
        fits = all(len(offset) * nodes <= SPARE * len(code) for offset, code in zip(offsets, codes, strict=True))
        if fits and (best is None or max(map(len, offsets)) < max(map(len, best[2]))):
            best = grid, codes, offsets
    return None if best is None else _shifts(links, *best)


def _grids(links: Sequence[LinkList]) -> Iterator[tuple[int, int]]:
    """(1, nodes), then the shapes in which a neighbour of node 0 may be the one below it or the last of its row."""
    nodes = links[0].nodes
    near = np.unique(np.concatenate([of_graph.neighbour[of_graph.own == 0] for of_graph in links]))
    yield (1, nodes)
    for columns in np.unique(np.concatenate([near, near + 1])):
        if 1 < columns < nodes and nodes % columns == 0:
            yield (nodes // int(columns), int(columns))


def _codes(links: LinkList, grid: tuple[int, int]) -> Int[np.ndarray, " links"]:
    """The offset of every link, down * columns + right, both counted around."""
    rows, columns = grid
    down = (links.neighbour // columns - links.own // columns) % rows
    return down * columns + (links.neighbour % columns - links.own % columns) % columns


def _shifts(
    links: Sequence[LinkList], grid: tuple[int, int], codes: list[np.ndarray], offsets: list[np.ndarray]
) -> Shifts:
    slots = max(map(len, offsets))
    start, table = np.zeros((len(links), slots, 2), int), np.zeros((len(links), slots, links[0].nodes))
    for g, (of_graph, code, offset) in enumerate(zip(links, codes, offsets, strict=True)):
        apart = np.stack(np.divmod(offset, grid[1]), axis=1)
        start[g, : len(offset)] = np.where(apart > np.array(grid) // 2, apart - grid, apart)  # the shorter way round
        table[g, np.searchsorted(offset, code), of_graph.own] = of_graph.weight
    reach = np.abs(start).max(axis=(0, 1))
    alike = (table == table[..., :1]).all()
    return Shifts(
        start=array_of(start + reach, np.int32),
        weights=array_of(table[..., :1] if alike else table, float_dtype()),
        grid=grid,
        reach=(int(reach[0]), int(reach[1])),
    )
