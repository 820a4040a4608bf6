"""A comparison as numbers: medians and quartiles of every method, ratios of ours to the best existing."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcoopt.experiments.compare_tables import Comparison
from jaxcoopt.study.contest import ContenderScores, Contest
from jaxcoopt.study.ratios import ALL, ANYTIME, CLAIM, case_ratios, is_rival, winners
from jaxcoopt.study.statistics import quartiles
from jaxcoopt.versions import versions

ERROR = {
    "allocation": "max(|relative cost gap|, |sum x - b| / |b|, box violation / mean share)",
    "training": "max(|relative loss gap|, consensus error / norm of the optimal parameters)",
}
STANDARDS = {"allocation": (ALL, ANYTIME), "training": (ALL,)}  # only allocation has a budget to keep


def summarise(settings: Comparison, contests: Sequence[Contest], seconds: float) -> dict[str, Any]:
    """All that comparison.json holds; what is infinite (diverged) or not known is None."""
    timings: Counter[str] = Counter()
    for contest in contests:
        timings.update(contest.clock)
    return {
        "title": settings.title,
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "seed": settings.seed,
        "error": ERROR[settings.half],
        "floor": settings.floor,
        "versions": versions(),
        "ratios": _ratio_rows(settings, contests),
        "cases": [_case(settings, contest) for contest in contests],
        "seconds": seconds,
        "timings": {name: round(each, 2) for name, each in timings.items()},
    }


def _case(settings: Comparison, contest: Contest) -> dict[str, Any]:
    rivals = [each for each in contest.scores if is_rival(each)]
    best = [
        {"kind": kind, "checkpoint": k, "wins": winners({each.contender.label: each.at[i]["error"] for each in rivals})}
        for i, (kind, k) in enumerate(settings.rules.horizons)
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
    for i, (kind, k) in enumerate(settings.rules.horizons):
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
    rows = []
    labels = [each.contender.label for contest in contests[:1] for each in contest.scores if each.contender.ours]
    pairs = itertools.product(labels, STANDARDS[settings.half])
    for (label, against), (i, (kind, k)) in itertools.product(pairs, enumerate(settings.rules.horizons)):
        row: dict[str, Any] = {"method": label, "against": against, "kind": kind, "checkpoint": k}
        for quantity in ("error", "gap"):
            each = [case_ratios(contest, label, against, quantity, i, settings.floor) for contest in contests]
            if len(found := np.concatenate(each)):
                row[quantity] = _numbers(quartiles(found))
                row |= {f"{quantity}_below_half": float(np.mean(found < CLAIM)), "instances": len(found)}
        rows += [row] if "error" in row else []
    return rows


def number(value: float) -> float | None:
    """To six digits; None where it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _numbers(values: Float[np.ndarray, " numbers"]) -> list[float | None]:
    return [number(each) for each in values.tolist()]
