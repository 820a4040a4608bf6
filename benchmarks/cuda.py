"""The library measured on one GPU, within nine minutes: numbers, times, rivals, choices, a sweep, slopes.

    python -m benchmarks.cuda --out DIR                  # all parts; a second call goes on where the first one stood
    python -m benchmarks.cuda --out DIR --parts engine   # one of them
    python -m benchmarks.cuda --out DIR --report         # from DIR to benchmarks/results, a picture and docs/gpu.md
    python -m benchmarks.cuda --out DIR --small          # tiny sizes, on any machine, to try it

Every part is a process with a limit, and writes each row of DIR/<part>.json as soon as it is known. What was skipped
stands there with the reason. Parts that are done are not done again; --again does. On a machine without some of the
packages, see benchmarks/cuda_wheels.py.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.gpu.parts import GRACE, LEAST, PARTS, done, inside, start

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "docs" / "gpu.md"
SECONDS = 525.0


def main() -> int:
    """The exit status: 1 where a number was wrong."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.inside:
        inside(given.inside, given.out, given.seconds, given.small)
        return 0
    if not given.report:
        measure(given)
    from benchmarks.gpu import told  # only now: the parts need the device's memory, and this process none of it

    report = told.collected(given.out)
    print("\n".join(told.lines(report)))
    if given.report:
        told.publish(report, RESULTS, README if given.readme is None else given.readme)
    else:
        told.write(report, given.out)
    return int(bool(told.wrong(report)))


def measure(given: argparse.Namespace) -> None:
    """Part by part, until all is done or no time is left."""
    end = time.monotonic() + given.seconds
    for name in given.parts:
        if given.again:
            (given.out / f"{name}.json").unlink(missing_ok=True)
        if done(given.out, name, given.small):
            print(f"{name}: done before")
            continue
        left = end - time.monotonic() - GRACE
        if left < LEAST:
            print(f"{name}: skipped, {max(left, 0):.0f} s are left of {given.seconds:.0f}; call again for it")
            continue
        begin = time.monotonic()
        alone = given.small or len(given.parts) == 1
        limit = left if alone else min(left, PARTS[name].seconds)
        problem = start(name, given.out, limit, given.small)
        took = time.monotonic() - begin
        print(f"{name}: {took:.0f} s of {limit:.0f}{', ' + problem if problem else ''}", flush=True)


def arguments() -> argparse.Namespace:
    """The command's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts' files")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    parser.add_argument("--small", action="store_true", help="tiny sizes, on any machine")
    parser.add_argument("--again", action="store_true", help="what is done, too")
    parser.add_argument("--report", action="store_true", help="measure nothing; publish what the folder has")
    parser.add_argument("--readme", type=Path, help="the page that gets the table with --report (docs/gpu.md)")
    parser.add_argument("--inside", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
