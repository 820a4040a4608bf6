"""What the figures depend on: the machine, the versions, the commit. Never the machine's name."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

import jaxcoopt
from jaxcoopt.run.shards import cores

PACKAGES = ("jaxcoopt", "jax", "jaxlib", "numpy", "scipy", "networkx", "pytest-benchmark")


def machine() -> dict[str, Any]:
    """CPU model, cores, memory, the device that JAX runs on, and how busy the machine was before we began."""
    device = jax.devices()[0]
    return {
        "cpu": _cpu(),
        "architecture": platform.machine(),
        "cores": cores(),
        "memory_gib": round(_host_memory() / 2**30, 1),
        "device": device.platform,
        "device_kind": device.device_kind,
        "system": platform.system(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def device_memory() -> float:
    """Bytes that arrays can take on the device that JAX runs on."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    return float(stats["bytes_limit"]) if stats and "bytes_limit" in stats else _host_memory()


def versions() -> dict[str, str]:
    """Of Python and of the packages that take part."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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


def _cpu() -> str:
    """As the system calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _host_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):  # a system that does not tell
        return 8 * 2.0**30
