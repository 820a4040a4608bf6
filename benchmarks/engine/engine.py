"""The package's own engine, timed through the same two functions that `solve` uses."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.engine.instance import Instance, make_method, make_network, make_problem
from jaxcoopt.platform import choices
from jaxcoopt.problem.reference import Optimum
from jaxcoopt.run.loop import Carry
from jaxcoopt.run.prepare import prepare
from jaxcoopt.run.shards import gathered, program_for, spread
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class State:
    """Where the nodes stand: x [nodes, runs] and y [nodes, params, runs]."""

    x: np.ndarray
    y: np.ndarray


class Engine:
    """The compiled loop, one record at the end of each call; the carry goes on from call to call."""

    def __init__(self, instance: Instance) -> None:
        case = instance.case
        self.setup, carry = prepare(
            make_problem(instance), make_network(instance), make_method(case), case.runs, 0, None, None, Optimum()
        )
        self.placed, self.carry = spread(self.setup, carry)
        self.start = self.state()

    def advance(self, iterations: int) -> None:
        """So many iterations, until the device is done."""
        lengths = jnp.zeros(choices().records, jnp.int32).at[0].set(iterations)
        go = program_for(len(self.setup.runs))
        self.carry, *record = go(self.placed, self.carry, lengths, jnp.asarray(1, jnp.int32))
        jax.block_until_ready((self.carry, record))

    def state(self) -> State:
        """A copy, as the carry is donated."""
        estimate = self.setup.method.estimate(self.whole().state)
        (y,) = jax.tree.leaves(estimate.params)
        return State(np.array(estimate.allocation), np.array(y))

    def whole(self) -> Carry:
        """The carry on one device."""
        return gathered(self.carry, len(self.setup.runs))
