"""float64 and strict promotion for the whole suite, set before jaxcoopt is imported.

Tracing and compiling take most of the suite's time, and a test's program runs for a few iterations only. So the
compiler leaves out what makes programs fast (a third of its time); with JAXCOOPT_TEST_OPTIMISED=1 it compiles as for a
user. With JAXCOOPT_TEST_TYPED=1 every function of the package checks the types and shapes that it declares, which takes
a fifth more. CI sets both, the first for the slow tests. Compiled programs are kept in pytest's cache folder, for the
other worker, for subprocesses and for the next time.
"""

import gc
import os
import zlib
from importlib.metadata import version
from pathlib import Path

if not os.environ.get("JAXCOOPT_TEST_OPTIMISED"):
    quick = ["--xla_backend_optimization_level=0", "--xla_disable_hlo_passes=while-loop-invariant-code-motion"]
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):  # later ones end the process at a flag they lack
        quick += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
    os.environ["XLA_FLAGS"] = " ".join([*quick, os.environ.get("XLA_FLAGS", "")])

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA calls tuning hints missing features (jax issue 38445)

import jax
import jaxtyping
import numpy as np
import psutil
import pytest
import slow
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_traceback_in_locations_limit", 0)  # places in programs, which nobody reads here
if os.environ.get("JAXCOOPT_TEST_TYPED"):
    install_import_hook("jaxcoopt", "beartype.beartype")

from jaxcoopt.run import loop

SEED = "JAXCOOPT_TEST_SEED"  # set it to repeat a session's random problems


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """One seed for the session, for hypothesis, too, and for xdist's workers, which inherit the environment."""
    os.environ.setdefault(SEED, str(int.from_bytes(os.urandom(4), "little")))
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ[SEED]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What tests/slow.py names is slow."""
    seen = {}
    for item in items:
        if slow.left_out(item.path.name, item.name, seen):
            item.add_marker(pytest.mark.slow)
        if slow.is_long(item.name):
            item.add_marker(pytest.mark.long)


def pytest_collection_finish():
    """What is imported stays, and is not gone through again whenever traces leave garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_report_header():
    return f"random problems: {SEED}={os.environ[SEED]}"


ROOM = 3 * 2**30  # bytes of programs that a worker keeps: a thousand take more than a small machine has
kept = 0


def pytest_runtest_teardown(item, nextitem):
    """Programs of tests that are over go where they are many; they come back from the cache folder."""
    global kept
    if psutil.Process().memory_info().rss > kept + ROOM:
        jax.clear_caches()
        gc.collect()
        kept = psutil.Process().memory_info().rss


@pytest.fixture(autouse=True, scope="session")
def programs_stay():
    """Until they are let go above: the library would do so sooner."""
    from jaxcoopt import programs

    programs.MOST = 2 * ROOM


@pytest.fixture
def rng(request):
    """Fresh random numbers each session, the same for a test wherever it runs; the seed is printed on failure."""
    print(f"{SEED}={os.environ[SEED]}")
    return np.random.default_rng([int(os.environ[SEED]), zlib.crc32(request.node.name.encode())])


@pytest.fixture
def optimised(monkeypatch):
    """The loop compiled as for a user. Flows sum to exactly 0 where both ends of a link are compiled alike: without
    optimisation a hub's may be fused in another way than its neighbours'.
    """
    options_for = loop.options_for
    monkeypatch.setattr(loop, "options_for", lambda runs: options_for(runs) | {"xla_backend_optimization_level": 3})


@pytest.fixture
def float32():
    """The test runs in single precision, as for a user who has not set jax_enable_x64."""
    with jax.enable_x64(False):
        yield


@pytest.fixture
def untyped():
    """The library's own checks without the array types' in front of them, as for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def unchecked():
    """Shapes stand for arrays here, which the run-time checks of array types do not know."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
