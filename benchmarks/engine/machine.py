"""What the figures depend on: the machine and the commit. Never the machine's name."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import cpuinfo  # of pytest-benchmark
import jax
import psutil

import jaxcoopt
from jaxcoopt.run.shards import cores


def machine() -> dict[str, Any]:
    """CPU model, cores, memory, the device that JAX runs on, and how busy the machine was before we began."""
    device = jax.devices()[0]
    return {
        "cpu": cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or "unknown",
        "architecture": platform.machine(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device.platform,
        "device_kind": device.device_kind,
        "system": platform.system(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def device_memory() -> float:
    """Bytes that arrays can take on the device that JAX runs on."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    return float(stats["bytes_limit"]) if stats and "bytes_limit" in stats else float(psutil.virtual_memory().total)


def commit() -> str | None:
    """The commit of the checkout that the package is imported from, "+" where files differ from it; None elsewhere."""
    folder = Path(jaxcoopt.__file__).parent
    head, changed = (_git(folder, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", ".")))
    return None if head is None else head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
