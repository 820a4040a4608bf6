"""A result in a dozen numbers, those of the worst run where there are several."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Shaped

from jaxcoopt.escaping import plain
from jaxcoopt.files import write_text
from jaxcoopt.problem.losses import Loss
from jaxcoopt.report.score import metric, reference_params, score
from jaxcoopt.run.result import Result
from jaxcoopt.run.status import Status

AT_END = ("allocation_gap", "training_gap", "allocation_cost", "training_loss", "consensus_error")
NAMED = 3  # nodes
OVER_RUN = ("budget_residual", "box_violation")


def summarise(result: Result) -> dict[str, Any]:
    """The last record (budget_residual: its largest value over the run), status and settings of the run.

    Gaps, errors and costs are those of the worst run; numbers that are not finite, and what the problem does not
    have, are None. status: how many runs ended how.
    """
    trace = {name: np.asarray(values, np.float64) for name, values in result.trace.items()}
    status = Counter(Status(int(code)).name for code in np.asarray(result.status))
    return {
        "status": status.most_common(1)[0][0] if len(status) == 1 else dict(status),
        "runs": int(np.size(result.status)),
        "steps": int(result.iterations[-1]),
        **{name: _worst(trace[name][-1]) if name in trace else None for name in AT_END},
        **{name: _worst(trace[name]) if name in trace else None for name in OVER_RUN},
        "box_violation_end": _worst(trace["box_violation"][-1]) if "box_violation" in trace else None,
        "bits_per_node": _worst(trace["bits"][-1]),
        "simulated_seconds": _worst(trace["seconds"][-1]),
        "why_no_seconds": why_endless(result),
        "metrics": {name: {"end": _worst(trace[name][-1]), "unit": result.units[name]} for name in result.own_metrics},
    }


def why_endless(result: Result) -> str | None:
    """Why simulated time is infinite in a run, None where it is finite in all of them."""
    endless = ~np.isfinite(np.asarray(result.trace["seconds"], np.float64))
    if not endless[-1].any():
        return None
    run = int(np.argmax(endless[-1]))
    since = int(result.iterations[int(np.argmax(endless[:, run]))])
    if result.allocation is None:
        return "problem.work is not finite"
    x = np.asarray(result.allocation, np.float64)[:, run]
    if not np.isfinite(x).all():
        return f"the allocation left the finite numbers before iteration {since:,}"
    none = [plain(result.labels[i], 24) for i in np.flatnonzero(x <= 0)]
    now = f" (at the end: {', '.join(none[:NAMED])}{', ...' * (len(none) > NAMED)})" if none else ""
    return (
        f"before iteration {since:,} a node had no CPU{now}, so its iteration never ends; a lower bound above 0 helps"
    )


def scores(
    result: Result,
    loss: Loss,
    features: Float[np.ndarray, "samples features"],
    targets: Shaped[np.ndarray, " samples"],
) -> dict[str, Any]:
    """test_accuracy (or test_r2) of the model that the network agrees on, in the worst run, and the optimum's."""
    name = metric(loss)
    if name is None:
        return {}
    mean = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).mean(axis=0), result.params)
    reached = score(loss, mean, features, targets)
    summary = {f"test_{name}": _worst(-reached, sign=-1.0), f"reference_test_{name}": None}
    if result.optimum.params is not None:
        best = score(loss, reference_params(result.optimum.params), features, targets)
        summary[f"reference_test_{name}"] = float(best[0])
    return summary


def write_json(path: Path, summary: dict[str, Any]) -> None:
    """Written whole or not at all."""
    write_text(path, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def _worst(values: ArrayLike, sign: float = 1.0) -> float | None:
    values = np.asarray(values, np.float64).ravel()
    largest = sign * float(values[np.argmax(np.abs(values))] if sign > 0 else np.max(values))
    return largest if math.isfinite(largest) else None
