"""Which options the loop is compiled with: by the platform and the number of runs."""

import jax

from jaxcoopt.platform import on_gpu

LEAST_WIDE = 16  # runs, whose loops are worth wide vectors

Options = dict[str, bool | int | str]
# XLA's own list, and WHILE.
IN_A_GRAPH = "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,DYNAMIC_SLICE_FUSION,WHILE"


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
