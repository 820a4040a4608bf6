"""Wheels for a machine with a GPU that reaches no package index: python benchmarks/cuda_wheels.py DIR

Collected with pip for Python 3.12 on Linux x86-64: this project, and those of its packages that such a machine was seen
to lack beside JAX, NumPy, SciPy, NetworkX, optax, jaxtyping, psutil, xarray and typer. The command to run there is
printed. A folder of more than 60 MiB is refused: less travels with a working tree.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 60 * 2**20  # bytes
WITH_THEIRS = ("pydantic",)  # it asks for one version of pydantic-core
ALONE = ("platformdirs", "tomli-w", "zarr", "numcodecs", "donfig", "google-crc32c", "msgspec", "pyyaml")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
Run = Callable[[Sequence[str]], None]


def pip(words: Sequence[str]) -> None:
    """Raises CalledProcessError where it fails; what it says goes to the screen."""
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)


def collect(folder: Path, run: Run = pip) -> list[Path]:
    """The wheels, in a folder that had none. Raises ValueError for one that has, or where they are too many bytes."""
    if list(folder.glob("*.whl")):
        raise ValueError(f"{folder}: it has wheels already; give an empty folder, so that none of them is out of date")
    folder.mkdir(parents=True, exist_ok=True)
    there = ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "abi3", "--abi", "none"]
    there += [word for name in PLATFORMS for word in ("--platform", name)]
    download = ["download", "-q", "--only-binary=:all:", *there, "-d", str(folder)]
    run([*download, *WITH_THEIRS])
    run([*download, "--no-deps", *ALONE])
    run(["wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)])
    wheels = sorted(folder.glob("*.whl"))
    size = sum(wheel.stat().st_size for wheel in wheels)
    if size > MOST:
        raise ValueError(f"{folder}: {size / 2**20:.0f} MiB of wheels, at most {MOST / 2**20:.0f} can be carried")
    return wheels


def command(folder: Path) -> str:
    """What is to be run on the other machine, in the folder that holds this one."""
    return f"python3 -m pip install --no-index --no-deps {folder}/*.whl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the wheels, empty or not there")
    folder = parser.parse_args().folder
    wheels = collect(folder)
    for wheel in wheels:
        print(f"{wheel.stat().st_size / 2**20:6.2f} MiB  {wheel.name}")
    print(f"{sum(wheel.stat().st_size for wheel in wheels) / 2**20:6.2f} MiB in all. On the machine with the GPU:")
    print(command(folder))


if __name__ == "__main__":
    main()
