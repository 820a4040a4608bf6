"""Records as few arrays: all numbers of one shape and type together."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxcoopt.pytrees import pytree


@pytree(static=("structure", "places"))
@dataclass(frozen=True)
class Stacked:
    """A record whose arrays of a shape and type are one, [numbers, *shape], or several records of it,
    [records, numbers, *shape].

    The loop writes a record in one step for each of these arrays, and the host is handed so many. structure: of the
    record; places: where the numbers of each array stand among its leaves.
    """

    arrays: tuple[Any, ...]  # of JAX, of NumPy, or shapes
    structure: Any  # a PyTreeDef
    places: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, record: PyTree) -> "Stacked":
        """One record."""
        leaves, structure = jax.tree.flatten(record)
        alike: dict[tuple[tuple[int, ...], object], list[int]] = {}
        for place, leaf in enumerate(leaves):
            alike.setdefault((leaf.shape, leaf.dtype), []).append(place)
        places = tuple(tuple(each) for each in alike.values())
        return cls(tuple(jnp.stack([leaves[place] for place in each]) for each in places), structure, places)

    def room(self, records: int) -> "Stacked":
        """So many records of this shape, all 0."""
        return replace(self, arrays=tuple(jnp.zeros((records, *each.shape), each.dtype) for each in self.arrays))

    def with_record(self, number: Array, record: "Stacked") -> "Stacked":
        """Several records, of which this one is given."""
        put = jax.lax.dynamic_update_index_in_dim
        written = (put(rows, row, number, 0) for rows, row in zip(self.arrays, record.arrays, strict=True))
        return replace(self, arrays=tuple(written))

    def apart(self) -> PyTree:
        """Several records as the record's own tree, with leaves [records, *shape]."""
        leaves = {
            place: each[:, number]
            for each, places in zip(self.arrays, self.places, strict=True)
            for number, place in enumerate(places)
        }
        return self.structure.unflatten([leaves[place] for place in range(len(leaves))])
