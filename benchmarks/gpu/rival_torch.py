"""The same iteration in PyTorch: whole arrays, compiled by torch.compile where that works, replayed as CUDA graphs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.engine.engine import State
from benchmarks.engine.instance import FLOW_STEP, LOWER, PENALTY, RHO, SHARPNESS, TRAINING_STEP, UPPER, Instance
from benchmarks.gpu.rival_cupy import arrays

IN_A_GRAPH = 20  # iterations; the arrays go back to where they came from once in so many
WAYS = ("apart", "joint")  # three gathers, or one of all that a link carries


class TorchRival:
    """x [n, runs], y, z and the gradient [n, m, runs]; on a GPU, or on a CPU for its numbers."""

    unit = IN_A_GRAPH

    def __init__(self, instance: Instance, start: State, way: str, compiled: bool, device: str = "cuda") -> None:
        import torch  # pyright: ignore[reportMissingImports]

        torch.backends.cuda.matmul.allow_tf32 = False
        self.torch, self.device, self.iteration = torch, device, 0
        tables, of_problem, (x, y, z, g, _) = arrays(instance, start)
        there = lambda each: torch.as_tensor(each, device=device)  # noqa: E731
        self.tables = [(there(ids.astype(np.int64)), there(weights)) for ids, weights in tables]
        self.problem = [there(each) for each in of_problem]
        self.begin = [x, y, z, g]
        self.at = [there(each.copy()) for each in self.begin]
        step = {"apart": _apart, "joint": _joint}[way]
        self.step: Callable[..., Any] = torch.compile(step, dynamic=False) if compiled else step
        self.graph: Any = None

    def advance(self, iterations: int) -> None:
        """So many iterations, until the device is done."""
        with self.torch.inference_mode():
            if self.device != "cuda":
                return self._by_steps(iterations)
            if iterations >= IN_A_GRAPH and self.graph is None and self.iteration % 2 == 0:
                self._capture()
            while self.graph is not None and iterations >= IN_A_GRAPH and self.iteration % 2 == 0:
                self.graph.replay()
                self.iteration += IN_A_GRAPH
                iterations -= IN_A_GRAPH
            self._by_steps(iterations)
        return self.torch.cuda.synchronize()

    def _by_steps(self, iterations: int) -> None:
        for _ in range(iterations):
            for kept, new in zip(self.at, self._next(self.at, self.iteration), strict=True):
                kept.copy_(new)
            self.iteration += 1

    def _next(self, at: Any, iteration: int) -> Any:
        return self.step(*self.tables[iteration % 2], *self.problem, *at)

    def _capture(self) -> None:
        """After a few steps in another stream, as PyTorch asks for; the arrays stand where they did afterwards."""
        torch = self.torch
        kept = [each.clone() for each in self.at]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for k in range(4):
                self._next(self.at, k)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            at = self.at
            for k in range(IN_A_GRAPH):
                at = self._next(at, k)
            for old, new in zip(self.at, at, strict=True):
                old.copy_(new)
        for old, new in zip(self.at, kept, strict=True):
            old.copy_(new)

    def restart(self) -> None:
        """Back to the start, in the same arrays."""
        for array, begin in zip(self.at, self.begin, strict=True):
            array.copy_(self.torch.as_tensor(begin))
        self.iteration = 0

    def state(self) -> State:
        """In the engine's layout."""
        x, y = (each.cpu().numpy().copy() for each in self.at[:2])
        return State(x, y)


def _quantized(u: Any) -> Any:
    level = ((u.abs().log() / RHO).round() * RHO).exp()
    return (u.sign() * level).masked_fill(u == 0, 0.0)


def _mixed(ids: Any, weights: Any, u: Any) -> Any:
    """sum_j w_ij (u_j - u_i), u [n, columns, runs]."""
    return (weights[:, :, None, None] * (u[ids] - u[:, None])).sum(1)


def _price(x: Any, curvature: Any, center: Any) -> Any:
    push = (SHARPNESS * (x - UPPER)).sigmoid() - (SHARPNESS * (LOWER - x)).sigmoid()
    return curvature[:, None] * (x - center[:, None]) + PENALTY * push


def _moved(of_x: Any, of_y: Any, of_z: Any, gram: Any, pull: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
    y = y + of_y - TRAINING_STEP * z
    slope = gram @ y - pull[:, :, None]
    return x + FLOW_STEP * of_x, y, z + of_z + slope - g, slope


def _apart(
    ids: Any, weights: Any, gram: Any, pull: Any, curvature: Any, center: Any, x: Any, y: Any, z: Any, g: Any
) -> Any:
    price = _quantized(_price(x, curvature, center))[:, None]
    mixed = [_mixed(ids, weights, sent) for sent in (price, _quantized(y), _quantized(z))]
    return _moved(mixed[0][:, 0], mixed[1], mixed[2], gram, pull, x, y, z, g)


def _joint(
    ids: Any, weights: Any, gram: Any, pull: Any, curvature: Any, center: Any, x: Any, y: Any, z: Any, g: Any
) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    m = y.shape[1]
    mixed = _mixed(ids, weights, _quantized(torch.cat([y, z, _price(x, curvature, center)[:, None]], 1)))
    return _moved(mixed[:, 2 * m], mixed[:, :m], mixed[:, m : 2 * m], gram, pull, x, y, z, g)
