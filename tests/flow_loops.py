"""Plain NumPy float64 loops of our own flows, node by node and link by link, as their docstrings state them.

As in tests/method_loops.py; constants: (a, c) of quadratic costs, box: (lower, upper), [n] each.
"""

import math

import numpy as np


def level_above(u):
    """The power of sqrt(2) at or above."""
    return 2.0 ** (math.ceil(2 * math.log2(u) - 1e-12) / 2)


def level_below(u):
    """The power of the fourth root of 2 at or below, in [0, 1]."""
    return 1.0 if u >= 1 else 0.0 if u < 2.0**-63 else 2.0 ** (math.floor(4 * math.log2(u) + 1e-12) / 4)


def paid(owed, x, box):
    """What is carried of owed[i, j], what i is to get from j, within the box."""
    n, lower, upper = len(x), *box
    take, give = np.ones(n), np.ones(n)
    for i in range(n):
        inflow = sum(max(owed[i, j], 0) for j in range(n))
        outflow = sum(max(-owed[i, j], 0) for j in range(n))
        if inflow > 0:
            take[i] = level_below(max(upper[i] - x[i], 0) / inflow)
        if outflow > 0:
            give[i] = level_below(max(x[i] - lower[i], 0) / outflow)
    part = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            part[i, j] = min(give[j], take[i]) if owed[i, j] > 0 else min(give[i], take[j])
    return owed * part


def curvature_flow(x, constants, sequence, settings, link, box):
    """phi_ij = beta phi_ij(last) + c / max(h_i d_i, h_j d_j) (q(p_j) - q(p_i)), limited; x_i += sum_j phi_ij."""
    (a, center), n, send = constants, len(x), link()
    flow, xs = np.zeros((n, n)), [x]
    known, read = send.values(a * (x - center))
    for weights in sequence:
        live = (weights > 0) & ~np.eye(n, dtype=bool)
        degree = live.sum(axis=1)
        new = np.zeros((n, n))
        for i in range(n):
            for j in np.flatnonzero(live[i]):
                weight = settings["gain"] / max(level_above(a[v] * degree[v]) for v in (i, j))
                new[i, j] = settings.get("momentum", 0) * flow[i, j] + weight * read(known[j] - known[i])
        flow = paid(new, x, box)
        x = x + flow.sum(axis=1)
        known, read = send.values(a * (x - center))
        xs.append(x)
    return np.array(xs)


def own_curvature(curvature, price, marginal, best, wanted, estimate, ends, room):
    """The cost's, at least 1e-5 |p| / room; at a bound what explains the price, the last estimate at most."""
    own = max(curvature, 1e-5 * abs(price) / room)
    if best not in ends:
        return own
    apart = max(abs(min(max(wanted, ends[0]), ends[1]) - best), 0.03 * room)
    return min(max(own, abs(price - marginal) / apart), estimate)


def next_level(estimate, value, turns):
    """The estimate that follows: the level at or above the value, at most half an octave from the last one, which stays
    where the value is within a band around it; the band widens where it has turned often.
    """
    wider = 2 ** (max(abs(turns) - 31, 0) / 8)
    if 0.5 * estimate * (1 + 1e-12) / wider < value <= estimate * (1 + 1e-12) * wider:
        return estimate
    return min(max(level_above(value), estimate / math.sqrt(2)), estimate * math.sqrt(2))


def dual_flow(x, constants, sequence, settings, link, box):
    """The update of `DualFlow`, line by line."""
    (a, center), n, send, relaxation = constants, len(x), link(), settings.get("relaxation")
    wanted, best, xs = x.copy(), x.copy(), [x]
    backlog, kept_weight, kept_ends = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    price = a * (x - center)
    given, taken = 1.01 * (x - box[0]).sum(), 1.01 * (box[1] - x).sum()
    within = np.maximum(box[0], box[1] - taken), np.minimum(box[1], box[0] + given)
    span = np.minimum(within[1] - within[0], 5 * np.abs(x).mean())
    estimate = np.array([level_above(v) for v in np.maximum(a, 0.01 * np.abs(price) / span)])
    links, turns, around = np.zeros(n), np.zeros(n), np.zeros(n)  # links that were ever there
    known, read = send.values(price)
    for iteration, weights in enumerate(sequence):
        live = (weights > 0) & ~np.eye(n, dtype=bool)
        degree = live.sum(axis=1)
        count = degree if relaxation is None else np.maximum(degree, links)
        speed = [1 / math.sqrt(level_above(k * max(d, 1))) for k, d in zip(estimate, count, strict=True)]
        if relaxation is None:
            kept_weight, kept_ends = np.zeros((n, n)), np.zeros((n, n))
        for i in range(n):
            for j in np.flatnonzero(live[i]):
                weight = settings["gain"] * speed[i] * speed[j]
                push = weight * read(known[j] - known[i])
                twice, last, part = 1.0, 0.0, 0.5
                met = iteration > 0 if relaxation is None else kept_weight[i, j] > 0
                if not met:  # at first they only agree on a price
                    links[i] += 1
                    part = speed[j] ** 2 / (speed[i] ** 2 + speed[j] ** 2)
                elif relaxation is not None:
                    twice, last = 2 * relaxation, kept_ends[i, j] * weight / kept_weight[i, j]
                kept_weight[i, j] = weight
                kept_ends[i, j] = (1 - twice) * last + twice * 2 * (weight * known[i] + part * push)
                backlog[i, j] += twice * push if met else 0
                wanted[i] += twice * push if met else 0
        part = paid(np.where(live, backlog, 0), x, box)
        backlog, x = backlog - part, x + part.sum(axis=1)
        for i in range(n):
            conductance, reached = kept_weight[i].sum(), kept_ends[i].sum()
            if conductance > 0:
                stiff = 1 / (2 * conductance)
                free = (a[i] * center[i] + stiff * (wanted[i] + reached)) / (a[i] + stiff)
                best[i] = min(max(free, within[0][i]), within[1][i])
                price[i] = stiff * (reached + wanted[i] - best[i])
        new = estimate.copy()
        for i in range(n):
            nearby = [1 / estimate[j] for j in np.flatnonzero(live[i])]
            if not nearby:  # hears nothing, and keeps its estimate
                continue
            if relaxation is None or around[i] == 0:
                around[i] = np.mean(nearby)
            else:
                around[i] += (np.mean(nearby) - around[i]) * degree[i] / links[i]
            room = max(span[i], min(abs(best[i]), within[1][i] - within[0][i]))
            marginal, ends = a[i] * (best[i] - center[i]), (within[0][i], within[1][i])
            own = own_curvature(a[i], price[i], marginal, best[i], wanted[i], estimate[i], ends, room)
            own = max(own, estimate[i] * abs(wanted[i] - best[i]) / (3 * max(room, span.max())))
            new[i] = next_level(estimate[i], 2 / (1 / own + around[i]), turns[i])
            way = np.sign(round(2 * math.log2(new[i] / estimate[i])))
            turns[i] = way * (abs(turns[i]) + 1) if way * turns[i] < 0 else turns[i] or way
        estimate = new
        known, read = send.values(price)
        xs.append(x)
    return np.array(xs)
