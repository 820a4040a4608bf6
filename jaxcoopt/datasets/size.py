"""How large a graph is, known before it is made."""

import math
from collections.abc import Callable

from jaxcoopt.containers import free_memory
from jaxcoopt.errors import check_fits

NODE, LINK = 400, 200  # bytes that networkx takes for each, about: 456 for both on a ring, 164 for a link of many
PAIRS = 10**10  # that a random graph is drawn from one by one: more take hours

Links = Callable[[int, int, float | None], float | int]

_LINKS: dict[str, Links] = {
    "complete": lambda nodes, degree, probability: nodes * (nodes - 1) / 2,
    "grid": lambda nodes, degree, probability: 2 * nodes,
    "torus": lambda nodes, degree, probability: 2 * nodes,
    "exponential": lambda nodes, degree, probability: nodes * max(1, (nodes - 1).bit_length() - 1),
    "erdos_renyi": lambda nodes, degree, probability: (
        nodes * math.log(nodes) if probability is None else probability * nodes * (nodes - 1) / 2
    ),
    **dict.fromkeys(
        ("regular", "barabasi_albert", "watts_strogatz"),
        lambda nodes, degree, probability: nodes * min(degree, nodes) / 2,
    ),
}


def bytes_of(name: str, nodes: int, degree: int, probability: float | None) -> float | int:
    """What networkx takes for a graph, about."""
    links = _LINKS.get(name, lambda nodes, degree, probability: nodes)
    return NODE * nodes + LINK * links(nodes, degree, probability)


def check_size(name: str, nodes: int, degree: int, probability: float | None) -> None:
    """Raise MemoryError where a graph has no room, ValueError for one that takes hours to draw; with what would do."""

    def need(nodes: int) -> float | int:
        return bytes_of(name, nodes, degree, probability)

    free = free_memory()
    check_fits("nodes", nodes, _most(need, free, nodes), need(nodes), free)
    if name == "erdos_renyi" and nodes**2 > 2 * PAIRS:
        most = math.isqrt(2 * PAIRS)
        raise ValueError(
            f"nodes: erdos_renyi draws each of the {nodes**2 / 2:.1e} pairs of {nodes:,} nodes, which takes hours; "
            f"give {most:,} at most, or use 'regular' or 'watts_strogatz'"
        )


def _most(need: Callable[[int], float | int], free: int, nodes: int) -> int:
    """The largest number of nodes that fits."""
    low, high = 1, nodes
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if need(middle) <= free else (low, middle - 1)
    return low
