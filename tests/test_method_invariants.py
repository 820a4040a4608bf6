"""Every row of the registry over every channel it takes: sums, boxes, bits, and what it refuses (spec, section 7).

A batch has a channel of its own in each run, so that one program for each pair of rows and placement covers them all.
"""

import math
import os
import re
from dataclasses import replace

import jax
import method_cases as cases
import numpy as np
import pytest
from by_run import ByRun
from method_cases import NODES, network

import jaxcoopt as jc
from jaxcoopt.channel import QSGD, Clip, Ideal, LogQuantizer, Natural, RandK, Sign, TopK, UniformQuantizer
from jaxcoopt.methods.check import received
from jaxcoopt.methods.registry import BY_NAME, ENTRIES
from jaxcoopt.run.loop import iterations
from jaxcoopt.run.prepare import prepare
from jaxcoopt.setting import check_parts, check_values

PLACEMENTS = ("message", "difference", "innovation")
CHANNELS = (
    Ideal(),
    LogQuantizer(0.5),
    LogQuantizer(0.5, bits=5, scale=0.2),
    UniformQuantizer(0.1, bits=4),
    Sign(0.05),
    Clip(0.2),
    TopK(1),
    Natural(),
    QSGD(8),
    RandK(2, rescale=True),
)
RECORDS, EVERY = 6, 50


def accepted(method, problem, placement):
    """The channels that the method does not refuse, with that placement."""
    taken = []
    for channel in CHANNELS:
        placed = replace(channel, placement=placement)
        if placed.random and placement == "difference":
            continue
        for half in ("allocation", "training"):
            part, given = getattr(method, half), getattr(problem, half)
            try:
                if part is not None:
                    part.check(given, placed)
            except ValueError:
                break
        else:
            taken.append(placed)
    return tuple(taken)


@jax.jit
def advance(setup, carry, length):
    """As the engine does, without its records."""
    return iterations(setup, replace(carry, state=setup.method.refresh(carry.state)), length)


def placements():
    """(pair, placement): one of each pair, another from session to session; the others are slow."""
    shift = int(os.environ["JAXCOOPT_TEST_SEED"])
    return [
        pytest.param(
            pair,
            placement,
            id=f"{cases.name_of(pair)}-{placement}",
            marks=() if (i + shift) % len(PLACEMENTS) == k else pytest.mark.slow,
        )
        for i, pair in enumerate(cases.PAIRS)
        for k, placement in enumerate(PLACEMENTS)
    ]


@pytest.mark.parametrize(("pair", "placement"), placements())
def test_sums_and_boxes(rng, pair, placement):
    """Over the channels that both rows take, then the allocation row alone over all that it takes."""
    problem, initial = cases.case(rng, pair)
    method = cases.method_of(pair)
    both = accepted(method, problem, placement)
    check_run(method, problem, initial, both, placement)
    shares = replace(method, training=None)
    others = accepted(shares, problem, placement)
    if pair[0] is not None and len(others) > len(both):
        check_run(shares, replace(problem, training=None), replace(initial, params=None), others, placement)


def check_run(method, problem, initial, channels, placement):
    """Random graphs whose links fail; the start is that of run 0."""
    if len(channels) <= 1:  # links without loss
        return
    runs = len(channels)
    initial = jax.tree.map(lambda leaf: np.repeat(leaf[..., :1], runs, axis=-1), initial)
    method = replace(method, channel=ByRun(channels, placement))
    setup, carry = prepare(problem, cases.switching_network(), method, runs, 0, initial, None, jc.Optimum())
    start = carry
    for _ in range(RECORDS):
        carry = advance(setup, carry, EVERY)
        if method.allocation is not None:
            check_shares(method, problem, carry.state.allocation, start.state.allocation)
        if method.training is not None:
            check_training(setup, carry.state.training)


def check_shares(method, problem, state, start):
    rule, budget = method.allocation, float(problem.allocation.budget)
    x = np.asarray(rule.estimate(state))
    assert np.isfinite(x).all()
    if rule.keeps_sum:
        assert max(abs(math.fsum(column) - budget) for column in x.T) <= 1e-13 * abs(budget)
    if rule.keeps_box:
        assert np.all((x >= problem.allocation.lower) & (x <= problem.allocation.upper[:, None]))
    if hasattr(state, "summed"):  # dual consensus ADMM
        near_zero(state.summed)
    if hasattr(state, "duals"):  # primal-dual: the integral
        near_zero(state.duals[1])
    if hasattr(state, "tracked"):  # tracking ADMM: d tracks the budget's violation
        missed = x.sum(axis=0) - budget
        np.testing.assert_allclose(np.asarray(state.tracked[0]).sum(axis=0), missed, atol=1e-11 * scale_of(x))
    if hasattr(state, "masses"):  # ratio consensus
        for now, then in zip(state.masses, start.masses, strict=True):
            np.testing.assert_allclose(now.sum(axis=0), then.sum(axis=0), atol=1e-12 * scale_of(now), rtol=0)


def check_training(setup, state):
    for name in ("summed", "dual"):  # of EXTRA, of diffusion and ADMM
        for leaf in jax.tree.leaves(getattr(state, name, None)):
            near_zero(leaf)
    if hasattr(state, "tracker"):
        slopes = setup.problem.training.gradient(state.params)
        for z, g in zip(jax.tree.leaves(state.tracker), jax.tree.leaves(slopes), strict=True):
            size = np.abs(z).sum(axis=0) + np.abs(g).sum(axis=0)
            assert np.all(np.abs(z.sum(axis=0) - g.sum(axis=0)) <= 1e-12 * np.maximum(1, size))


def scale_of(u):
    return max(1.0, float(np.abs(u).max()))


def near_zero(u):
    """A sum over the nodes that is rounding of its terms."""
    u = np.asarray(u)
    assert np.isfinite(u).all()
    assert np.abs(u).max() > 0
    assert np.all(np.abs(u.sum(axis=0)) <= 1e-11 * np.maximum(1, np.abs(u).max(axis=0)))


# ---------------------------------------------------------------- what is refused

LATENCY = jc.costs.Latency(np.ones(NODES))


def refusals():
    """(row, settings or method, channel, error, words, cost) of methods that cannot run."""
    for row in ENTRIES:
        built = row.build()
        for name in ("step", "penalty", "gain", "curvature"):
            if isinstance(getattr(built, name, None), float):
                yield row, {name: -0.1}, Ideal(), ValueError, f"method.{row.half}.{name}: must be above 0, got -0.1"
                yield row, {name: np.nan}, Ideal(), ValueError, f"method.{row.half}.{name}|method.{row.half}.*finite"
        if getattr(built, "momentum", None):
            for value in (1.0, -0.5):
                yield row, {"momentum": value}, Ideal(), ValueError, f"method.{row.half}.momentum: must be .*{value:g}"
        for channel in (Natural("difference"), QSGD(placement="difference"), RandK(1, placement="difference")):
            yield row, {}, channel, ValueError, "channel.placement: .* is random.*'innovation'"
    yield BY_NAME["dpsgd"], {"batch_size": None}, Ideal(), ValueError, "batch_size: .*for all samples use DGD"
    yield BY_NAME["dpsgd"], {"batch_size": 0}, Ideal(), ValueError, "batch_size: expected 1 or more, got 0"
    yield BY_NAME["choco"], {}, LogQuantizer(placement="message"), ValueError, "CHOCO sends innovations, got 'message'"
    yield BY_NAME["choco"], {}, TopK(1, "difference"), ValueError, "CHOCO sends innovations, got 'difference'"
    yield BY_NAME["choco"], {"gain": 0.0}, Ideal(), ValueError, "method.training.gain: must be above 0"
    yield BY_NAME["choco"], {"batch_size": 0}, Ideal(), ValueError, "batch_size: expected 1 or more"
    yield BY_NAME["lead"], {}, LogQuantizer(), ValueError, "E q.u. = u, and LogQuantizer is biased"
    yield BY_NAME["lead"], {}, TopK(1), ValueError, "TopK is biased"
    yield BY_NAME["lead"], {}, RandK(1), ValueError, "RandK is biased.*rescale=True"
    yield BY_NAME["lead"], {}, Natural("message"), ValueError, "LEAD sends innovations, got 'message'"
    yield BY_NAME["lead"], {"damping": 0.0}, Ideal(), ValueError, "method.training.damping: must be above 0"
    yield BY_NAME["decentralized_admm"], {"inner": 0}, Ideal(), ValueError, "method.training.inner: expected 1 or more"
    yield (
        BY_NAME["finite_time_flow"],
        {"exponent": 1.5},
        Ideal(),
        ValueError,
        "nonlinearity.low: must be below 1, got 1.5",
    )
    yield BY_NAME["fixed_time_flow"], {"high": 0.9}, Ideal(), ValueError, "nonlinearity.high: must be above 1, got 0.9"
    yield BY_NAME["saturated_flow"], {"level": 0.0}, Ideal(), ValueError, "nonlinearity.level: must be above 0"
    yield (
        BY_NAME["uniform_flow"],
        {"bits": 1},
        Ideal(),
        ValueError,
        "nonlinearity.bits: expected 2 or more; for one bit use SingleBitFlow, got 1",
    )


@pytest.mark.fast
@pytest.mark.parametrize("case", [*refusals()], ids=lambda case: f"{case[0].name}-{case[1]}-{type(case[2]).__name__}")
def test_what_cannot_run_is_refused(case):
    row, settings, channel, error, words = case
    rng = np.random.default_rng(0)
    pair = (row, None) if row.half == "allocation" else (None, row)
    problem, initial = cases.case(rng, pair)

    def solve():
        method = jc.CoOptimizer(**{row.half: row.build(**settings)}, channel=channel)
        jc.solve(problem, network(), method, 1, runs=cases.RUNS, initial=initial, optimum=jc.Optimum())

    with pytest.raises(error, match=words):
        solve()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"batch_size": 2.0}, TypeError, "batch_size: expected a whole number of 1 or more, got 2.0"),
        (
            {"nonlinearity": abs},
            TypeError,
            "nonlinearity: expected one of jaxcoopt.methods.nonlinearities, such as Identity",
        ),
        ({"bounds": 3.0}, TypeError, "bounds: expected one of jaxcoopt.bounds, such as Penalty"),
    ],
)
def test_wrong_kinds_are_refused(changed, error, words):
    """As a user without type checks meets them: the field is set behind their back."""
    row = BY_NAME["dpsgd" if "batch_size" in changed else "laplacian_flow"]
    built = row.build()
    for name, value in changed.items():
        object.__setattr__(built, name, value)
    with pytest.raises(error, match=words):
        [check(built, "method") for check in (check_parts, check_values)]


@pytest.mark.fast
def test_no_two_methods_are_one_to_jit():
    """Equal structures of unlike methods: jit may then run one's program for the other."""
    kinds = {type(row.build()): row.build() for row in ENTRIES}
    structures = [jax.tree.structure(method) for method in kinds.values()]
    assert all(a != b for i, a in enumerate(structures) for b in structures[:i])


@pytest.mark.fast
def test_ratio_consensus_needs_quadratic_costs():
    shares = replace(cases.allocation(np.random.default_rng(0)), cost=LATENCY)
    method = jc.CoOptimizer(jc.methods.RatioConsensus())
    with pytest.raises(ValueError, match=r"ratio consensus needs jaxcoopt\.costs\.Quadratic, got Latency"):
        jc.solve(jc.Problem(shares), network(), method, 1)


@pytest.mark.fast
@pytest.mark.parametrize("row", ENTRIES, ids=lambda row: row.name)
def test_the_wrong_half_is_refused(row, untyped):
    wrong = "training" if row.half == "allocation" else "allocation"
    words = re.escape(f"method.{wrong}: expected one of jaxcoopt.methods")
    with pytest.raises(TypeError, match=words):
        received(jc.CoOptimizer(**{wrong: row.build()}))
