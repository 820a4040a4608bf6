"""The parts of the benchmark on a GPU, the most telling first: each a process of its own, with a limit."""

import json
import os
import platform as machine
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu.sheet import Sheet

ROOT = Path(__file__).parents[2]
GRACE = 8.0  # seconds after its limit, in which a part ends by itself
LEAST = 15.0  # seconds that are worth a part's start


@dataclass(frozen=True)
class Part:
    """module: `run(sheet)` of it; seconds: its share of nine minutes; environment: of its process."""

    module: str
    seconds: float
    about: str
    environment: Mapping[str, str]


HALF = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}  # of the memory, as the rivals want theirs
PARTS = {
    "correct": Part("part_correct", 90, "numbers against NumPy loops, budgets, bits, slopes", {}),
    "engine": Part("part_engine", 145, "microseconds of an iteration", {}),
    "rivals": Part("part_rivals", 110, "the same by a vmapped step, PyTorch and CuPy", HALF),
    "choices": Part("part_choices", 75, "each choice for a GPU switched off", {}),
    "sweep": Part("part_sweep", 60, "a sweep of a million runs", {}),
    "tune": Part("part_tune", 45, "reverse mode beside the plain run", {}),
}


def done(folder: Path, part: str, small: bool) -> bool:
    """Whether an earlier call has finished it, with nothing left out for want of time."""
    file = folder / f"{part}.json"
    if not file.exists():
        return False
    kept = json.loads(file.read_text())
    cut = any("again" in row or "error" in row for row in kept["rows"])
    return kept["complete"] and kept["small"] == small and not cut


def start(name: str, folder: Path, seconds: float, small: bool) -> str:
    """Runs a part in a process of its own, which is ended where it lasts too long; what became of it, in words."""
    part = PARTS[name]
    environment = dict(part.environment) | os.environ | {"PYTHONPATH": str(ROOT)}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "jaxcoopt-cuda-xla"))
    environment.setdefault("JAXCOOPT_LOOP", "gpu")  # on a CPU, too, where this is tried
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    command = [
        sys.executable,
        "-m",
        "benchmarks.cuda",
        "--inside",
        name,
        "--out",
        str(folder),
        "--seconds",
        str(seconds),
    ]
    command += ["--small"] if small else []
    try:
        rc = subprocess.run(command, cwd=ROOT, env=environment, timeout=seconds + GRACE, check=False).returncode
    except subprocess.TimeoutExpired:
        return f"ended after {seconds + GRACE:.0f} s"
    return "" if rc == 0 else f"ended with {rc}"


def inside(name: str, folder: Path, seconds: float, small: bool) -> None:
    """The part itself, in its process."""
    sheet = Sheet(folder, name, seconds, small)
    begin = time.monotonic()
    sheet.about = about_the_machine() | {"seconds": seconds}
    sheet.save(complete=False)
    import_module(f"benchmarks.gpu.{PARTS[name].module}").run(sheet)
    sheet.about["wall_seconds"] = round(time.monotonic() - begin, 1)
    sheet.save(complete=True)


def about_the_machine() -> dict[str, Any]:
    """What the figures depend on; never the machine's name."""
    import jax

    from jaxcoopt.run.shards import cores
    from jaxcoopt.versions import versions

    device = jax.devices()[0]
    stats = (device.memory_stats() or {}) if device.platform != "cpu" else {}
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "memory_limit_bytes": stats.get("bytes_limit"),
        "cores": cores(),
        "system": machine.system(),
        "versions": versions("torch", "cupy-cuda13x", "cupy-cuda12x", "cupy"),
    }
