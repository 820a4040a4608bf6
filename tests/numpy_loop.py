"""Plain NumPy float64 oracle: every iteration, node and neighbour is a Python loop, written from the formulas alone.

One run at a time (no runs axis). W[i, j] is the weight of link i-j (0: no link); the diagonal is never read.
"""

import numpy as np

# ---------------------------------------------------------------- quantizers: elementwise, any shape


def _log_quantize_number(u, rho, bits, scale):
    """One number: sgn(u) exp(rho index), index = round(ln|u| / rho), the index held to the levels that `bits` allow."""
    if u == 0.0:
        return 0.0
    index = np.round(np.log(abs(u)) / rho)
    if bits is not None:
        levels = 2 ** (bits - 1) - 1  # 2^(B-1) magnitude codes, one of them is zero
        if levels < 1:
            raise ValueError("a log quantizer needs bits >= 2")
        centre = np.round(np.log(scale) / rho)
        smallest = centre - (levels - 1) // 2
        largest = centre + (levels - 1) // 2
        if index < smallest:
            return 0.0
        if index > largest:
            index = largest
    return np.sign(u) * np.exp(rho * index)


def log_quantize(u, rho, bits=None, scale=1.0):
    """q(u) = sgn(u) exp(rho round(ln|u| / rho)), q(0) = 0; with bits: 0 below the levels, else saturated."""
    u = np.asarray(u, dtype=np.float64)
    out = np.zeros(u.shape)
    for where in np.ndindex(u.shape):
        out[where] = _log_quantize_number(u[where], rho, bits, scale)
    return out


def uniform_quantize(u, step, bits=None):
    """q(u) = step round(u / step), the index clipped to +-(2^(B-1) - 1) when bits = B."""
    index = np.round(np.asarray(u, dtype=np.float64) / step)
    if bits is not None:
        largest = 2 ** (bits - 1) - 1
        index = np.clip(index, -largest, largest)
    return step * index


def sign_quantize(u, scale=1.0):
    """q(u) = scale sgn(u), sgn(0) = 0."""
    return scale * np.sign(np.asarray(u, dtype=np.float64))


def clip(u, limit):
    """q(u) = min(max(u, -limit), limit)."""
    return np.minimum(np.maximum(np.asarray(u, dtype=np.float64), -limit), limit)


def ideal(u):
    """q(u) = u."""
    return np.asarray(u, dtype=np.float64)


# ---------------------------------------------------------------- placements: u is [n, ...], the result has u's shape


def mix_message(u, weights, quantize):
    """sum_j w_ij (q(u_j) - q(u_i))."""
    total, sent = np.zeros(u.shape), [quantize(u[i]) for i in range(len(u))]
    for i in range(len(u)):
        for j in range(len(u)):
            if j != i and weights[i, j] != 0.0:
                total[i] += weights[i, j] * (sent[j] - sent[i])
    return total


def mix_difference(u, weights, quantize):
    """sum_j w_ij q(u_j - u_i)."""
    total = np.zeros(u.shape)
    for i in range(len(u)):
        for j in range(len(u)):
            if j != i and weights[i, j] != 0.0:
                total[i] += weights[i, j] * quantize(u[j] - u[i])
    return total


def mix_innovation(u, weights, quantize, memory):
    """e_j += q(u_j - e_j), then sum_j w_ij (e_j - e_i); returns (that sum, the new e)."""
    estimate = np.zeros(u.shape)
    for j in range(len(u)):
        estimate[j] = memory[j] + quantize(u[j] - memory[j])
    total = np.zeros(u.shape)
    for i in range(len(u)):
        for j in range(len(u)):
            if j != i and weights[i, j] != 0.0:
                total[i] += weights[i, j] * (estimate[j] - estimate[i])
    return total, estimate


def mix(u, weights, quantize, placement, memory):
    """The exchange of one iteration by placement; returns (what node i adds, the memory to pass next time)."""
    if placement == "message":
        return mix_message(u, weights, quantize), memory
    if placement == "difference":
        return mix_difference(u, weights, quantize), memory
    if placement == "innovation":
        return mix_innovation(u, weights, quantize, memory)
    raise ValueError(f"unknown placement {placement!r}")


# ---------------------------------------------------------------- network


def metropolis(adjacency):
    """w_ij = 1 / (1 + max(d_i, d_j)) on links, 0 elsewhere; d_i is the number of neighbours of i."""
    n = len(adjacency)
    degree = [sum(1 for j in range(n) if j != i and adjacency[i][j]) for i in range(n)]
    weights = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if j != i and adjacency[i][j]:
                weights[i, j] = 1.0 / (1.0 + max(degree[i], degree[j]))
    return weights


# ---------------------------------------------------------------- derivatives of the costs f(x) and of the penalty


def softplus(t):
    """ln(1 + e^t)."""
    return np.logaddexp(0.0, t)


def sigmoid(t):
    """1 / (1 + e^-t) = exp(-softplus(-t)), the derivative of softplus."""
    return np.exp(-softplus(-t))


def quadratic_price(x, curvature, center):
    """f = a/2 (x - c)^2 + offset: a (x - c)."""
    return curvature * (x - center)


def latency_price(x, work):
    """f = work / x: -work / x^2."""
    return -work / x**2


def power_price(x, coefficient, exponent):
    """f = p x^e: p e x^(e-1)."""
    return coefficient * exponent * x ** (exponent - 1.0)


def queueing_price(x, capacity):
    """f = 1 / (capacity - x): 1 / (capacity - x)^2."""
    return 1.0 / (capacity - x) ** 2


def penalty_price(x, lo, hi, weight, sharpness, form="softplus"):
    """f = eps softplus(s(x-hi))/s + eps softplus(s(lo-x))/s: eps sigmoid(s(x-hi)) - eps sigmoid(s(lo-x)).

    Square form, f = eps max(x-hi,0)^2 + eps max(lo-x,0)^2: 2 eps max(x-hi,0) - 2 eps max(lo-x,0).
    """
    if form == "softplus":
        return weight * sigmoid(sharpness * (x - hi)) - weight * sigmoid(sharpness * (lo - x))
    if form == "square":
        return 2.0 * weight * np.maximum(x - hi, 0.0) - 2.0 * weight * np.maximum(lo - x, 0.0)
    raise ValueError(f"unknown form {form!r}")


# ---------------------------------------------------------------- losses of one node, over its own samples
# kind: "linear" | "logistic" (targets +-1) | "softmax" (integer targets) | "hinge" (targets +-1).
# Masked samples: pass the real rows only. classes: number of scores, 1 for all kinds but softmax. A vector without
# room for the bias means a bias of zero.


def flatten(params):
    """{"weights", "bias"} -> [weights.ravel(), bias.ravel()]; a missing bias is left out."""
    parts = [np.ravel(params["weights"])]
    if "bias" in params:
        parts.append(np.ravel(params["bias"]))
    return np.concatenate(parts).astype(np.float64)


def unflatten(vector, features, classes=1):
    """The inverse of flatten: weights [features, classes], bias [classes] (zero where the vector has none)."""
    weights = vector[: features * classes].reshape(features, classes)
    bias = vector[features * classes :] if vector.size > features * classes else np.zeros(classes)
    return {"weights": weights, "bias": bias}


def sample_loss(kind, score, target, sharpness=10.0):
    """1/2 (s-t)^2 | softplus(-t s) | logsumexp(s) - s_t | softplus(mu (1 - t s))/mu, s the scores [classes]."""
    if kind == "linear":
        return 0.5 * (score[0] - target) ** 2
    if kind == "logistic":
        return softplus(-target * score[0])
    if kind == "softmax":
        return np.logaddexp.reduce(score) - score[target]
    if kind == "hinge":
        return softplus(sharpness * (1.0 - target * score[0])) / sharpness
    raise ValueError(f"unknown kind {kind!r}")


def sample_slope(kind, score, target, sharpness=10.0):
    """d sample_loss / d s: s-t | -t sigmoid(-t s) | softmax(s) - onehot(t) | -t sigmoid(mu (1 - t s)), as [classes]."""
    if kind == "linear":
        return np.array([score[0] - target])
    if kind == "logistic":
        return np.array([-target * sigmoid(-target * score[0])])
    if kind == "softmax":
        slope = np.exp(score - np.logaddexp.reduce(score))
        slope[target] -= 1.0
        return slope
    if kind == "hinge":
        return np.array([-target * sigmoid(sharpness * (1.0 - target * score[0]))])
    raise ValueError(f"unknown kind {kind!r}")


def node_loss(kind, vector, features, targets, classes=1, l2=0.0, node_weight=1.0, sharpness=10.0):
    """w_i (mean over samples of sample_loss(X W + bias) + l2/2 |W|^2), features [samples, features]."""
    params = unflatten(vector, features.shape[1], classes)
    total = 0.0
    for row, target in zip(features, targets, strict=True):
        total += sample_loss(kind, row @ params["weights"] + params["bias"], target, sharpness)
    return node_weight * (total / len(features) + l2 / 2.0 * np.sum(params["weights"] ** 2))


def node_gradient(kind, vector, features, targets, classes=1, l2=0.0, node_weight=1.0, sharpness=10.0):
    """Gradient of node_loss: w_i (mean of (outer(x, slope), slope) + (l2 W, 0)), flattened like `vector`."""
    params = unflatten(vector, features.shape[1], classes)
    weights_sum = np.zeros(params["weights"].shape)
    bias_sum = np.zeros(classes)
    for row, target in zip(features, targets, strict=True):
        slope = sample_slope(kind, row @ params["weights"] + params["bias"], target, sharpness)
        weights_sum += np.outer(row, slope)
        bias_sum += slope
    gradient = {"weights": weights_sum / len(features) + l2 * params["weights"], "bias": bias_sum / len(features)}
    return node_weight * flatten(gradient)[: vector.size]  # the cut drops the bias where the vector has none


# ---------------------------------------------------------------- the two iterations


def allocation_loop(x0, price, weights_sequence, step, momentum, quantize, placement):
    """x_i(k+1) = x_i + step exchange_i(p) + momentum (x_i(k) - x_i(k-1)), x(-1) = x(0), p_i = price(i, x_i).

    Returns x as [steps + 1, n], one step for each W in weights_sequence.
    """
    x = np.array(x0, dtype=np.float64)
    before = x.copy()
    memory = np.zeros(x.shape)
    trajectory = [x.copy()]
    for weights in weights_sequence:
        p = np.array([price(i, x[i]) for i in range(len(x))], dtype=np.float64)
        received, memory = mix(p, weights, quantize, placement, memory)
        after = np.zeros(x.shape)
        for i in range(len(x)):
            after[i] = x[i] + step * received[i] + momentum * (x[i] - before[i])
        before, x = x, after
        trajectory.append(x.copy())
    return np.array(trajectory)


def gradient_tracking_loop(y0, gradient, weights_sequence, step, quantize, placement, order="cta"):
    """cta: y+ = y + exchange(y) - step z;  z+ = z + exchange(z) + grad(y+) - grad(y);  z(0) = grad(y(0)).

    atc: the exchange acts on y - step z and on z + grad(y+) - grad(y) instead. y and z have a memory each.
    Returns (y, z), each [steps + 1, n, ...]; gradient(i, y_i) has the shape of y_i.
    """
    if order not in ("cta", "atc"):
        raise ValueError(f"unknown order {order!r}")
    y = np.array(y0, dtype=np.float64)
    g = np.array([gradient(i, y[i]) for i in range(len(y))], dtype=np.float64)
    z = g.copy()
    y_memory = np.zeros(y.shape)
    z_memory = np.zeros(z.shape)
    ys, zs = [y.copy()], [z.copy()]
    for weights in weights_sequence:
        if order == "cta":
            received, y_memory = mix(y, weights, quantize, placement, y_memory)
            y = y + received - step * z
        else:
            half = y - step * z
            received, y_memory = mix(half, weights, quantize, placement, y_memory)
            y = half + received
        g_new = np.array([gradient(i, y[i]) for i in range(len(y))], dtype=np.float64)
        if order == "cta":
            received, z_memory = mix(z, weights, quantize, placement, z_memory)
            z = z + received + g_new - g
        else:
            half = z + g_new - g
            received, z_memory = mix(half, weights, quantize, placement, z_memory)
            z = half + received
        g = g_new
        ys.append(y.copy())
        zs.append(z.copy())
    return np.array(ys), np.array(zs)
