"""One half of a method, moved by itself."""

from dataclasses import dataclass

from jaxtyping import PyTree

from jaxcoopt.channel.channel import Channel
from jaxcoopt.methods.co_optimizer import CoOptimizer, CoState
from jaxcoopt.methods.method import Method, TrainingMethod
from jaxcoopt.methods.round import Round
from jaxcoopt.problem.problem import Allocation, Half, Problem, Training
from jaxcoopt.pytrees import pytree


@pytree
@dataclass(frozen=True)
class Alone:
    """A half's method and its half of the problem."""

    optimizer: CoOptimizer
    problem: Problem

    @classmethod
    def of(cls, method: Method, half: Half, channel: Channel) -> "Alone":
        """From an allocation method and an `Allocation`, or a training method and a `Training`."""
        if isinstance(method, TrainingMethod):
            assert isinstance(half, Training)
            return cls(CoOptimizer(training=method, channel=channel), Problem(training=half))
        assert isinstance(half, Allocation)
        return cls(CoOptimizer(method, channel=channel), Problem(half))

    def init(self, start: PyTree, now: Round) -> CoState:
        """The state at x or y."""
        x, params = (start, None) if self.problem.training is None else (None, start)
        return self.optimizer.init(self.problem, x, params, now)

    def update(self, state: CoState, now: Round) -> CoState:
        """One iteration."""
        return self.optimizer.update(state, self.problem, now)

    def estimate(self, state: CoState) -> PyTree:
        """Where the nodes stand: x or y."""
        found = self.optimizer.estimate(state)
        return found.params if found.allocation is None else found.allocation

    def own(self, state: CoState) -> PyTree:
        """The half's own state."""
        return state.training if state.allocation is None else state.allocation
