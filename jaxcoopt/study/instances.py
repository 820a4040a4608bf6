"""Problems of one shape, numbered, so that many of them are the runs of one program."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int

from jaxcoopt.arrays import Tree
from jaxcoopt.problem.align import aligned
from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import SCALARS, Optimum, reference, run_count
from jaxcoopt.run.initial import Initial
from jaxcoopt.shown import briefly


@briefly
@dataclass(frozen=True)
class Instances:
    """batches: problems with their optimum and start; within: the batch of each instance; column: its place on that
    batch's runs axis, 0 where the problem has none.
    """

    batches: Sequence[tuple[Problem, Optimum, Initial | None]]
    within: Int[np.ndarray, " instances"]
    column: Int[np.ndarray, " instances"]

    def __len__(self) -> int:
        return len(self.within)

    def take(self, batch: int, columns: Int[np.ndarray, " runs"]) -> tuple[Problem, Optimum, Initial | None]:
        """The instances at `columns` of a batch as the runs of one problem."""
        problem, optimum, initial = self.batches[batch]
        if run_count(problem) == 1:
            return problem, optimum, initial

        def picked(tree: Tree) -> Tree:
            return jax.tree.map(lambda leaf: leaf[..., columns] if np.ndim(leaf) and leaf.shape[-1] > 1 else leaf, tree)

        training = problem.training and replace(problem.training, loss=picked(problem.training.loss))
        problem = Problem(picked(problem.allocation), training, picked(problem.work))
        scalars = {name: picked(getattr(optimum, name)) for name in SCALARS}
        return problem, replace(optimum, **scalars, allocation=picked(optimum.allocation)), initial


def instances_of(problems: Sequence[Problem], nodes: int, runs: int, initial: Initial | None) -> Instances:
    """The problems' own instances, [runs] of their numbers, or `runs` times each that is a single one.

    Raises RuntimeError where no optimum is found.
    """
    own = [run_count(problem) for problem in problems]
    counts = [runs if count == 1 else count for count in own]
    return Instances(
        batches=[(aligned(problem, nodes), reference(problem, nodes), initial) for problem in problems],
        within=np.repeat(np.arange(len(problems)), counts),
        column=np.concatenate([np.zeros(runs, int) if count == 1 else np.arange(count) for count in own]),
    )
