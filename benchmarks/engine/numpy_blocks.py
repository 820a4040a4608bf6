"""Blocks of runs in NumPy and SciPy: what `benchmarks.engine.numpy_rival` hands out to its threads."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import _sparsetools

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

QUIET = partial(np.errstate, divide="ignore", over="ignore")  # log of 0, exp far outside the box


class Shared:
    """What all blocks read, in the precision of the run: Laplacians, Gram matrices where they are the shorter way."""

    def __init__(self, instance: Instance, dtype: Any) -> None:
        _, samples, m = instance.features.shape
        self.dtype = dtype
        self.log = instance.case.channel == "log"
        self.laplacians = [
            (matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data.astype(dtype))
            for matrix in instance.laplacians
        ]
        self.curvature, self.center = (a[:, None].astype(dtype) for a in (instance.curvature, instance.center))
        features = instance.features
        self.gram: Any = None
        self.features: Any = None
        if m <= 2 * samples:
            gram = features.transpose(0, 2, 1) @ features / samples + RIDGE * np.eye(m)
            self.gram = gram.astype(dtype)
        else:
            self.features = (features / np.sqrt(samples)).astype(dtype)
        self.pull = (features.transpose(0, 2, 1) @ instance.targets[..., None] / samples).astype(dtype)

    def hessian_times(self, y: np.ndarray, out: np.ndarray) -> None:
        """out = (X^T X / s + l2) y, node by node; y [n, m, runs]. matmul is one BLAS call a node."""
        if self.features is None:
            np.matmul(self.gram, y, out=out)
            return
        np.matmul(self.features.transpose(0, 2, 1), np.matmul(self.features, y), out=out)
        out += np.asarray(RIDGE, y.dtype) * y

    def mix(self, iteration: int, u: np.ndarray, out: np.ndarray) -> None:
        """out += L u: scipy's own kernel, without the copies and checks that its `@` puts around it."""
        indptr, indices, data = self.laplacians[iteration % len(self.laplacians)]
        n = len(indptr) - 1
        _sparsetools.csr_matvecs(n, n, u.size // n, indptr, indices, data, u.reshape(-1), out.reshape(-1))


class Block:
    """Some of the runs, in arrays of their own: y, z [n, m, b], x, price [n, b] and what was sent of them.

    The gradients' difference is H (y(k+1) - y(k)), so that no gradient is kept; y(k+1) - y(k) is what is mixed.
    """

    def __init__(self, shared: Shared, x: np.ndarray, y: np.ndarray) -> None:
        self.shared, self.iteration = shared, 0
        self.x, self.y = (np.array(a, order="C") for a in (x, y))
        self.z, self.move = np.empty_like(self.y), np.empty_like(self.y)
        self.price, self.push = np.empty_like(self.x), np.empty_like(self.x)
        self.flow = np.empty_like(self.x)
        shared.hessian_times(self.y, self.z)
        self.z -= shared.pull
        self.sent = [quantizer(a) if shared.log else (a, lambda: None) for a in (self.y, self.z, self.price)]
        # z may take its own mix in place where what is mixed is a copy; unquantized, it needs room beside it.
        self.change = self.sent[1][0] if shared.log else np.empty_like(self.z)
        with QUIET():
            self._set_price()
            self._send()

    def advance(self, iterations: int) -> None:
        """So many iterations."""
        with QUIET():
            for _ in range(iterations):
                self._step()

    def _step(self) -> None:
        shared, k = self.shared, self.iteration
        (sent_y, _), (sent_z, _), (sent_price, _) = self.sent
        self.flow.fill(0)
        shared.mix(k, sent_price, self.flow)
        np.multiply(self.flow, shared.dtype.type(FLOW_STEP), out=self.flow)
        self.x += self.flow
        np.multiply(self.z, shared.dtype.type(-TRAINING_STEP), out=self.move)
        shared.mix(k, sent_y, self.move)
        self.y += self.move
        if shared.log:
            shared.mix(k, sent_z, self.z)
            shared.hessian_times(self.move, self.change)
        else:
            shared.hessian_times(self.move, self.change)
            shared.mix(k, sent_z, self.change)
        self.z += self.change
        self._set_price()
        self._send()
        self.iteration += 1

    def _send(self) -> None:
        for _, quantize in self.sent:
            quantize()

    def _set_price(self) -> None:
        """a (x - c) + weight (s(x - upper) - s(lower - x)), s the logistic function of sharpness times its argument."""
        shared, price, push = self.shared, self.price, self.push
        one = shared.dtype.type
        np.subtract(self.x, shared.center, out=price)
        price *= shared.curvature
        for sign, end in ((1, UPPER), (-1, LOWER)):
            np.subtract(self.x, one(end), out=push)
            push *= one(-sign * SHARPNESS)
            np.exp(push, out=push)
            push += one(1)
            np.divide(one(sign * PENALTY), push, out=push)
            price += push


class JointBlock(Block):
    """y, z and price in one array [n, 2m + 1, b], so that one product mixes and one pass quantizes all three."""

    def __init__(self, shared: Shared, x: np.ndarray, y: np.ndarray) -> None:
        n, m, b = y.shape
        self.all = np.empty((n, 2 * m + 1, b), y.dtype)
        super().__init__(shared, x, y)
        self.all[:, :m], self.all[:, m : 2 * m], self.all[:, 2 * m] = self.y, self.z, self.price
        self.y, self.z, self.price = self.all[:, :m], self.all[:, m : 2 * m], self.all[:, 2 * m]
        self.mixed = np.empty_like(self.all)
        self.sent = [quantizer(self.all) if shared.log else (self.all, lambda: None)]
        with QUIET():
            self._send()

    def _step(self) -> None:
        shared, m = self.shared, self.y.shape[1]
        self.mixed.fill(0)
        shared.mix(self.iteration, self.sent[0][0], self.mixed)
        mixed, move = self.mixed, self.mixed[:, :m]
        np.multiply(self.z, shared.dtype.type(TRAINING_STEP), out=self.move)
        move -= self.move
        self.all[:, : 2 * m] += mixed[:, : 2 * m]
        shared.hessian_times(move, self.move)
        self.z += self.move
        np.multiply(mixed[:, 2 * m], shared.dtype.type(FLOW_STEP), out=self.flow)
        self.x += self.flow
        self._set_price()
        self._send()
        self.iteration += 1


def quantizer(u: np.ndarray) -> tuple[np.ndarray, Callable[[], None]]:
    """Room for q(u), and what fills it: sgn(u) exp(rho round(ln|u| / rho)).

    The sign is put on by its bit: copysign is not vectorised in NumPy, and takes as long as log and exp together.
    """
    kind = u.dtype.type
    integer = np.int32 if u.dtype.itemsize == 4 else np.int64
    sign = integer(np.iinfo(integer).min)
    q, signs = np.empty_like(u), np.empty(u.shape, integer)
    inverse, rho = kind(1 / RHO), kind(RHO)

    def fill() -> None:
        np.bitwise_and(u.view(integer), sign, out=signs)
        np.abs(u, out=q)
        np.log(q, out=q)
        np.multiply(q, inverse, out=q)
        np.rint(q, out=q)
        np.multiply(q, rho, out=q)
        np.exp(q, out=q)
        bits = q.view(integer)
        np.bitwise_or(bits, signs, out=bits)

    return q, fill
