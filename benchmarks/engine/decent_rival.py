"""decent-bench 0.3 as a separate program: its gradient tracking, one run, in an environment of its own.

It is AGPL-3.0 and needs Python 3.13, so it is neither a dependency nor imported: a script that ships beside this file
as data is handed to that interpreter. Never more than a measurement comes back.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from benchmarks.engine.agree import ITERATIONS, agreement
from benchmarks.engine.case import DECENT_NODES, DECENT_PARAMS, SAMPLES
from benchmarks.engine.engine import State
from benchmarks.engine.instance import RHO, RIDGE, TRAINING_STEP, Instance
from benchmarks.engine.numpy_rival import NumpyRival

REQUIREMENTS = ("decent-bench==0.3.0", "jinja2")
MINUTES = 5
PROGRAM = Path(__file__).with_name("decent_bench_program.txt")


def measure(instance: Instance, start: State) -> dict[str, Any]:
    """{"algorithms": {name: seconds of an iteration of one run}, "agreement"}, or {"absent": why}.

    The library's own two gradient trackings move in another order than the paper's; the paper's iteration, written on
    the library, is timed too, and its answer is held to that of the NumPy rival, on the first graph alone.
    """
    if instance.case.nodes > DECENT_NODES or instance.case.params > DECENT_PARAMS:
        return {"absent": f"only up to {DECENT_NODES} nodes and {DECENT_PARAMS} parameters: it would take minutes"}
    try:
        python = environment()
        numbers = _numbers(instance) | {"start": start.y[..., 0].tolist(), "iterations": ITERATIONS}
        done = _run([str(python), str(PROGRAM)], input=json.dumps(numbers))
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return {"absent": str(error)}
    found = json.loads(done.splitlines()[-1])
    return {"algorithms": found["algorithms"], "agreement": _agreement(instance, start, found["state"])}


def _agreement(instance: Instance, start: State, y: list[list[float]]) -> dict[str, Any]:
    """Of run 0 in float64, with a network that does not switch."""
    first = State(start.x[:, :1].astype(np.float64), start.y[..., :1].astype(np.float64))
    ours = NumpyRival(replace(instance, laplacians=instance.laplacians[:1]), first, block=1)
    ours.advance(ITERATIONS)
    expected = ours.state()
    return agreement(expected, State(expected.x, np.asarray(y)[..., None]))


def _numbers(instance: Instance) -> dict[str, Any]:
    """Its first graph only: the library's graphs do not switch."""
    features = instance.features
    pull = (features.transpose(0, 2, 1) @ instance.targets[..., None] / SAMPLES)[..., 0]
    gram = features.transpose(0, 2, 1) @ features / SAMPLES
    for each in gram:
        each.flat[:: gram.shape[1] + 1] += RIDGE
    return {
        "gram": gram.tolist(),
        "pull": pull.tolist(),
        "edges": [list(map(int, edge)) for edge in instance.graphs[0].edges],
        "rho": RHO if instance.case.channel == "log" else None,
        "step": TRAINING_STEP,
    }


@functools.cache
def environment() -> Path:
    """The interpreter of a virtual environment in the user's cache folder that has decent-bench; made on first use.

    Raises RuntimeError saying what is missing.
    """
    folder = platformdirs.user_cache_path("jaxcoopt") / "decent-bench-0.3.0"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    _run([str(find_python()), "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS])
    (folder / "complete").touch()
    return python


def find_python() -> Path:
    """A Python 3.13: this one, on the PATH, of pyenv or of uv. Raises RuntimeError where there is none."""
    if sys.version_info[:2] == (3, 13):
        return Path(sys.executable)
    roots = (Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions").glob("3.13*/bin/python3.13")
    named = [shutil.which("python3.13"), *sorted(map(str, roots), reverse=True), _from_uv()]
    for path in filter(None, named):
        try:
            _run([path, "-c", "import sys, venv, ensurepip; assert sys.version_info[:2] == (3, 13)"])
        except (RuntimeError, OSError):  # a shim that leads nowhere, or one without venv
            continue
        return Path(path)
    raise RuntimeError("no Python 3.13 was found on the PATH, with pyenv or with uv; decent-bench 0.3 needs one")


def _from_uv() -> str | None:
    uv = shutil.which("uv")
    if uv is None:
        return None
    done = subprocess.run([uv, "python", "find", "3.13"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: list[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, check=False, **options)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{Path(command[0]).name} {' '.join(command[1:3])[:60]} failed: {last}")
    return done.stdout
