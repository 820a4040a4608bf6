"""A comparison as numbers: medians and quartiles of every method, ratios of ours to the best existing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.compare.compete import Contest, Scores
from jaxcoopt.compare.ratios import best_existing, quartiles, ratios, share_below, winners
from jaxcoopt.compare.settings import Comparison, horizons, plain
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
        "ratios": _pooled(settings, contests),
        "cases": [_case(settings, contest) for contest in contests],
        "seconds": seconds,
        "timings": _timings(contests),
    }


_ERROR = {
    "allocation": "max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)",
    "training": "max(|relative loss gap|, consensus error / norm of the optimal parameters)",
}


def rivals_of(contest: Contest, against: str) -> list[Scores]:
    """The existing methods that ours are measured against."""
    return [each for each in contest.scores if not each.ours and (against == ALL or each.keeps_budget)]


def standards(settings: Comparison) -> tuple[str, ...]:
    """Whom ours are measured against: only allocation has a budget to keep."""
    return (ALL, ANYTIME) if settings.half == "allocation" else (ALL,)


def case_ratios(
    settings: Comparison, contest: Contest, ours: Scores, against: str, quantity: str, horizon: int
) -> Float[np.ndarray, " instances"] | None:
    """ours / best of the rivals on every instance of a case; None where there are none of that kind."""
    rivals = {each.label: each.at[horizon][quantity] for each in rivals_of(contest, against)}
    if not rivals:
        return None
    return ratios(ours.at[horizon][quantity], best_existing(rivals), settings.floor)


def _case(settings: Comparison, contest: Contest) -> dict[str, Any]:
    named = horizons(settings)
    best = [
        {"kind": kind, "checkpoint": k, "wins": winners({each.label: each.at[i]["error"] for each in rivals})}
        for i, (kind, k) in enumerate(named)
        if (rivals := rivals_of(contest, ALL))
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


def _method(settings: Comparison, scores: Scores) -> dict[str, Any]:
    rows = []
    for i, (kind, k) in enumerate(horizons(settings)):
        at, winner = scores.at[i], scores.tuned.winners[i]
        row: dict[str, Any] = {"kind": kind, "checkpoint": k, "tuned": winner}
        row["tuning_error"] = number(scores.tuned.scores[i])
        row["diverged"] = int(np.sum(np.isinf(at["error"])))
        row |= {name: [number(each) for each in quartiles(values)] for name, values in at.items()}
        row["errors"] = [number(each) for each in at["error"]]
        rows.append(row)
    return {
        "method": scores.label,
        "ours": scores.ours,
        "keeps_budget": scores.keeps_budget,
        "grid_points": scores.points,
        "tuned_at_edge": scores.tuned.at_edge,
        "horizons": rows,
    }


def _pooled(settings: Comparison, contests: Sequence[Contest]) -> list[dict[str, Any]]:
    return _ratio_rows(settings, contests) if contests else []


def _ratio_rows(settings: Comparison, contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """Quartiles over the instances of all the contests together, of every method of ours that is in the first."""
    rows = []
    for label in (each.label for each in contests[0].scores if each.ours):
        members = [next((s for s in contest.scores if s.label == label), None) for contest in contests]
        for against in standards(settings):
            for i, (kind, k) in enumerate(horizons(settings)):
                row: dict[str, Any] = {"method": label, "against": against, "kind": kind, "checkpoint": k}
                for quantity in ("error", "gap"):
                    parts = [
                        case_ratios(settings, contest, member, against, quantity, i)
                        for contest, member in zip(contests, members, strict=True)
                        if member is not None
                    ]
                    known = [part for part in parts if part is not None]
                    if known:
                        row |= _spread(quantity, np.concatenate(known))
                rows.append(row)
    return [row for row in rows if "error" in row]


def _spread(quantity: str, values: np.ndarray) -> dict[str, Any]:
    return {
        quantity: [number(each) for each in quartiles(values)],
        f"{quantity}_below_half": share_below(values, CLAIM),
        "instances": len(values),
    }


def number(value: float) -> float | None:
    """To six digits; None where it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _timings(contests: Sequence[Contest]) -> dict[str, float]:
    total: dict[str, float] = {}
    for contest in contests:
        for name, seconds in contest.clock.items():
            total[name] = total.get(name, 0.0) + seconds
    return {name: round(seconds, 2) for name, seconds in total.items()}
