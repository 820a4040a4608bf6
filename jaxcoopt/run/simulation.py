"""`Simulation`: a run that goes on from where it stands."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.describe import described
from jaxcoopt.errors import a_flag, at_least_one
from jaxcoopt.host import as_jax
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network.network import Network
from jaxcoopt.problem.align import floats
from jaxcoopt.problem.losses import params_like
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.calls import Records, drive, intervals
from jaxcoopt.run.check import received, received_clock, received_start, received_stop
from jaxcoopt.run.checkpoint import Checkpoint
from jaxcoopt.run.clocks import Clock
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.loop import Carry
from jaxcoopt.run.prepare import prepare
from jaxcoopt.run.record import Record, received_record, record_bytes
from jaxcoopt.run.result import Result, result_of
from jaxcoopt.run.start import Start, begun, room_for, warn_of
from jaxcoopt.run.stops import Stop, beside_tol, tol_of


class Simulation:
    """A run that is prepared once and goes on from where it stands.

    One is made, run, saved, loaded and run on like this (docs/use.md has it whole):

        simulation = jc.Simulation(problem, network, method, runs=64, record=record)
        simulation.run(1_000)  # a Result, as of `solve`
        simulation.save("half_way")
        simulation = jc.Simulation.load("half_way", problem, network, method, record=record)
        result = simulation.run(1_000)  # of all 2,000 iterations

    Arguments, errors and warnings are those of `solve`. Records stand at the multiples of `record.every` (None: a
    hundredth of each call's steps) and at the end of each call. Calls that end at such multiples, and at those of
    `record.training_every`, give the numbers of
    one call, bit for bit, and so does a run that was saved and loaded.

    Works outside of jit and grad only: a run inside is `solve`'s.
    """

    def __init__(
        self,
        problem: Problem,
        network: Network,
        method: CoOptimizer,
        *,
        runs: int = 1,
        seed: int = 0,
        record: Record | None = None,
        initial: Initial | None = None,
        tol: float | None = None,
        optimum: Optimum | None = None,
        shard: str = "runs",
        clock: Clock | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._record = received_record(record)
        with room_for("Simulation", shard, problem, network, method, initial, runs):
            self._begin(
                begun(
                    problem,
                    network,
                    method,
                    runs=runs,
                    seed=seed,
                    record=self._record,
                    initial=initial,
                    tol=tol,
                    optimum=optimum,
                    shard=shard,
                    clock=clock,
                    stop=stop,
                )
            )

    @classmethod
    def of(cls, start: Start, record: Record) -> "Simulation":
        """From what is checked already."""
        made = cls.__new__(cls)
        made._record = record
        made._begin(start)
        return made

    def _begin(self, start: Start) -> None:
        if not start.concrete:
            raise TypeError("Simulation: it works outside of jit and grad; use jaxcoopt.solve inside")
        self._start = start
        self._setup, carry = prepare(
            start.problem,
            start.network,
            start.method,
            start.runs,
            start.seed,
            start.initial,
            start.stop,
            start.optimum,
            start.extra,
            start.clock,
            self._record.training_every,
        )
        self._carry: Carry | None = carry
        self._records: Records | None = None
        self._iterations = np.zeros(0, np.int64)
        self._shared = False

    @property
    def iteration(self) -> int:
        """Where the run stands."""
        return int(self._iterations[-1]) if len(self._iterations) else 0

    @property
    def result(self) -> Result:
        """All from iteration 0 to where the run stands. Raises RuntimeError before the first `run`."""
        if self._records is None:
            raise RuntimeError("Simulation: nothing has been run yet; call run(steps) first")
        method = as_jax(floats(self._start.method))
        self._shared = True
        return result_of(self._setup, self._standing, self._records, self._iterations, method, self._labels)

    def run(self, steps: int, *, progress: bool = False) -> Result:
        """`steps` more iterations; fewer where every run has converged or diverged. Returns all from iteration 0 on.

        A call that is interrupted leaves the simulation where it stood before.
        """
        result = self.advance(steps, progress)
        warn_of(result, self._start)
        return result

    def advance(self, steps: int, progress: bool = False) -> Result:
        """As `run`, without its warnings."""
        steps, progress, start = at_least_one("steps", steps), a_flag("progress", progress), self._start
        every = max(1, steps // 100) if self._record.every is None else self._record.every
        given = start.problem, start.network, start.method, start.initial, start.runs
        with room_for("run", start.shard, *given):
            if not self._over:
                each = record_bytes(self._record, start.problem, start.network.nodes, start.runs)
                self._advance(intervals(steps, every, self.iteration, each), progress)
            return self.result

    def save(self, folder: str | Path) -> None:
        """Write where the run stands, with all of its records, so that `load` goes on from there.

        The folder is made if need be; a simulation that was saved there before is replaced once the new one is whole.
        Raises OSError for a folder that cannot be written.
        """
        start = self._start
        options = {"runs": start.runs, "seed": start.seed, "tol": tol_of(start.stop)}
        settings = made_of(
            start.problem, start.network, start.given, start.initial, self._record, start.clock, start.stop
        )
        settings |= described("options", options)
        at = {"at": self._iterations.tolist()}
        Checkpoint.of(settings, options | at, self._standing, start.optimum, self._records).write(folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        problem: Problem,
        network: Network,
        method: CoOptimizer,
        *,
        record: Record | None = None,
        initial: Initial | None = None,
        shard: str = "runs",
        clock: Clock | None = None,
        stop: Stop | None = None,
    ) -> "Simulation":
        """What `save` wrote, of the same problem, network, method, start, record, clock and stop: numbers of runs,
        seed, tolerance and optimum are in the folder.

        Raises ValueError, with what differs, for others and for another version of the libraries; OSError or ValueError
        for a folder without a simulation, or one that is not whole.
        """
        kept, record = Checkpoint.read(folder), received_record(record)
        at = np.array(kept.options.pop("at"), np.int64)
        trio, initial, clock = received(problem, network, method), received_start(initial), received_clock(clock)
        stop = received_stop(None, stop)
        options = kept.options | ({} if stop is None else {"tol": tol_of(stop)})
        kept.check(made_of(*trio, initial, record, clock, stop) | described("options", options))
        params = _params_of(problem)
        given = {"record": record, "initial": initial, "shard": shard, "clock": clock, "stop": beside_tol(stop)}
        simulation = cls(*trio, **given, **kept.options, optimum=kept.optimum(params))
        simulation._carry, simulation._records = kept.carry(simulation._standing), kept.records(params)
        simulation._iterations, simulation._shared = at, True
        return simulation

    def __repr__(self) -> str:
        start = self._start
        return f"Simulation: {start.runs:,} run{'s' * (start.runs != 1)}, at iteration {self.iteration:,}"

    @property
    def _labels(self) -> Any:
        return self._start.network.names

    @property
    def _standing(self) -> Carry:
        """Where the run stands: at its start again where its first call was interrupted."""
        if self._carry is None:
            self._begin(self._start)
        assert self._carry is not None
        return self._carry

    @property
    def _over(self) -> bool:
        """Whether every run has converged or diverged."""
        return self._records is not None and bool(np.all(self._records["over"][-1]))

    def _advance(self, lengths: list[int], progress: bool) -> None:
        at = self.iteration
        carry = self._standing
        if self._shared:
            carry = _copied(carry)
        else:
            self._carry = None  # the loop takes its memory
        carry, found = drive(self._setup, carry, lengths, progress, self._start.placing, at)
        made = at + np.cumsum(lengths)[: len(found["over"])]
        made[-1] = int(carry.iteration)  # earlier, where all have converged
        self._carry, self._shared, before = carry, False, self._records
        self._records = found if before is None else jax.tree.map(lambda *rows: np.concatenate(rows), before, found)
        self._iterations = np.concatenate([self._iterations, made])


def made_of(
    problem: Problem,
    network: Network,
    method: CoOptimizer,
    initial: Initial | None,
    record: Record,
    clock: Clock,
    stop: Stop | None,
) -> dict[str, str]:
    """All that a run's numbers depend on, as text that another process can compare."""
    parts = {"problem": problem, "network": network, "method": method, "initial": initial}
    parts |= {"record": record, "clock": clock, "stop": beside_tol(stop)}
    return {key: text for name, part in parts.items() for key, text in described(name, part).items()}


@jax.jit
def _copied(carry: Carry) -> Carry:
    """For the loop, which takes its carry's memory: a result's state stays."""
    return jax.tree.map(jnp.copy, carry)


def _params_of(problem: object) -> PyTree:
    """A pytree like one node's parameters; None without training."""
    training = problem.training if isinstance(problem, Problem) else None
    return None if training is None else params_like(training.loss, training.one_sample)
