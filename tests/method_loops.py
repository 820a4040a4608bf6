"""Plain NumPy float64 loops of the registered methods, each in the form in which its paper states it.

One run at a time, nested loops over nodes and neighbours, as tests/numpy_loop.py. A training loop takes y0 [n, m],
gradient(i, y_i), W of every iteration, the method's settings and a function that makes links; it returns y [steps + 1,
n, m]. An allocation loop takes x0 [n], price(i, x_i) and returns x [steps + 1, n].
"""

import numpy as np
import numpy_loop as oracle
from scipy.optimize import brentq


class Link:
    """sum_j w_ij (q(u_j) - q(u_i)) by placement, one transmission at a call; ideal unless said."""

    def __init__(self, quantize=oracle.ideal, placement="difference"):
        self.quantize, self.placement, self.estimate = quantize, placement, None

    def __call__(self, u, weights):
        self.estimate = np.zeros(u.shape) if self.estimate is None else self.estimate
        total, self.estimate = oracle.mix(u, weights, self.quantize, self.placement, self.estimate)
        return total

    def values(self, u):
        """What both ends know of u after one more transmission, and how a difference of it is read."""
        if self.placement == "difference":
            return u, self.quantize
        if self.placement == "message":
            return np.array([self.quantize(number) for number in u]), oracle.ideal
        self.estimate = np.zeros(u.shape) if self.estimate is None else self.estimate
        self.estimate = np.array([e + self.quantize(number - e) for number, e in zip(u, self.estimate, strict=True)])
        return self.estimate, oracle.ideal


def _all(gradient, y):
    return np.array([gradient(i, y[i]) for i in range(len(y))])


# ---------------------------------------------------------------- training


def dgd(y, gradient, sequence, settings, link):
    """Nedic and Ozdaglar 2009: y_i+ = sum_j w_ij y_j - alpha grad g_i(y_i), j = i included."""
    ys, send = [y], link()
    for weights in sequence:
        y = y + send(y, weights) - settings["step"] * _all(gradient, y)
        ys.append(y)
    return np.array(ys)


def extra(y, gradient, sequence, settings, link):
    """Shi et al. 2015: y(1) = W y(0) - alpha g(y(0)), y(k+2) = (I+W) y(k+1) - (I+W)/2 y(k) - alpha (g(k+1) - g(k))."""
    step, send = settings["step"], link()
    mixed, slope, ys = send(y, sequence[0]), _all(gradient, y), [y]
    ys.append(y + mixed - step * slope)
    for weights in sequence[1:]:
        before, now = ys[-2:]
        new_mixed, new_slope = send(now, weights), _all(gradient, now)  # (I + W) u = 2 u + what u receives
        ys.append((2 * now + new_mixed) - (before + mixed / 2) - step * (new_slope - slope))
        mixed, slope = new_mixed, new_slope
    return np.array(ys)


def nids(y, gradient, sequence, settings, link):
    """Li, Shi, Yan 2019: y(1) = y(0) - alpha g(y(0)),
    y(k+2) = (I+W)/2 (2 y(k+1) - y(k) - alpha (g(y(k+1)) - g(y(k)))).
    """
    step, send, slope = settings["step"], link(), _all(gradient, y)
    ys = [y, y - step * slope]
    send(ys[1], np.zeros(sequence[0].shape))  # sent, though not yet used: it matters to estimates only
    for weights in sequence[1:]:
        new_slope = _all(gradient, ys[-1])
        inside = 2 * ys[-1] - ys[-2] - step * (new_slope - slope)
        ys.append(inside + send(inside, weights) / 2)
        slope = new_slope
    return np.array(ys)


def exact_diffusion(y, gradient, sequence, settings, link):
    """Yuan et al. 2019: psi = y - alpha g(y), phi = psi + y - psi(before), y+ = (I+W)/2 phi; psi(-1) = y(0)."""
    send, ys, psi = link(), [y], y
    for weights in sequence:
        new_psi = y - settings["step"] * _all(gradient, y)
        phi = new_psi + y - psi
        y, psi = phi + send(phi, weights) / 2, new_psi
        ys.append(y)
    return np.array(ys)


def lead(y, gradient, sequence, settings, link):
    """Liu et al. 2021, algorithm 1, links that lose nothing: Y = X - eta g - eta D, D += gamma/(2 eta) (I - W) Y,
    X = X - eta g - eta D.
    """
    step, dual, ys, send = settings["step"], np.zeros(y.shape), [y], link()
    for weights in sequence:
        slope = _all(gradient, y)
        sent = y - step * slope - step * dual
        dual = dual - settings["gain"] / (2 * step) * send(sent, weights)
        y = y - step * slope - step * dual
        ys.append(y)
    return np.array(ys)


def choco(y, gradient, sequence, settings, link):
    """Koloskova et al. 2019: half = y - eta g(y), e += q(half - e), y = half + gamma sum_j w_ij (e_j - e_i)."""
    send, ys = link(), [y]
    for weights in sequence:
        half = y - settings["step"] * _all(gradient, y)
        y = half + settings["gain"] * send(half, weights)
        ys.append(y)
    return np.array(ys)


def decentralized_admm(y, gradient, sequence, settings, link):
    """Ling et al. 2015: y+ = y - (g(y) + c sum_j (y_i - y_j) + phi) / (2 c d + rho), phi += c sum_j (y+_i - y+_j).

    With c w_ij on each link. phi starts as c sum_j w_ij (y_i(0) - y_j(0)): any point of the range is a start.
    """
    c, rho, send = settings["penalty"], settings["curvature"], link()
    pull = c * send(y, sequence[0])
    phi, ys = -pull, [y]
    for k, weights in enumerate(sequence):
        slope = _all(gradient, y)
        new = np.zeros(y.shape)
        for i in range(len(y)):
            degree = sum(weights[i, j] for j in range(len(y)) if j != i)
            new[i] = y[i] - (slope[i] - pull[i] + phi[i]) / (2 * c * degree + rho)
        y = new
        ys.append(y)
        if k + 1 < len(sequence):
            pull = c * send(y, sequence[k + 1])
            phi = phi - pull
    return np.array(ys)


def tracking(y, gradient, sequence, settings, link, order="cta"):
    """DIGing, or Aug-DGM with "atc"; with momentum, Xin and Khan 2020: y+ = W y - alpha z + beta (y - y(before))."""
    if "momentum" not in settings:
        return oracle.gradient_tracking_loop(
            y, gradient, sequence, settings["step"], link().quantize, link().placement, order
        )[0]
    send_y, send_z, before, slope, ys = link(), link(), y, _all(gradient, y), [y]
    z = slope
    for weights in sequence:
        new = y + send_y(y, weights) - settings["step"] * z + settings["momentum"] * (y - before)
        before, y = y, new
        new_slope = _all(gradient, y)
        z = z + send_z(z, weights) + new_slope - slope
        slope = new_slope
        ys.append(y)
    return np.array(ys)


# ---------------------------------------------------------------- allocation


def power(low, high=None):
    """sgn(u) (|u|^low + |u|^high)."""
    return lambda u: np.sign(u) * (abs(u) ** low + (0.0 if high is None else abs(u) ** high))


def saturated(level):
    return lambda u: min(max(u, -level), level)


def uniform(level, bits):
    most = 2 ** (bits - 1) - 1
    return lambda u: level * min(max(np.round(u / level), -most), most)


def flow(x, price, sequence, settings, link, nonlinearity):
    """x_i+ = x_i + eta sum_j w_ij h(p_j - p_i) + beta (x_i - x_i(before)), differences as the links bring them."""
    send, before, xs = link(), x, [x]
    for weights in sequence:
        known, read = send.values(np.array([price(i, x[i]) for i in range(len(x))]))
        new = np.zeros(len(x))
        for i in range(len(x)):
            total = 0.0
            for j in range(len(x)):
                if j != i and weights[i, j] != 0.0:
                    total += weights[i, j] * nonlinearity(float(read(known[j] - known[i])))
            new[i] = x[i] + settings["step"] * total + settings.get("momentum", 0.0) * (x[i] - before[i])
        before, x = x, new
        xs.append(x)
    return np.array(xs)


def primal_dual(x, price, sequence, settings, link, budget, box):
    """Yi, Hong, Liu 2016, by Euler steps: x' = P(x - f' + lambda) - x, lambda' = -L lambda - L z + b/n - x,
    z' = L lambda.
    """
    eta, n = settings["step"], len(x)
    price_link, z_link = link(), link()
    dual, z, xs = np.array([price(i, x[i]) for i in range(n)]), np.zeros(n), [x]
    for weights in sequence:
        mixed, mixed_z = price_link(dual, weights), z_link(z, weights)
        moved = np.array([min(max(x[i] - price(i, x[i]) + dual[i], box[0][i]), box[1][i]) for i in range(n)])
        x, dual, z = x + eta * (moved - x), dual + eta * (mixed + mixed_z + budget / n - x), z - eta * mixed
        xs.append(x)
    return np.array(xs)


def least(price, low, high):
    """Where a growing derivative is 0 in [low, high], or the end that it points to."""
    if price(low) >= 0:
        return low
    return high if price(high) <= 0 else brentq(price, low, high, xtol=1e-15, rtol=1e-14)


def tracking_admm(x, price, sequence, settings, link, budget, box):
    """Falsone et al. 2020: delta = sum_j a_ij d_j, l = sum_j a_ij lambda_j (j = i included),
    x+ = argmin f(x) + l x + c/2 (x - x(k) + delta)^2, d+ = delta + x+ - x(k), lambda+ = l + c d+.
    """
    c, n = settings["penalty"], len(x)
    d_link, dual_link = link(), link()
    d, dual, xs = x - budget / n, -np.array([price(i, x[i]) for i in range(n)]), [x]
    for weights in sequence:
        delta, heard = d + d_link(d, weights), dual + dual_link(dual, weights)
        new = np.zeros(n)
        for i in range(n):
            new[i] = least(
                lambda v, i=i: price(i, v) + heard[i] + c * (v - x[i] + delta[i]),  # noqa: B023
                box[0][i],
                box[1][i],
            )
        d = delta + new - x
        dual, x = heard + c * d, new
        xs.append(x)
    return np.array(xs)


def dual_consensus_admm(x, price, sequence, settings, link, budget, box):
    """Chang et al. 2015 (DC-ADMM): p += c sum_j (l_i - l_j),
    x = argmin f(x) + c/(4 d) |(x - b/n)/c - p/c + sum_j (l_i + l_j)|^2,
    l = (sum_j (l_i + l_j) - p/c + (x - b/n)/c) / (2 d).
    """
    c, n, send = settings["penalty"], len(x), link()
    dual, p, xs = -np.array([price(i, x[i]) for i in range(n)]), np.zeros(n), [x]
    for weights in sequence:
        ones = (weights != 0) * (1 - np.eye(n))
        apart = send(dual, ones)  # sum_j (l_j - l_i) as heard
        degree = ones.sum(axis=1)
        p = p - c * apart
        total, new = 2 * degree * dual + apart, np.zeros(n)
        for i in range(n):

            def slope(v, i=i):
                return price(i, v) + ((v - budget / n) / c - p[i] / c + total[i]) / (2 * degree[i])  # noqa: B023

            new[i] = least(slope, box[0][i], box[1][i])
        x = new
        dual = (total - p / c + (x - budget / n) / c) / (2 * degree)
        xs.append(x)
    return np.array(xs)


def ratio_consensus(x, constants, sequence, settings, link, budget):
    """Rikos et al. 2021: y and z mix, x_i = c_i + (y_i / z_i) / a_i; y(0) = b/n - c_i, z(0) = 1/a_i."""
    a, c = constants
    y_link, z_link = link(), link()
    y, z = budget / len(x) - c, 1 / a
    xs = [c + y / z / a]
    for weights in sequence:
        y, z = y + y_link(y, weights), z + z_link(z, weights)
        xs.append(c + y / z / a)
    return np.array(xs)
