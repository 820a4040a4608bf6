"""The same iteration in batched NumPy and SciPy, as fast as we could make it: the rival to beat.

Tried at n=1000, d=8, 64 runs, m=10, log-quantized, float32, on two cores, as microseconds of one iteration:

- where it began: scipy's `L @ u` of y, z and price in one array, a kept gradient, np.copysign, scipy.special.expit,
  all runs at once: 5,750.
- the sign by its bit instead of np.copysign, which NumPy does not vectorise (685 against about 100).
- z gains H (y(k+1) - y(k)), so that no gradient is kept and no X^T t subtracted.
- scipy's kernel csr_matvecs adds L u where it belongs, without a product's own array and checks (1,050 against 1,105).
- 1 / (1 + exp) in place instead of expit: 40 against 160, twice.
- apart (y, z, price: an array each, `Block`) 3,440 against 4,290 in one (`JointBlock`); with 1 run 142 against 149.
- np.matmul, one small BLAS product a node, 280; np.einsum 1,310; a block-diagonal CSR matrix 683.
- np.log and np.exp 440 each, vectorised; polynomials over the bits are eight passes or more of 45 each, no gain, and a
  table of levels by np.take costs more than np.exp.
- the dense Laplacian, 2.7 Gflop, is many times slower than CSR at this n.
- blocks of 4, 16, 32, 64 runs: 5,290, 3,440, 3,490, 3,900. The best of them is taken, case by case.
- a thread for each core, on blocks of their own: 1,950 with 32 runs each. With 1 run there is nothing to share.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.engine.engine import State
from benchmarks.engine.instance import Instance
from benchmarks.engine.numpy_blocks import Block, JointBlock, Shared


class NumpyRival:
    """Blocks of runs, advanced one after the other or by threads of their own (NumPy and SciPy let go of the lock)."""

    def __init__(self, instance: Instance, start: State, block: int, threads: int = 1, joint: bool = False) -> None:
        runs = instance.case.runs
        edges = range(0, runs, block)
        shared = Shared(instance, start.x.dtype)
        kind = JointBlock if joint else Block
        self.blocks = [kind(shared, start.x[:, at : at + block], start.y[..., at : at + block]) for at in edges]
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def advance(self, iterations: int) -> None:
        """So many iterations; runs do not hear each other, so each block goes through all of them while it is warm."""
        if self.pool is None:
            for block in self.blocks:
                block.advance(iterations)
        else:
            list(self.pool.map(lambda block: block.advance(iterations), self.blocks))

    def state(self) -> State:
        """The blocks side by side."""
        return State(
            np.concatenate([block.x for block in self.blocks], axis=-1),
            np.concatenate([block.y for block in self.blocks], axis=-1),
        )

    def close(self) -> None:
        """Ends the threads."""
        if self.pool is not None:
            self.pool.shutdown()


def candidates(runs: int, workers: int) -> list[tuple[int, int, bool]]:
    """(block, threads, joint) worth trying: the best of them is the rival, case by case."""
    share = -(-runs // workers)
    blocks = sorted({min(share, size) for size in (16, 32, 64, share)})
    return [(block, workers, joint) for block in blocks for joint in (False, True)]
