"""A case's row of the report, from what was timed and found."""

from typing import Any

from benchmarks.engine.case import Case
from benchmarks.engine.parts import with_rest


def make_row(
    case: Case, timings: list[dict[str, Any]], found: dict[str, Any], reasons: dict[tuple[str, str], str]
) -> dict[str, Any]:
    """Seconds are of one iteration of all nodes and runs; a ratio is a rival's minimum over the engine's."""
    times = {each["extra_info"]["entrant"]: _times(each) for each in timings if each["extra_info"]["case"] == case.name}
    left = {entrant: reason for (name, entrant), reason in reasons.items() if name == case.name}
    row: dict[str, Any] = {"case": case.settings(), "name": case.name}
    if "engine" not in times:
        return row | {"skipped": left.get("engine", "it was not timed")}
    ours = row["engine"] = times.pop("engine")
    updates = case.nodes * case.runs
    row["node_updates_per_second"] = updates / ours["min"]
    row["seconds_per_node_update"] = ours["min"] / updates
    row["rivals"] = _rivals(case, ours["min"], times, left, found.get("decent-bench"))
    if "floor" in found:
        row["floor"] = found["floor"]
        row["percent_of_floor"] = 100 * found["floor"]["seconds"] / ours["min"]
        row["bytes_per_second"] = found["floor"]["bytes"] / ours["min"]
    if "parts" in found:
        row["parts"] = with_rest(found["parts"], ours["min"])
    if "engine" in left:  # timed, but what came after went wrong
        row["note"] = left["engine"]
    return row


def skipped_row(case: Case, reason: str) -> dict[str, Any]:
    """A case that a rule left out."""
    return {"case": case.settings(), "name": case.name, "skipped": reason}


def best_numpy(row: dict[str, Any]) -> dict[str, Any] | None:
    """The quicker of one thread and several: what the headline's ratio is against."""
    found = [row["rivals"][name] for name in ("numpy", "numpy-threads") if "min" in row["rivals"].get(name, {})]
    return min(found, key=lambda each: each["min"]) if found else None


def _times(timing: dict[str, Any]) -> dict[str, Any]:
    about = {key: value for key, value in timing["extra_info"].items() if key not in ("case", "entrant")}
    iterations, stats = about["iterations"], timing["stats"]
    times = {"min": stats["min"] / iterations, "median": stats["median"] / iterations, "rounds": stats["rounds"]}
    return times | about


def _rivals(
    case: Case, ours: float, times: dict[str, Any], left: dict[str, str], decent: dict[str, Any] | None
) -> dict[str, Any]:
    updates = case.nodes * case.runs
    rivals = {
        name: time | {"ratio": time["min"] / ours, "seconds_per_node_update": time["min"] / updates}
        for name, time in times.items()
    }
    rivals |= {name: {"absent": reason} for name, reason in left.items() if name not in ("engine", *rivals)}
    if decent is None:
        return rivals
    if "absent" in decent:
        return rivals | {"decent-bench": decent}
    return rivals | {"decent-bench": _decent(case, ours, decent["algorithms"]) | {"agreement": decent["agreement"]}}


def _decent(case: Case, ours: float, algorithms: dict[str, Any]) -> dict[str, Any]:
    """One run of its quicker gradient tracking, training only, against a node update of our both halves."""
    each = {
        name: {
            "min": times["min"],
            "median": times["median"],
            "seconds_per_node_update": times["min"] / case.nodes,
            "ratio": times["min"] * case.runs / ours,
        }
        for name, times in algorithms.items()
    }
    quickest = min(each, key=lambda name: each[name]["min"])
    return each[quickest] | {"how": {"algorithm": quickest}, "algorithms": each}
