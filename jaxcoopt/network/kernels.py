"""How a mix is computed: what a user may ask for, and the rule that picks where nothing is asked."""

from typing import Literal

from jaxcoopt.errors import check_name

Kernel = Literal["auto", "table", "buckets", "dense", "shifts"]
KERNELS = ("auto", "table", "buckets", "dense", "shifts")

# Where the kernels cross on a CPU, from benchmarks/kernels.py (results/kernels.json):
DENSE_FILL = 0.5  # entries of the tables over nodes^2 from which the matrix product is no slower at any width
DENSE_NODES = 2048  # beyond it the matrix is not kept for "auto"
# Up to so many numbers a node shifts along a ring are faster than gathers, which copy whole rows. On a torus they are
# not: its rows are short, and so are the loops.
SHIFTS_COLUMNS = 4
LARGEST = 2**30  # numbers in one array of a network


def check(kernel: str, fails: bool, directed: bool) -> None:
    """Raise ValueError for what is no kernel, or cannot mix where links fail: each run has other links then."""
    check_name("kernel", kernel, KERNELS)
    if directed and kernel in ("dense", "shifts"):
        raise ValueError(f"kernel: {kernel!r} is for undirected links; use 'auto', 'table' or 'buckets'")
    if fails and kernel in ("dense", "shifts"):
        raise ValueError(
            f"kernel: {kernel!r} cannot leave out the links that fail in each run; use 'auto', 'table' or 'buckets', "
            "or failure_rate=0"
        )


def check_size(kernel: str, numbers: int) -> None:
    """Raise ValueError where an array of a network would not fit in any memory, or in the compiler's index type."""
    if numbers > LARGEST:
        raise ValueError(f"kernel: {kernel!r} needs arrays of {numbers:.1e} numbers for these graphs; use 'auto'")


def no_shifts() -> ValueError:
    """The error where shifts are asked for and do not apply."""
    return ValueError(
        "kernel: 'shifts' needs graphs whose nodes all have neighbours at the same offsets (rings, circulant graphs; "
        "2-d tori with the nodes in row-major order), and these are not; number the nodes so, or use kernel='auto'"
    )


def may_shift(kernel: str) -> bool:
    """Whether shifts are looked for."""
    return kernel in ("auto", "shifts")


def keeps_matrix(kernel: str, nodes: int, entries: int) -> bool:
    """Whether the matrix of weights is worth keeping."""
    return kernel == "dense" or (kernel == "auto" and nodes <= DENSE_NODES and entries >= DENSE_FILL * nodes**2)


def pick(kernel: Kernel, columns: int, matrix: object, grid: tuple[int, int] | None) -> Kernel:
    """The kernel that mixes leaves of `columns` numbers a node where links do not fail: as asked, or by the rule.

    matrix: None where the network keeps none; grid: that of its shifts, or None. "table" goes by all buckets there are.
    """
    if kernel != "auto":
        return kernel
    if matrix is not None:
        return "dense"
    return "shifts" if grid is not None and grid[0] == 1 and columns <= SHIFTS_COLUMNS else "table"
