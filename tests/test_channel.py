"""Quantizers against their definitions, bounds and derivative rules."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_loop as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxcoopt as jc

Log, Uniform, Sign, Clip, Ideal = (
    jc.channels.LogQuantizer,
    jc.channels.UniformQuantizer,
    jc.channels.Sign,
    jc.channels.Clip,
    jc.channels.Ideal,
)
SIZE = 8  # numbers in an example: one shape, so that each channel is compiled once
LIMITS = {"float64": (1e-290, 1e290), "float32": (1e-33, 1e33)}  # what q and its neighbouring levels can hold
CHANNELS = {
    "ideal": Ideal(),
    "log": Log(0.4),
    "log-bits": Log(0.4, bits=5, scale=3.0),
    "uniform": Uniform(0.25),
    "uniform-bits": Uniform(0.25, bits=4),
    "sign": Sign(0.7),
    "clip": Clip(2.0),
}
PARTS = ("zero", "subnormal", "tiny", "huge", "plain")
relaxed = settings(max_examples=40, deadline=None, database=None)
both_precisions = pytest.mark.parametrize("dtype", LIMITS)
every_channel = pytest.mark.parametrize("name", CHANNELS)

apply = jax.jit(lambda channel, u: channel.quantize(u))


def numbers(dtype):
    """Signed numbers of every size that a channel may meet, as a strategy for [SIZE] arrays."""
    tiny, huge = LIMITS[dtype]
    info = np.finfo(dtype)
    sizes = {
        "zero": st.just(0.0),
        "subnormal": st.floats(float(info.smallest_subnormal), float(info.tiny), exclude_max=True, width=info.bits),
        "tiny": st.floats(-1, 1).map(lambda t: tiny * 10**t),
        "huge": st.floats(-1, 1).map(lambda t: huge * 10**t),
        "plain": st.floats(-6, 6).map(lambda t: 10**t),
    }
    signed = st.tuples(st.sampled_from([-1.0, 1.0]), st.one_of(*(sizes[part] for part in PARTS)))
    return st.lists(signed.map(lambda pair: pair[0] * pair[1]), min_size=SIZE, max_size=SIZE).map(
        lambda values: np.array(values, dtype)
    )


def quantized(channel, u, dtype="float64"):
    """q(u) as float64, computed in the given precision; u: [SIZE] or longer."""
    with jax.enable_x64(dtype == "float64"):
        cast = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), channel)
        out = apply(cast, jnp.asarray(u, dtype)[:, None])
        assert out.dtype == dtype
        return np.asarray(out, np.float64)[:, 0]


def is_zero(u):
    """Subnormal numbers count as 0: XLA flushes them."""
    return np.abs(u) < np.finfo(u.dtype).tiny


# ---------------------------------------------------------------- definitions


@pytest.mark.fast
@both_precisions
def test_log_quantizer_takes_the_nearest_level(dtype):
    @relaxed
    @given(numbers(dtype), st.floats(0.01, 2))
    def check(u, rho):
        rho = float(np.asarray(rho, dtype))
        q, zero = quantized(Log(rho), u, dtype), is_zero(u)
        assert np.all(q[zero] == 0)
        assert np.all(np.sign(q[~zero]) == np.sign(u[~zero]))
        index, wanted = np.log(np.abs(q[~zero])) / rho, np.log(np.abs(u[~zero].astype(np.float64))) / rho
        rounding = 4 * np.finfo(dtype).eps * (1 + 1000 / rho)
        assert np.all(np.abs(index - np.round(index)) <= rounding)  # a level
        assert np.all(np.abs(index - wanted) <= 0.5 + rounding)  # the nearest

    check()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("channel", "definition"),
    [
        (Log(0.3), lambda u: oracle.log_quantize(u, 0.3)),
        (Log(0.3, bits=6, scale=0.5), lambda u: oracle.log_quantize(u, 0.3, 6, 0.5)),
        (Log(1.0, bits=2, scale=2.0), lambda u: oracle.log_quantize(u, 1.0, 2, 2.0)),
        (Uniform(0.2), lambda u: oracle.uniform_quantize(u, 0.2)),
        (Uniform(0.2, bits=3), lambda u: oracle.uniform_quantize(u, 0.2, 3)),
        (Sign(0.5), lambda u: oracle.sign_quantize(u, 0.5)),
        (Clip(0.5), lambda u: oracle.clip(u, 0.5)),
        (Ideal(), oracle.ideal),
    ],
)
def test_as_the_oracle(rng, channel, definition):
    u = rng.normal(size=400) * 10 ** rng.uniform(-3, 2, 400)
    u[0] = 0.0
    np.testing.assert_allclose(quantized(channel, u), definition(u), rtol=1e-12)


@pytest.mark.fast
@both_precisions
def test_uniform_quantizer_takes_the_nearest_level(dtype):
    @relaxed
    @given(numbers(dtype), st.sampled_from([0.125, 0.25, 2.0]))
    def check(u, step):
        u = np.clip(u, -1e6, 1e6).astype(dtype)
        index = quantized(Uniform(step), u, dtype) / step
        assert np.all(index == np.round(u.astype(np.float64) / step))

    check()


@every_channel
@both_precisions
def test_odd_and_inside_the_sector(name, dtype):
    channel = CHANNELS[name]
    lower, upper = (float(end) for end in channel.sector())

    @relaxed
    @given(numbers(dtype))
    def check(u):
        if name == "uniform":  # u / step must be a number
            u = np.clip(u, -LIMITS[dtype][1] / 10, LIMITS[dtype][1] / 10)
        q = quantized(channel, u, dtype)
        np.testing.assert_array_equal(quantized(channel, -u, dtype), -q)
        assert np.all(np.isfinite(q))
        assert np.all(np.abs(q[is_zero(u)]) < np.finfo(dtype).tiny)
        told_apart = ~is_zero(u)
        ratio = q[told_apart] / u[told_apart].astype(np.float64)
        slack = 2000 * np.finfo(dtype).eps  # exp and log of numbers near the ends of the range
        assert np.all((ratio >= lower * (1 - slack)) & (ratio <= upper * (1 + slack)))

    check()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("channel", "tight"),
    [(Log(0.4), (True, True)), (Log(2.0), (True, True)), (Uniform(0.25), (True, True)), (Clip(2.0), (False, True))],
)
def test_the_sector_is_tight(channel, tight):
    u = np.exp(np.linspace(-4, 4, 200_001))
    ratio = quantized(channel, u) / u
    lower, upper = (float(end) for end in channel.sector())
    assert not tight[0] or ratio.min() == pytest.approx(lower, abs=1e-3)
    assert not tight[1] or ratio.max() == pytest.approx(upper, rel=1e-3)


# ---------------------------------------------------------------- bits


@pytest.mark.parametrize("bits", [2, 3, 6])
@pytest.mark.parametrize("family", ["log", "uniform"])
def test_b_bits_tell_two_to_the_b_minus_1_magnitudes_apart(family, bits):
    channel = Log(0.5, bits=bits, scale=3.0) if family == "log" else Uniform(0.5, bits=bits)
    u = np.concatenate([[0.0], np.exp(np.linspace(-40, 40, 20_001)), np.linspace(0, 100, 5_001)])
    magnitudes = np.unique(np.round(quantized(channel, u), 12 if family == "uniform" else 30))
    assert len(magnitudes) == 2 ** (bits - 1)
    assert magnitudes[0] == 0


@pytest.mark.fast
def test_log_levels_lie_around_the_scale_and_saturate():
    rho, bits, scale = 0.5, 4, 3.0
    reach = 2 ** (bits - 2) - 1
    centre = rho * np.round(np.log(scale) / rho)
    channel = Log(rho, bits=bits, scale=scale)
    largest, smallest = np.exp(centre + rho * reach), np.exp(centre - rho * reach)
    u = np.array(
        [
            1e30,
            largest * 1.3,
            largest,
            smallest,
            smallest * np.exp(-0.49 * rho),
            smallest * np.exp(-0.51 * rho),
            1e-30,
            0,
        ]
    )
    np.testing.assert_allclose(
        quantized(channel, u), [largest, largest, largest, smallest, smallest, 0, 0, 0], rtol=1e-12
    )


@pytest.mark.fast
def test_word_bits():
    assert [Ideal().word_bits(np.float64), Ideal().word_bits(np.float32), Clip(1.0).word_bits(np.float32)] == [
        64,
        32,
        32,
    ]
    assert [
        Log(0.5, bits=7).word_bits(np.float32),
        Uniform(1.0, bits=3).word_bits(np.float64),
        Sign().word_bits(np.float64),
    ] == [7, 3, 1]
    assert Uniform(1.0).word_bits(np.float32) == 32


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_unbounded_log_word_numbers_every_level_of_the_float_type(dtype):
    rho = np.exp(np.linspace(np.log(0.005), np.log(3), 2001))
    span = np.log(np.array([np.finfo(dtype).tiny, np.finfo(dtype).max], np.float64))
    first, last = (np.round(end / rho) for end in span)
    codes = 2.0 ** (np.asarray(Log(rho).word_bits(dtype)) - 1)
    needed = last - first + 2  # and one for 0
    assert np.all(needed <= codes), f"too few codes at rho = {rho[needed > codes][:3]}"
    assert np.all(2 * needed > codes - 4)


@pytest.mark.fast
def test_hyperparameters_may_differ_between_runs():
    u = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)))
    for make, values in (
        (Log, [0.1, 0.5, 2.0]),
        (Uniform, [0.1, 0.5, 2.0]),
        (Sign, [1.0, 2.0, 3.0]),
        (Clip, [0.1, 0.2, 0.3]),
    ):
        together = apply(make(jnp.asarray(values)), u)
        for run, value in enumerate(values):
            np.testing.assert_allclose(
                together[..., run], apply(make(value), u[..., run : run + 1])[..., 0], rtol=1e-14
            )


# ---------------------------------------------------------------- derivatives


def slope(channel, u):
    """dq/du at each u."""
    return np.asarray(tangent(channel, jnp.asarray(u)[:, None]))[:, 0]


@jax.jit
def tangent(channel, u):
    return jax.jvp(channel.quantize, (u,), (jnp.ones(u.shape),))[1]


def smooth_index(v, width):
    """floor(v) + the logistic curve of `width`, stretched from 0 to 1 over the step."""
    curve = lambda t: oracle.sigmoid((t - 0.5) / width)  # noqa: E731
    part = v - np.floor(v)
    return np.floor(v) + (curve(part) - curve(0.0)) / (curve(1.0) - curve(0.0))


SMOOTHED = {
    "log": (
        lambda t: Log(t, derivative="smoothed", width=0.2),
        lambda u, t: np.sign(u) * np.exp(t * smooth_index(np.log(np.abs(u)) / t, 0.2)),
    ),
    "uniform": (lambda t: Uniform(t, derivative="smoothed", width=0.2), lambda u, t: t * smooth_index(u / t, 0.2)),
    "sign": (lambda t: Sign(t, derivative="smoothed", width=0.2), lambda u, t: t * np.tanh(u / (0.2 * t))),
    "clip": (Clip, lambda u, t: np.clip(u, -t, t)),
}
POINTS = np.array([-2.13, -0.517, -0.08, 0.031, 0.37, 0.777, 1.618, 5.3])


@pytest.mark.fast
@pytest.mark.parametrize("name", SMOOTHED)
def test_the_smoothed_slope_is_that_of_the_surrogate(name):
    make, surrogate = SMOOTHED[name]
    h = 1e-6
    difference = (surrogate(POINTS + h, 0.4) - surrogate(POINTS - h, 0.4)) / (2 * h)
    np.testing.assert_allclose(slope(make(0.4), POINTS), difference, rtol=1e-6, atol=1e-8)


@pytest.mark.fast
@pytest.mark.parametrize("name", SMOOTHED)
def test_the_derivative_in_the_setting_is_that_of_the_surrogate(name):
    """rho, step, scale and limit."""
    make, surrogate = SMOOTHED[name]
    h, u = 1e-6, jnp.asarray(POINTS)[:, None]
    found = jax.jit(jax.jacfwd(lambda t: make(t).quantize(u)))(0.4)[:, 0]
    difference = (surrogate(POINTS, 0.4 + h) - surrogate(POINTS, 0.4 - h)) / (2 * h)
    assert np.any(difference != 0)
    np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "first", "last"), [("log", np.exp(-0.8), np.exp(2.0)), ("uniform", -1.2, 2.0), ("sign", -5.0, 5.0)]
)
def test_the_smoothed_slope_adds_up_to_differences_of_q(name, first, last):
    """From level to level: what q jumps by is what the slope integrates to."""
    channel = SMOOTHED[name][0](0.4)
    points = np.linspace(first, last, 100_001)
    ends = quantized(channel, np.array([first, last]))
    assert np.trapezoid(slope(channel, points), points) == pytest.approx(ends[1] - ends[0], rel=1e-4)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("channel", "wanted"),
    [
        (Log(0.4), np.ones(8)),
        (Uniform(0.4), np.ones(8)),
        (Uniform(0.4, bits=2), np.abs(POINTS) < 0.4),
        (Sign(0.6), np.abs(POINTS) < 0.6),
        (Clip(0.6), np.abs(POINTS) < 0.6),
        (Ideal(), np.ones(8)),
    ],
)
def test_straight_through_slopes(channel, wanted):
    np.testing.assert_array_equal(slope(channel, POINTS), wanted)


@pytest.mark.fast
@pytest.mark.parametrize("derivative", ["straight-through", "smoothed"])
def test_slopes_are_finite_at_zero_and_where_bits_run_out(derivative):
    u = np.array([0.0, 1e-300, -1e-12, 1e-3, 1.0, 1e3, -1e12, 1e300])
    for channel in (
        Log(0.4, derivative=derivative),
        Log(0.4, bits=4, derivative=derivative),
        Sign(derivative=derivative),
    ):
        assert np.isfinite(slope(channel, u)).all()
        by_setting = jax.jit(jax.jacfwd(lambda c: c.quantize(jnp.asarray(u)[:, None])))(channel)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_setting))


@pytest.mark.fast
@pytest.mark.parametrize(
    "channel", [make(0.4) for make, _ in SMOOTHED.values()] + [Log(0.4), Log(0.4, bits=4, derivative="smoothed")]
)
def test_forward_and_reverse_mode_agree(rng, channel):
    u = jnp.asarray(rng.normal(size=(6, 2)))
    channel = jax.tree.map(jnp.asarray, channel)
    quantize = lambda channel, u: channel.quantize(u)  # noqa: E731
    forward = [jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), tree) for tree in (channel, u)]
    out, moved = jax.jit(lambda *at: jax.jvp(quantize, at, tuple(forward)))(channel, u)
    cotangent = jnp.asarray(rng.normal(size=out.shape))
    back = jax.jit(lambda *at: jax.vjp(quantize, *at)[1](cotangent))(channel, u)
    pairs = zip(jax.tree.leaves(forward), jax.tree.leaves(back), strict=True)
    assert sum(jnp.vdot(a, b) for a, b in pairs) == pytest.approx(float(jnp.vdot(moved, cotangent)), rel=1e-10)


@pytest.mark.fast
def test_the_scale_of_a_bounded_log_quantizer_has_a_smoothed_derivative():
    """Above the largest level q grows with the scale: over ln(scale) its derivative adds up to what q gains."""
    u = jnp.full((1, 1), 1e6)
    value = lambda t: Log(0.5, bits=3, scale=jnp.exp(t), derivative="smoothed").quantize(u).sum()  # noqa: E731
    points = jnp.linspace(0.0, 2.0, 801)  # whole levels at both ends
    gained = float(jax.jit(lambda: value(points[-1]) - value(points[0]))())
    assert gained > 1
    assert np.trapezoid(jax.jit(jax.vmap(jax.grad(value)))(points), points) == pytest.approx(gained, rel=1e-2)
