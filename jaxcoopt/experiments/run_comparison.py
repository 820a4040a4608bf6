"""Build a comparison from its file, and run it: all contenders on all cases, tuned, run, measured."""

from collections.abc import Callable, Iterator
from functools import cache

import jax

from jaxcoopt.experiments.compare_tables import Comparison, Family, Graphs
from jaxcoopt.experiments.contenders import contenders
from jaxcoopt.experiments.random_instances import draw_instances
from jaxcoopt.experiments.random_networks import PARTS, draw_networks, sizes
from jaxcoopt.methods.check import check_method
from jaxcoopt.study.contest import Contender, Contest, Stages, scores_of, timed
from jaxcoopt.study.instances import Instances
from jaxcoopt.study.jobs import Case

STAGES = ("instances", "compile", "tune", "evaluate")


def cases(settings: Comparison) -> list[tuple[Family, Graphs, int]]:
    """Every family on every network and size."""
    families, networks = settings.problems, settings.networks
    return [(family, graphs, nodes) for family in families for graphs in networks for nodes in sizes(graphs)]


def play_comparison(settings: Comparison, done: Callable[[str], None] = lambda _: None) -> Iterator[Contest]:
    """One contest after the other, in the settings' precision; `done` is told after every method.

    Raises ValueError or ImportError before anything is computed, ValueError for a method named in the settings that a
    problem does not suit.
    """
    entrants = contenders(settings)
    counts = (settings.tuning_instances, settings.instances)

    @cache
    def drawn(family: Family, nodes: int) -> list[Instances]:
        return [
            draw_instances(family, nodes, count, settings.seed, part) for part, count in zip(PARTS, counts, strict=True)
        ]

    for family, graphs, nodes in cases(settings):
        clock: Stages = dict.fromkeys(STAGES, 0.0)
        contest = Contest(family.kind, graphs.label or graphs.name, nodes, [], {}, clock)
        with jax.enable_x64(settings.precision == "float64"):
            with timed(clock, "instances"):
                instances = drawn(family, nodes)  # pyright: ignore[reportArgumentType]
            networks = draw_networks(graphs, nodes, settings.seed)
            tuning, evaluation = (
                Case(each, networks[part], settings.width, settings.record_every, settings.seed)
                for part, each in zip(PARTS, instances, strict=True)
            )
            for contender in entrants:
                reason = _unfit(contender, tuning)
                if reason is None:
                    contest.scores.append(scores_of(contender, tuning, evaluation, settings.rules, clock))
                elif settings.methods:
                    raise ValueError(f"methods: {contender.label} on {family.kind} problems: {reason}")
                else:
                    contest.skipped[contender.label] = reason
                done(f"{contest.network} {nodes}: {contender.label}")
        yield contest


def _unfit(contender: Contender, case: Case) -> str | None:
    """Why a method cannot solve the problem, if so."""
    try:
        check_method(contender.first, case.instances.batches[0][0], 1)
    except ValueError as error:
        return str(error)
    return None
