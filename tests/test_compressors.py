"""Compressors and random quantizers: against NumPy, in the mean over many draws, and what a run draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.channel.wire import bits_of, numbers_in, opened
from jaxcoopt.draws import Draw

Natural, QSGD, TopK, RandK = jc.channels.Natural, jc.channels.QSGD, jc.channels.TopK, jc.channels.RandK
NODES, SIZE, DRAWS = 3, 6, 20_000
KEY = jax.random.key(3)
RANDOM = {
    "natural": Natural(),
    "qsgd": QSGD(4),
    "rand-k": RandK(2),
    "rand-k rescaled": RandK(2, rescale=True),
}
UNBIASED = ("natural", "qsgd", "rand-k rescaled")
each_random = pytest.mark.parametrize("name", RANDOM)
quantize = jax.jit(lambda channel, u, draw: channel.quantize(u, draw))


def draw_of(runs, iteration=0):
    return Draw(jax.random.fold_in(KEY, iteration), jnp.asarray(runs))


def message(rng, runs=DRAWS):
    """One message a node, the same in all runs: [nodes, size, runs]."""
    u = rng.normal(size=(NODES, SIZE)) * 10.0 ** rng.uniform(-1, 1, (NODES, SIZE))
    return np.repeat(u[..., None], runs, axis=2)


def undecided(rng, runs):
    """Messages of which each number goes up, or down, with a chance of at least 0.2, by `Natural` and by `QSGD(4)`."""
    u = np.stack([rng.permutation([0.6, 1.4, 1.5, 1.35, 1.45, 2.65]) for _ in range(NODES)])
    u *= rng.choice([-1.0, 1.0], u.shape) * 2.0 ** rng.integers(-3, 4, (NODES, 1))
    return np.repeat(u[..., None], runs, axis=2)


def chances(name, u):
    """(what a draw adds to the size of a number or does not, the probability that it does)."""
    size = np.abs(u)
    if name == "rand-k rescaled":
        return size * SIZE / 2, np.full(u.shape, 2 / SIZE)
    unit = 2.0 ** np.floor(np.log2(size)) if name == "natural" else np.linalg.norm(u, axis=1, keepdims=True) / 4
    return unit, size / unit % 1


def drawn(rng, name, u):
    return np.asarray(quantize(RANDOM[name], jnp.asarray(u), draw_of(np.arange(u.shape[-1]))))


# ---------------------------------------------------------------- in the mean


@pytest.mark.parametrize("name", UNBIASED)
def test_the_mean_over_many_draws_is_the_message(rng, name):
    assert RANDOM[name].unbiased
    u = message(rng)
    q = drawn(rng, name, u)
    unit, chance = chances(name, u[..., 0])
    error = np.abs(q.mean(axis=-1) - u[..., 0]) / unit
    spread = np.sqrt(chance * (1 - chance) / DRAWS)
    assert np.all(error <= 6 * spread + 14 / DRAWS + 1e-7)  # Bernstein's term for rare draws; 24 bits a draw
    often = DRAWS * np.minimum(chance, 1 - chance) > 25
    assert np.any(often)
    assert np.all(q.std(axis=-1)[often] > 0)


@pytest.mark.fast
def test_what_is_biased_says_so():
    assert not TopK(2).unbiased
    assert not RandK(2).unbiased
    assert not jc.channels.LogQuantizer().unbiased
    assert jc.channels.Ideal().unbiased


def test_rand_k_contracts_in_the_mean(rng):
    """E |q(u) - u|^2 = (1 - k/d) |u|^2, whichever numbers are large."""
    u = message(rng)
    q = drawn(rng, "rand-k", u)
    lost = np.sum((q - u) ** 2, axis=1)
    wanted = (1 - 2 / SIZE) * np.sum(u[..., 0] ** 2, axis=1)
    assert np.all(np.abs(lost.mean(axis=-1) - wanted) <= 6 * lost.std(axis=-1) / np.sqrt(DRAWS))


@pytest.mark.fast
@pytest.mark.parametrize("count", [1, 2, 5, 6, 9])
def test_top_k_contracts(rng, count):
    u = rng.normal(size=(NODES, SIZE, 50))
    lost = np.sum((np.asarray(TopK(count).quantize(jnp.asarray(u))) - u) ** 2, axis=1)
    assert np.all(lost <= max(0, 1 - count / SIZE) * np.sum(u**2, axis=1) + 1e-15)


# ---------------------------------------------------------------- by hand


@pytest.mark.fast
@pytest.mark.parametrize("count", [1, 3, 6])
def test_top_k_as_numpy(rng, count):
    u = rng.normal(size=(NODES, 2, 3, 4))
    expected = np.zeros(u.shape)
    for node in range(NODES):
        for run in range(4):
            flat = u[node, ..., run].ravel()
            kept = np.argsort(-np.abs(flat))[:count]
            part = np.zeros(flat.shape)
            part[kept] = flat[kept]
            expected[node, ..., run] = part.reshape(2, 3)
    np.testing.assert_array_equal(TopK(count).quantize(jnp.asarray(u)), expected)


@pytest.mark.parametrize(("rescale", "factor"), [(False, 1.0), (True, SIZE / 2)])
def test_rand_k_keeps_so_many_and_every_place_as_often(rng, rescale, factor):
    u = message(rng)
    q = np.asarray(quantize(RandK(2, rescale), jnp.asarray(u), draw_of(np.arange(DRAWS))))
    kept = q != 0
    assert np.all(kept.sum(axis=1) == 2)
    np.testing.assert_allclose(q[kept], factor * u[kept], rtol=1e-15)
    np.testing.assert_allclose(kept.mean(axis=-1), 2 / SIZE, atol=6 * np.sqrt(0.25 / DRAWS))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_natural_takes_one_of_the_powers_of_two_around(rng, dtype):
    with jax.enable_x64(dtype is np.float64):
        u = np.array([0.0, 1.0, -4.0, 3.0, -0.3, 1e-20, 7e12, -1e-3], dtype)
        many = np.repeat(u[None, :, None], 4000, axis=2)
        q = np.asarray(quantize(Natural(), jnp.asarray(many), draw_of(np.arange(4000))))[0]
    assert q.dtype == dtype
    below = np.zeros(u.shape)
    below[u != 0] = np.sign(u[u != 0]) * 2.0 ** np.floor(np.log2(np.abs(u[u != 0].astype(float))))
    assert np.all((q == below[:, None]) | (q == 2 * below[:, None]))
    np.testing.assert_array_equal(q[:3], many[0, :3])  # powers of two and 0 are themselves
    chance = np.abs(u - below)[3:] / np.abs(below)[3:]
    np.testing.assert_allclose((q == 2 * below[:, None]).mean(axis=1)[3:], chance, atol=6 * np.sqrt(0.25 / 4000))


def test_qsgd_levels_as_numpy(rng):
    levels, u = 4, message(rng, 2000)
    q = np.asarray(quantize(QSGD(levels), jnp.asarray(u), draw_of(np.arange(2000))))
    for node in range(NODES):
        norm = np.sqrt(np.sum(u[node, :, 0] ** 2))
        place = levels * np.abs(u[node, :, 0]) / norm
        level = np.abs(q[node]) / norm * levels
        np.testing.assert_allclose(level, np.round(level), atol=1e-12)
        taken = np.round(level)
        assert np.all((taken == np.floor(place)[:, None]) | (taken == np.floor(place)[:, None] + 1))
        np.testing.assert_allclose(taken.mean(axis=1), place, atol=6 * np.sqrt(0.25 / 2000))
        assert np.all((q[node] == 0) | (np.sign(q[node]) == np.sign(u[node])))


@pytest.mark.fast
@each_random
def test_nothing_is_sent_as_nothing(name):
    zero = jnp.zeros((NODES, SIZE, 2))
    np.testing.assert_array_equal(RANDOM[name].quantize(zero, draw_of([0, 1])), zero)


# ---------------------------------------------------------------- bits


@pytest.mark.fast
def test_bits_by_hand():
    u = {"bias": jnp.zeros((NODES, 1)), "weights": jnp.zeros((NODES, 4, 5, 1))}  # 1 and 20 numbers
    bits = {
        Natural(): 21 * 12,
        QSGD(4): 2 * 64 + 21 * (1 + 3),  # levels 0 to 4: three bits
        QSGD(15): 2 * 64 + 21 * (1 + 4),
        TopK(3): 64 + 3 * (64 + 5),  # one of one has no place
        TopK(20): 21 * 64,
        RandK(3): 64 + 3 * 64,
        RandK(3, rescale=True): 64 + 3 * 64,
    }
    for channel, wanted in bits.items():
        assert float(bits_of(channel, numbers_in(u))) == wanted, channel


@pytest.mark.fast
def test_bits_of_float32(float32):
    u = jnp.zeros((NODES, 20, 1), jnp.float32)
    assert [float(bits_of(c, numbers_in(u))) for c in (Natural(), TopK(3), RandK(3))] == [180, 3 * 37, 96]


# ---------------------------------------------------------------- what a run draws


@each_random
def test_a_run_draws_alone_what_it_draws_in_a_batch(rng, name):
    u = undecided(rng, 4)
    together = drawn(rng, name, u)
    for run in range(4):
        alone = quantize(RANDOM[name], jnp.asarray(u[..., run : run + 1]), draw_of([run]))
        np.testing.assert_array_equal(np.asarray(alone)[..., 0], together[..., run])
    assert np.any(together != together[..., :1])


@each_random
def test_iterations_nodes_and_leaves_draw_apart(rng, name):
    """No two draws agree more often than chance: the correlation of what is lost is small."""
    u, many = undecided(rng, 1), 4000
    u = np.broadcast_to(u[:1], (2, SIZE, 1))  # two nodes with the same message

    def losses(iteration):
        draw = draw_of([0], iteration)
        known = opened(RANDOM[name], {"a": jnp.asarray(u), "b": jnp.asarray(u)}, draw).known
        return jnp.stack([known["a"][..., 0], known["b"][..., 0]])

    q = np.asarray(jax.jit(jax.vmap(losses))(jnp.arange(many)))  # [iterations, leaves, nodes, size]
    varying = q - q[:1]  # what no draw changes is 0 to the bit, and its mean adds no rounding
    lost = varying - varying.mean(axis=0)
    pairs = {
        "iterations": (lost[:-1, 0, 0], lost[1:, 0, 0]),
        "nodes": (lost[:, 0, 0], lost[:, 0, 1]),
        "leaves": (lost[:, 0, 0], lost[:, 1, 0]),
    }
    for what, (a, b) in pairs.items():
        correlation = (a * b).mean(axis=0) / np.maximum(a.std(axis=0) * b.std(axis=0), 1e-300)
        assert np.all(np.abs(correlation) < 6 / np.sqrt(many)), what


@pytest.mark.fast
@each_random
def test_a_draw_is_needed(name):
    with pytest.raises(ValueError, match="draw"):
        RANDOM[name].quantize(jnp.ones((NODES, SIZE, 1)))


@pytest.mark.fast
@each_random
def test_the_derivative_is_finite_and_that_of_what_is_kept(rng, name):
    u, draw = jnp.asarray(message(rng, 2)), draw_of([0, 1])
    slope = jax.grad(lambda u: RANDOM[name].quantize(u, draw).sum())(u)
    q = np.asarray(RANDOM[name].quantize(u, draw))
    straight = np.ones(u.shape) if name in ("natural", "qsgd") else (q != 0) * (SIZE / 2 if "re" in name else 1.0)
    np.testing.assert_allclose(slope, straight, rtol=1e-15)


@pytest.mark.parametrize("channel", [Natural(), QSGD(4), TopK(1), RandK(1)], ids=lambda c: type(c).__name__)
def test_estimates_of_a_fixed_message_become_exact(rng, channel):
    """Innovations: what is left to send shrinks to nothing."""
    u = jnp.asarray(message(rng, 2))
    send = jax.jit(lambda wire, draw: wire.sent(channel, u, draw))
    wire = opened(channel, u, draw_of([0, 1]))
    for iteration in range(1, 200):
        wire = send(wire, draw_of([0, 1], iteration))
    np.testing.assert_allclose(wire.known, u, rtol=1e-9)
