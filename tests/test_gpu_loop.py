"""What the loop for a GPU asks of it in one iteration, read from what JAX traced: no GPU is needed."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcoopt as jc
from benchmarks.engine.case import Case
from benchmarks.gpu_program import alone, engine
from jaxcoopt import platform
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.run.loop import advance_records
from jaxcoopt.run.prepare import prepare

SMALL = Case(nodes=12, degree=4, runs=3, params=2)
LOG = jc.channels.LogQuantizer(0.5, placement="message")
BOTH = jc.CoOptimizer(jc.methods.LaplacianFlow(0.05), jc.methods.GradientTracking(0.02), LOG)
DUAL = jc.CoOptimizer(
    jc.methods.DualFlow(), jc.methods.GradientTracking(0.02), jc.channels.LogQuantizer(0.5, placement="innovation")
)
# What ends a kernel: a gather, a sum over nodes or neighbours, a product of matrices. XLA makes one kernel of several
# that read the same array, so these counts bound what `benchmarks/gpu_program.py` counts after compiling.
ENDS = ("gather", "reduce", "reduce_sum", "reduce_max", "reduce_min", "dot_general")
HOST = ("pure_callback", "io_callback", "debug_callback")


@pytest.fixture
def gpu(monkeypatch, float32):
    """Its loop is traced anew, and what was traced is forgotten."""
    jax.clear_caches()
    monkeypatch.setenv(platform.FORCED, "gpu")
    yield
    jax.clear_caches()


def primitives(jaxpr) -> Counter:
    """How often each is used, inner functions and loops included; those of loops once."""
    found = Counter()
    for each in jaxpr.eqns:
        found[each.primitive.name] += 1
        found["float64"] += any(getattr(var.aval, "dtype", None) == np.float64 for var in each.outvars)
        for inner in jax.tree.leaves(list(each.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                found += primitives(getattr(inner, "jaxpr", inner))
    return found


def iteration(jaxpr):
    """The innermost loop whose length is not known, as XLA sees it."""
    loops = [each for each in jaxpr.eqns if each.primitive.name == "while"]
    if loops:
        body = max((each.params["body_jaxpr"].jaxpr for each in loops), key=lambda body: len(str(body)))
        return iteration(body) or body
    inner = (each.params["jaxpr"].jaxpr for each in jaxpr.eqns if each.primitive.name in ("pjit", "jit"))
    return next(filter(None, map(iteration, inner)), None)


def program(method: jc.CoOptimizer, half: str = ""):
    problem, network = engine(SMALL, half=half)()
    setup, carry = prepare(problem, network, method, SMALL.runs, 0, None, None, jc.Optimum())
    return jax.make_jaxpr(advance_records)(setup, carry, jnp.zeros(64, jnp.int32), jnp.asarray(1, jnp.int32)).jaxpr


def check(found: Counter) -> None:
    assert not found["cond"]
    assert not found["while"]
    assert not found["float64"]
    assert not any(found[name] for name in HOST)
    assert not any(count for name, count in found.items() if name.startswith("scatter"))


@pytest.mark.parametrize(("method", "most"), [(BOTH, 7), (DUAL, 47)], ids=["message", "dual flow"])
def test_an_iteration_has_as_many_gathers_and_sums_as_before(gpu, method, most):
    """A change that needs more of them is seen; one that needs less lowers the number here."""
    found = primitives(iteration(program(method)))
    check(found)
    assert sum(found[name] for name in ENDS) == most


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_method_stays_on_the_gpu(gpu, entry):
    found = primitives(iteration(program(alone(entry, LOG), entry.half)))
    check(found)
    assert 0 < sum(found[name] for name in ENDS) <= 47


def test_the_loop_for_a_cpu_is_another_one(float32):
    """Its branches are found, so that the tests above can fail."""
    assert primitives(program(DUAL))["cond"]
