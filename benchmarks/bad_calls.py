"""Every public function with every kind of wrong value (tests/battery.py), run as by a user; results as JSON.

    python benchmarks/bad_calls.py --out benchmarks/results/bad_calls.json

Each pair gives an answer or a clear error: ValueError, TypeError or MemoryError, raised by the package itself, naming
the argument. --only checks: what passes all checks is not run, which takes minutes instead of an hour.
"""

import argparse
import json
import signal
import sys
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
LONGEST = 60  # seconds of one call


class TooLongError(Exception):
    pass


def stop(*_):
    raise TooLongError(f"took more than {LONGEST} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=["checks", "all"], default="all")
    parser.add_argument("--match", default="", help="functions whose name contains this")
    given = parser.parse_args()
    import battery

    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop)
    start, found, bad = time.perf_counter(), Counter(), []
    with ExitStack() as stack:
        if given.only == "checks":
            battery.only_checks(stack)
        for case, value in battery.pairs():
            if given.match not in case.name:
                continue
            signal.alarm(LONGEST)
            verdict, message = battery.outcome(case, battery.VALUES[value]())
            signal.alarm(0)
            found[verdict] += 1
            if verdict not in ("answer", "clear"):
                bad.append({"call": str(case), "value": value, "verdict": verdict, "message": message[:300]})
                print(f"{case} {value}: {verdict}: {message[:200]}", flush=True)
    print(f"{sum(found.values())} pairs in {time.perf_counter() - start:.0f} s:", dict(found))
    if given.out:
        text = json.dumps({"pairs": sum(found.values()), "verdicts": dict(found), "bad": bad}, indent=1)
        given.out.write_text(text + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
