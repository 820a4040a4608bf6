"""A sweep cut into chunks: rectangular tiles of its dimensions, all with as many runs."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Tiles:
    """shape: of the sweep, its axes and then the seeds; tile: of a chunk. At the far sides a tile may hang over."""

    shape: tuple[int, ...]
    tile: tuple[int, ...]

    @property
    def runs(self) -> int:
        """Of a chunk."""
        return math.prod(self.tile)

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each dimension."""
        return tuple(-(-size // part) for size, part in zip(self.shape, self.tile, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """The chunks' places among each other, in order."""
        return itertools.product(*map(range, self.counts))

    def region(self, chunk: Sequence[int]) -> tuple[slice, ...]:
        """What a chunk covers."""
        cuts = zip(chunk, self.tile, self.shape, strict=True)
        return tuple(slice(at * part, min((at + 1) * part, size)) for at, part, size in cuts)

    def size(self, chunk: Sequence[int]) -> int:
        """How many runs of the sweep a chunk covers."""
        return math.prod(part.stop - part.start for part in self.region(chunk))

    def indices(self, chunk: Sequence[int]) -> Int[np.ndarray, "dims runs"]:
        """The index of each run; where the tile hangs over, the last one is there again, so that chunks look alike."""
        cuts = zip(chunk, self.tile, self.shape, strict=True)
        lines = [np.minimum(at * part + np.arange(part), size - 1) for at, part, size in cuts]
        return np.stack([line.ravel() for line in np.meshgrid(*lines, indexing="ij")])

    def inside(self, chunk: Sequence[int]) -> Bool[np.ndarray, " runs"]:
        """Which runs are the sweep's and not there again."""
        cuts = zip(chunk, self.tile, self.shape, strict=True)
        lines = [at * part + np.arange(part) < size for at, part, size in cuts]
        return np.logical_and.reduce([line.ravel() for line in np.meshgrid(*lines, indexing="ij")])


def cut(shape: Sequence[int], rides: Sequence[bool], most: int) -> Tiles:
    """At most so many runs to a chunk: whole lines of the last dimensions first; one index of what does not ride."""
    tile, room = [1] * len(shape), most
    for dim in reversed(range(len(shape))):
        if rides[dim] and room > 1:
            pieces = -(-shape[dim] // room)
            tile[dim] = -(-shape[dim] // pieces)
            room = room // tile[dim] if pieces == 1 else 1
    return Tiles(tuple(shape), tuple(tile))
