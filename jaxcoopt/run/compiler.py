"""Which options the loop is compiled with: by the platform and the number of runs."""

import jax

LEAST_WIDE = 16  # runs, whose loops are worth wide vectors

Options = dict[str, bool | int]


def options_for(runs: int) -> Options:
    """XLA's options for a program of so many runs. All were measured on a CPU (benchmarks/NOTES.md).

    Vectors of 512 bits halve the quantizer's time from `LEAST_WIDE` runs on; with fewer runs they cost a third. Where
    the processor has none, the option does nothing.

    Not used: `xla_cpu_use_fusion_emitters=False`, which jaxlib has up to 0.10. It saves 1 to 2 s of a first answer's
    compiling, but iterations over quantized links take 2 to 2.8 times as long.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_prefer_vector_width": 512 if runs >= LEAST_WIDE else 256}
