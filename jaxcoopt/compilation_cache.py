"""Compiled programs kept in a folder, for the next process."""

from functools import cache
from pathlib import Path
from typing import ClassVar

import jax
import platformdirs
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from jaxcoopt.files import located

FOUND, COMPILED = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"


class CompilationCache:
    """Where compiled programs are kept, and how many have been found there since this process began: `folder`, `found`,
    `compiled`.
    """

    _counts: ClassVar[dict[str, int]] = {FOUND: 0, COMPILED: 0}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def found(self) -> int:
        """Programs that were there already."""
        return self._counts[FOUND]

    @property
    def compiled(self) -> int:
        """Programs that were not, and have been compiled and written there."""
        return self._counts[COMPILED]

    def __repr__(self) -> str:
        return f"CompilationCache({str(self.folder)!r}, found={self.found}, compiled={self.compiled})"

    @classmethod
    def count(cls, event: str, **_: str | int) -> None:
        """One more, where JAX tells of a program."""
        if event in cls._counts:
            cls._counts[event] += 1


def compilation_cache(folder: str | Path | None = None) -> CompilationCache:
    """Keep compiled programs in a folder, so that the next process that needs them starts at once.

    folder: by default the one that JAX uses already (JAX_COMPILATION_CACHE_DIR), else jaxcoopt/xla in the user's folder
    for caches, as the command line does. It holds some MB for each shape of a problem, and may be deleted at any time.
    The returned object tells how many programs were found there.

    Raises OSError for a folder that cannot be made, TypeError or ValueError for what can be no path.
    """
    in_use = jax.config.values["jax_compilation_cache_dir"]
    if folder is not None:
        place = located("folder", folder)
    else:
        place = Path(in_use) if in_use else platformdirs.user_cache_path("jaxcoopt") / "xla"
    _keep_in(place)
    return CompilationCache(place)


def _keep_in(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    if str(place) != jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax_cache.reset_cache()  # a process that has compiled without a folder would go on without
    _listen()


@cache
def _listen() -> None:
    jax.monitoring.register_event_listener(CompilationCache.count)
