"""The iteration as one hand-written CUDA kernel, through CuPy: what an expert would write for this one method.

A thread is one node in one run. It reads its neighbours' messages, moves x, y and z, and writes its next messages to
the other of two buffers, so that an iteration is one kernel and every array is touched once. A hundred iterations are
one CUDA graph. Two graphs that change in turns, log-quantized messages, float32.
"""

from typing import Any

import numpy as np

from benchmarks.engine.engine import State
from benchmarks.engine.instance import (
    FLOW_STEP,
    LOWER,
    PENALTY,
    RHO,
    RIDGE,
    SHARPNESS,
    TRAINING_STEP,
    UPPER,
    Instance,
)
from benchmarks.engine.vmap_rival import neighbour_tables

THREADS, IN_A_GRAPH = 128, 100

SOURCE = r"""
__device__ float quantized(float u) {
  float level = expf(RHO * rintf(logf(fabsf(u)) / RHO));
  return u == 0.0f ? 0.0f : copysignf(level, u);
}

__device__ float sigmoid(float t) { return 1.0f / (1.0f + expf(-t)); }

__device__ float price(float x, float curvature, float center) {
  float push = sigmoid(SHARPNESS * (x - UPPER)) - sigmoid(SHARPNESS * (LOWER - x));
  return curvature * (x - center) + PENALTY * push;
}

// x [n][runs], y, z, g [n][M][runs], messages [n][2 M + 1][runs]; neighbour, weight [n][SLOTS]; gram [n][M][M]
extern "C" __global__ void iterate(int n, int runs, const int* neighbour, const float* weight, const float* gram,
    const float* pull, const float* curvature, const float* center, float* x, float* y, float* z, float* g,
    const float* sent, float* next) {
  long at = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= (long)n * runs) return;
  const int i = (int)(at / runs), r = (int)(at % runs);
  const long C = 2 * M + 1, mine = (long)i * C * runs + r, rows = (long)i * M * runs + r;
  float mixed[2 * M + 1], own[2 * M + 1], new_y[M];
  for (int c = 0; c < C; c++) { mixed[c] = 0.0f; own[c] = sent[mine + c * runs]; }
  for (int s = 0; s < SLOTS; s++) {
    const float w = weight[i * SLOTS + s];
    const long theirs = (long)neighbour[i * SLOTS + s] * C * runs + r;
    for (int c = 0; c < C; c++) mixed[c] += w * (sent[theirs + c * runs] - own[c]);
  }
  for (int a = 0; a < M; a++) new_y[a] = y[rows + a * runs] + mixed[a] - TRAINING_STEP * z[rows + a * runs];
  for (int a = 0; a < M; a++) {
    float slope = -pull[i * M + a];
    for (int b = 0; b < M; b++) slope += gram[(i * M + a) * M + b] * new_y[b];
    const float new_z = z[rows + a * runs] + mixed[M + a] + slope - g[rows + a * runs];
    y[rows + a * runs] = new_y[a];
    z[rows + a * runs] = new_z;
    g[rows + a * runs] = slope;
    next[mine + a * runs] = quantized(new_y[a]);
    next[mine + (M + a) * runs] = quantized(new_z);
  }
  const float new_x = x[at] + FLOW_STEP * mixed[2 * M];
  x[at] = new_x;
  next[mine + 2 * M * runs] = quantized(price(new_x, curvature[i], center[i]));
}
"""


def source(params: int, slots: int) -> str:
    """With the constants of a case."""
    constants = {
        "M": params,
        "SLOTS": slots,
        "RHO": f"{RHO}f",
        "FLOW_STEP": f"{FLOW_STEP}f",
        "TRAINING_STEP": f"{TRAINING_STEP}f",
        "PENALTY": f"{PENALTY}f",
        "SHARPNESS": f"{SHARPNESS}f",
        "LOWER": f"{LOWER}f",
        "UPPER": f"{UPPER}f",
    }
    return "".join(f"#define {name} {value}\n" for name, value in constants.items()) + SOURCE


def arrays(
    instance: Instance, start: State
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray], list[np.ndarray]]:
    """As the kernel reads them: of each graph neighbours and weights; gram, pull, curvature and center; x, y, z, g
    and the first messages.
    """
    neighbours, weights = (np.array(table) for table in neighbour_tables(instance, np.float32))
    features, samples = instance.features, instance.features.shape[1]
    gram = features.transpose(0, 2, 1) @ features / samples + RIDGE * np.eye(instance.case.params)
    pull = (features.transpose(0, 2, 1) @ instance.targets[..., None] / samples)[..., 0]
    of_problem = [np.asarray(each, np.float32) for each in (gram, pull, instance.curvature, instance.center)]
    x, y = np.array(start.x, np.float32), np.array(start.y, np.float32)
    slope = np.matmul(of_problem[0], y) - of_problem[1][..., None]
    with np.errstate(divide="ignore", over="ignore"):
        push = 1 / (1 + np.exp(-SHARPNESS * (x - UPPER))) - 1 / (1 + np.exp(-SHARPNESS * (LOWER - x)))
        price = of_problem[2][:, None] * (x - of_problem[3][:, None]) + PENALTY * push
        values = np.concatenate([y, slope, price[:, None].astype(np.float32)], axis=1)
        sent = np.copysign(np.exp(RHO * np.rint(np.log(np.abs(values)) / RHO)), values)
    of_runs = [x, y, slope, slope.copy(), np.where(values == 0, 0, sent).astype(np.float32)]
    tables = list(zip(neighbours.astype(np.int32), weights, strict=True))
    return tables[:2] * (3 - len(tables)), of_problem, of_runs


class CupyRival:
    """On the device, in a stream of its own."""

    unit = IN_A_GRAPH

    def __init__(self, instance: Instance, start: State) -> None:
        import cupy  # pyright: ignore[reportMissingImports]

        self.cupy, case = cupy, instance.case
        tables, of_problem, of_runs = arrays(instance, start)
        self.tables = [tuple(map(cupy.asarray, each)) for each in tables]
        self.problem, self.begin = [cupy.asarray(each) for each in of_problem], of_runs
        *state, sent = (cupy.asarray(each) for each in of_runs)
        self.state_arrays, self.messages = state, [sent, cupy.zeros_like(sent)]
        slots = int(self.tables[0][0].shape[1])
        self.kernel = cupy.RawModule(code=source(case.params, slots)).get_function("iterate")
        self.sizes = np.int32(case.nodes), np.int32(case.runs)
        self.blocks = -(-case.nodes * case.runs // THREADS)
        self.stream, self.iteration = cupy.cuda.Stream(non_blocking=True), 0
        self.graph: Any = None
        cupy.cuda.Device().synchronize()

    def advance(self, iterations: int) -> None:
        """So many iterations, until the device is done; whole hundreds as CUDA graphs."""
        with self.stream:
            if self.iteration % 2 and iterations:
                self._step(self.iteration)
                iterations -= 1
            if iterations >= IN_A_GRAPH and self.graph is None:
                self._step(0)  # loads the kernel; two of them, so that the parity stays
                self._step(1)
                iterations -= 2
                self.stream.begin_capture()
                for k in range(IN_A_GRAPH):
                    self._step(k)
                self.graph = self.stream.end_capture()
                self.iteration -= IN_A_GRAPH  # they were recorded only
            for _ in range(iterations // IN_A_GRAPH if self.graph is not None else 0):
                self.graph.launch(self.stream)  # pyright: ignore[reportOptionalMemberAccess]
                self.iteration += IN_A_GRAPH
                iterations -= IN_A_GRAPH
            for _ in range(iterations):
                self._step(self.iteration)
        self.stream.synchronize()

    def restart(self) -> None:
        """Back to the start, in the same arrays."""
        for array, begin in zip([*self.state_arrays, self.messages[0]], self.begin, strict=True):
            array.set(begin)
        self.iteration = 0

    def _step(self, iteration: int) -> None:
        neighbour, weight = self.tables[iteration % 2]
        sent, following = self.messages[iteration % 2], self.messages[1 - iteration % 2]
        arguments = (*self.sizes, neighbour, weight, *self.problem, *self.state_arrays, sent, following)
        self.kernel((self.blocks,), (THREADS,), arguments)
        self.iteration += 1

    def state(self) -> State:
        """In the engine's layout."""
        x, y = (self.cupy.asnumpy(each) for each in self.state_arrays[:2])
        return State(x, y)
