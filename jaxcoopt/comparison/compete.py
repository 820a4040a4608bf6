"""All contenders on all cases: tuned, run, measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import jax

from jaxcoopt.comparison.contenders import contenders
from jaxcoopt.comparison.instances import draw_instances
from jaxcoopt.comparison.networks import PARTS, draw_networks, sizes
from jaxcoopt.comparison.settings import Comparison, Family, Graphs
from jaxcoopt.methods.check import check_method
from jaxcoopt.shown import briefly
from jaxcoopt.study.contest import Clock, Contender, ContenderScores, Rules, scores_of, timed
from jaxcoopt.study.instances import Instances
from jaxcoopt.study.jobs import Case

STAGES = ("instances", "compile", "tune", "evaluate")


@briefly
@dataclass(frozen=True)
class Contest:
    """One problem family on one network and size; skipped: label and reason of who cannot take part; clock: seconds."""

    problem: str
    network: str
    nodes: int
    scores: list[ContenderScores]
    skipped: dict[str, str]
    clock: Clock

    @property
    def name(self) -> str:
        """Of the case, in tables."""
        return f"{self.problem}, {self.network}, n = {self.nodes}"


def cases(settings: Comparison) -> list[tuple[Family, Graphs, int]]:
    """Every family on every network and size."""
    return [
        (family, graphs, nodes)
        for family in settings.problems
        for graphs in settings.networks
        for nodes in sizes(graphs)
    ]


def rules_of(settings: Comparison) -> Rules:
    """When methods are compared."""
    return Rules(settings.checkpoints, settings.last, settings.longest)


def compete(settings: Comparison, done: Callable[[str], None] = lambda _: None) -> Iterator[Contest]:
    """One contest after the other, in the settings' precision; `done` is told after every method.

    Raises ValueError or ImportError before anything is computed, ValueError for a method named in the settings that a
    problem does not suit.
    """
    entrants = contenders(settings)

    @cache
    def drawn(family: str, nodes: int) -> list[Instances]:
        counts = (settings.tuning_instances, settings.instances)
        table = Family.model_validate_json(family)
        return [draw_instances(table, nodes, *each) for each in zip(counts, [settings.seed] * 2, PARTS, strict=True)]

    for family, graphs, nodes in cases(settings):
        clock: Clock = dict.fromkeys(STAGES, 0.0)
        with jax.enable_x64(settings.precision == "float64"):
            with timed(clock, "instances"):
                instances = drawn(family.model_dump_json(), nodes)
            networks = draw_networks(graphs, nodes, settings.seed)
            parts = [
                Case(each, networks[part], settings.width, settings.record_every, settings.seed)
                for part, each in zip(PARTS, instances, strict=True)
            ]
            case = family.kind, graphs.label or graphs.name, nodes
            contest = _contest(settings, entrants, case, parts, clock, done)
        yield contest


def _contest(
    settings: Comparison,
    entrants: Sequence[Contender],
    case: tuple[str, str, int],
    parts: Sequence[Case],
    clock: Clock,
    done: Callable[[str], None],
) -> Contest:
    scores, skipped = [], {}
    kind, network, nodes = case
    for contender in entrants:
        reason = _unfit(contender, parts[0])
        if reason is None:
            scores.append(scores_of(contender, parts[0], parts[1], rules_of(settings), clock))
        elif settings.methods:
            raise ValueError(f"methods: {contender.label} on {kind} problems: {reason}")
        else:
            skipped[contender.label] = reason
        done(f"{network} {nodes}: {contender.label}")
    return Contest(kind, network, nodes, scores, skipped, clock)


def _unfit(contender: Contender, case: Case) -> str | None:
    """Why a method cannot solve the problem, if so."""
    try:
        check_method(contender.first, case.instances.batches[0][0], 1)
    except ValueError as error:
        return str(error)
    return None
