"""A process that sweeps, to be killed: python worker.py STORE [DIES COORDINATOR N ID].

DIES: seconds until it kills itself, chunks for one of several processes; empty: it does not.
"""

import os
import signal
import sys
import threading

import jax

jax.config.update("jax_logging_level", "CRITICAL")

import small  # noqa: E402

from jaxcoopt.study import chunk_width  # noqa: E402
from jaxcoopt.study.processes import joined  # noqa: E402
from jaxcoopt.study.store import Store  # noqa: E402

GRID = {"channel.rho": [0.2, 0.4, 0.6, 0.8, 1.0], "training.step": [0.02, 0.03, 0.04, 0.05]}


def main(store: str, dies: str = "", *others: str) -> None:
    chunk_width.WIDEST = 4
    if others:
        with joined(others[0], int(others[1]), int(others[2])):
            die_after_chunks(int(dies or 1000))
            small.sweep(GRID, seeds=8, store=store)
        return
    if dies:
        small.sweep(GRID, seeds=1)  # so that what follows does not wait for programs
        killer = threading.Timer(float(dies), die)
        killer.daemon = True
        killer.start()
    small.sweep(GRID, seeds=8, store=store)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_chunks(count: int) -> None:
    write = Store.write
    written = []

    def counting(self: Store, tiles: object, chunk: object, outcome: object) -> None:
        write(self, tiles, chunk, outcome)
        written.append(chunk)
        if len(written) == count:
            die()

    Store.write = counting


if __name__ == "__main__":
    main(*sys.argv[1:])
