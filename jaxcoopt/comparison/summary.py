"""A comparison as numbers: medians and quartiles of every method, ratios of ours to the best existing."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.comparison.compete import Contest, rules_of
from jaxcoopt.comparison.settings import Comparison, plain
from jaxcoopt.study.contest import ContenderScores
from jaxcoopt.study.ratios import ratios, winners
from jaxcoopt.study.statistics import quartiles
from jaxcoopt.versions import versions

CLAIM = 0.5
"""The paper's claim: a gap below half of the best existing method's."""
ALL, ANYTIME = "best existing", "best existing that keeps the budget at every iteration"
"""Whom ours are measured against, instance by instance."""


def summarise(settings: Comparison, contests: Sequence[Contest], seconds: float) -> dict[str, Any]:
    """All that comparison.json holds; what is infinite (diverged) or not known is None."""
    return {
        "title": settings.title,
        "settings": plain(settings),
        "seed": settings.seed,
        "error": _ERROR[settings.half],
        "floor": settings.floor,
        "versions": versions(),
        "ratios": _ratio_rows(settings, contests),
        "cases": [_case(settings, contest) for contest in contests],
        "seconds": seconds,
        "timings": _timings(contests),
    }


_ERROR = {
    "allocation": "max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)",
    "training": "max(|relative loss gap|, consensus error / norm of the optimal parameters)",
}


def standards(settings: Comparison) -> tuple[str, ...]:
    """Whom ours are measured against: only allocation has a budget to keep."""
    return (ALL, ANYTIME) if settings.half == "allocation" else (ALL,)


def case_ratios(
    contest: Contest, ours: ContenderScores, against: str, quantity: str, horizon: int, floor: float
) -> Float[np.ndarray, " instances"]:
    """ours / best of the rivals on every instance of a case; empty where there are none of that kind."""
    rivals = [each.at[horizon][quantity] for each in contest.scores if _is_rival(each, against)]
    return ratios(ours.at[horizon][quantity], np.min(rivals, axis=0), floor) if rivals else np.zeros(0)


def _is_rival(scores: ContenderScores, against: str) -> bool:
    """Whether it is one of the existing methods that ours are measured against."""
    return not scores.contender.ours and (against == ALL or scores.contender.keeps_budget)


def _case(settings: Comparison, contest: Contest) -> dict[str, Any]:
    rivals = [each for each in contest.scores if _is_rival(each, ALL)]
    best = [
        {"kind": kind, "checkpoint": k, "wins": winners({each.contender.label: each.at[i]["error"] for each in rivals})}
        for i, (kind, k) in enumerate(rules_of(settings).horizons)
        if rivals
    ]
    return {
        "name": contest.name,
        "problem": contest.problem,
        "network": contest.network,
        "nodes": contest.nodes,
        "skipped": contest.skipped,
        "best_existing": best,
        "ratios": _ratio_rows(settings, [contest]),
        "methods": [_method(settings, each) for each in contest.scores],
    }


def _method(settings: Comparison, scores: ContenderScores) -> dict[str, Any]:
    contender, tuned, rows = scores.contender, scores.tuned, []
    for i, (kind, k) in enumerate(rules_of(settings).horizons):
        at = scores.at[i]
        row: dict[str, Any] = {"kind": kind, "checkpoint": k, "tuned": tuned.winners[i]}
        row["tuning_error"] = number(tuned.scores[i])
        row["diverged"] = int(np.sum(np.isinf(at["error"])))
        row |= {name: _numbers(quartiles(values)) for name, values in at.items()}
        row["errors"] = _numbers(at["error"])
        rows.append(row)
    return {
        "method": contender.label,
        "ours": contender.ours,
        "keeps_budget": contender.keeps_budget,
        "grid_points": len(next(iter(contender.points.values()), ())),
        "tuned_at_edge": tuned.at_edge,
        "horizons": rows,
    }


def _ratio_rows(settings: Comparison, contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """Quartiles over the instances of all the contests together, of every method of ours that is in the first."""
    rows, horizons = [], enumerate(rules_of(settings).horizons)
    labels = [each.contender.label for contest in contests[:1] for each in contest.scores if each.contender.ours]
    for label, against, (i, (kind, k)) in itertools.product(labels, standards(settings), horizons):
        row: dict[str, Any] = {"method": label, "against": against, "kind": kind, "checkpoint": k}
        for quantity in ("error", "gap"):
            found = np.concatenate(
                [
                    case_ratios(contest, each, against, quantity, i, settings.floor)
                    for contest in contests
                    for each in contest.scores
                    if each.contender.label == label
                ]
            )
            if len(found):
                row[quantity] = _numbers(quartiles(found))
                row |= {f"{quantity}_below_half": float(np.mean(found < CLAIM)), "instances": len(found)}
        rows += [row] if "error" in row else []
    return rows


def number(value: float) -> float | None:
    """To six digits; None where it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _numbers(values: Float[np.ndarray, " numbers"]) -> list[float | None]:
    return [number(each) for each in values.tolist()]


def _timings(contests: Sequence[Contest]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for contest in contests:
        total.update(contest.clock)
    return {name: round(seconds, 2) for name, seconds in total.items()}
