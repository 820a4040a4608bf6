"""Wrong values for every argument of every public function (tests/battery.py); all: benchmarks/bad_calls.py."""

import warnings
from contextlib import ExitStack

import battery

PAIRS = 500


def test_every_public_function_is_in_the_battery():
    names = {case.name for case in battery.cases()}
    assert {
        "solve",
        "reference",
        "memory",
        "sweep",
        "tune",
        "split",
        "LaplacianFlow",
        "Quadratic",
        "step_bound",
    } <= names
    assert len(battery.cases()) > 250
    assert len(battery.VALUES) >= 40


def test_wrong_values_are_refused_in_words(rng, untyped):
    """What passes all checks is not run here. A function that is slow to refuse would make this slow."""
    pairs = battery.pairs()
    bad = []
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        battery.only_checks(stack)
        for i in rng.choice(len(pairs), PAIRS, replace=False):
            case, value = pairs[i]
            verdict, message = battery.outcome(case, battery.VALUES[value]())
            if verdict not in ("answer", "clear"):
                bad.append(f"{case} of {value}: {verdict}: {message:.200}")
    assert not bad, "\n".join(bad)


def test_the_battery_sees_what_is_not_clear(untyped):
    case = battery.Case("solve", "steps", lambda value: [1][value])
    assert battery.outcome(case, 3)[0] == "another type"
    assert battery.outcome(case, "a")[0].startswith("raised in")
    assert battery.outcome(battery.Case("solve", "runs", battery.right_call("solve", "steps")), 1.5)[0] == (
        "argument not named"
    )
    assert battery.outcome(battery.Case("solve", "steps", battery.right_call("solve", "steps")), 1.5)[0] == "clear"
