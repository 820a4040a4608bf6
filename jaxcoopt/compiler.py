"""Which options programs are compiled with: the loop, by the platform and the number of runs; what runs once, to be
compiled soon.
"""

from collections.abc import Callable
from functools import cache, wraps
from importlib.metadata import version
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcoopt.errors import traced
from jaxcoopt.host import inside_jit
from jaxcoopt.platform import on_gpu

LEAST_WIDE = 16  # runs, whose loops are worth wide vectors
SMALL, MOST = 500, 1_000_000  # numbers of an array in one run and in all runs, for which nothing is optimised

Options = dict[str, bool | int | str]
# XLA's own list, and WHILE.
IN_A_GRAPH = "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,DYNAMIC_SLICE_FUSION,WHILE"

Given = ParamSpec("Given")
Found = TypeVar("Found")


def options_for(runs: int) -> Options:
    """XLA's options for a program of so many runs.

    On a GPU the whole call is one CUDA graph: without it the host is asked after every iteration whether to go on. Not
    measured yet, for want of a GPU.

    On a CPU all were measured (benchmarks/NOTES.md). Vectors of 512 bits halve the quantizer's time from `LEAST_WIDE`
    runs on; with fewer runs they cost a third. Where the processor has none, the option does nothing.

    Not used: `xla_cpu_use_fusion_emitters=False`, which jaxlib has up to 0.10. It saves 1 to 2 s of a first answer's
    compiling, but iterations over quantized links take 2 to 2.8 times as long.
    """
    if on_gpu():
        return {"xla_gpu_enable_command_buffer": IN_A_GRAPH}
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_prefer_vector_width": 512 if runs >= LEAST_WIDE else 256}


def compiled_soon(function: Callable[Given, Found], static: tuple[str, ...] = ()) -> Callable[Given, Found]:
    """`jax.jit` for what runs once or a few times: where all arrays are small it is not optimised on a CPU, and
    compiles in a quarter of the time; static: names of arguments that are no arrays.

    Small are arrays of few numbers in a run, whatever the number of runs, so that a run's numbers do not depend on the
    others. Inside of jit or grad it is `jax.jit`.
    """
    plain = jax.jit(function, static_argnames=static)

    @cache
    def soon() -> Any:
        return jax.jit(function, static_argnames=static, compiler_options=_options_for_once())

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        given = args, kwargs
        known = jax.default_backend() == "cpu" and not (inside_jit() or traced(given))
        return (soon() if known and _small(given) else plain)(*args, **kwargs)

    return call


def _small(given: PyTree) -> bool:
    """Whether every array is: the last axis is that of the runs."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(given)]
    return all(np.prod(shape[:-1]) <= SMALL and np.prod(shape) <= MOST for shape in shapes)


def _options_for_once() -> Options:
    """Nothing is optimised; up to jaxlib 0.10, which has them, kernels by the first emitters, all in one piece."""
    options: Options = {"xla_backend_optimization_level": 0}
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
        options |= {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
    return options
