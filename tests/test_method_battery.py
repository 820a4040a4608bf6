"""Every row of the registry: it gets where it should, and a run is the same run however it is asked for.

One test for each pair of rows, as all its checks run on the same few compiled programs.
"""

import itertools
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import method_cases as cases
import method_loops as loops
import method_recursions as recursions
import numpy as np
import problems
import pytest
from method_cases import FEATURES, NODES, RUNS, network

import jaxcoopt as jc
from jaxcoopt.methods import codes
from jaxcoopt.methods.nonlinearities import Identity, Saturated, SingleBit, Uniform
from jaxcoopt.run.loop import compiled_for

LONG, SHORT, EVERY = 3000, 30, 10
CHAOTIC = {"finite_time_flow", "fixed_time_flow"}  # the slope of |u|^v at 0 is infinite: rounding is amplified there
KINKED = {"saturated_flow"}  # a price difference may pass the level between two settings
STEPWISE = (SingleBit, Uniform)  # nonlinearities without a derivative
QUICK = {"xla_backend_optimization_level": 0}  # for what runs a few times only
every_pair = pytest.mark.parametrize("pair", cases.PAIRS, ids=cases.name_of)


def solve(problem, method, initial, steps=SHORT, net=None, runs=RUNS, every=EVERY, **options):
    options = {"optimum": jc.Optimum(), "seed": 1} | options
    net = network() if net is None else net
    return jc.solve(problem, net, method, steps, runs=runs, record_every=every, initial=initial, **options)


def ends(result):
    return result.allocation, result.params, result.trace


@every_pair
def test_a_pair_of_rows(rng, pair):
    problem, initial = cases.case(rng, pair)
    method = cases.per_run(cases.method_of(pair))
    optimum = jc.reference(problem)  # its presence is compiled in: the same for all, so that they share a program
    check_where_it_ends(pair, problem, initial, method, optimum)
    check_the_seed_decides(problem, initial, method, optimum)
    check_relabelled(rng, pair, problem, initial, method, optimum)
    check_recursions(pair, problem, initial, method, optimum)
    check_alone_under_jit_and_grad(pair, problem, initial, optimum)


# ---------------------------------------------------------------- where it ends


def check_where_it_ends(pair, problem, initial, method, optimum):
    """Exact rows at the optimum; others at a distance that is known. Nothing new is compiled for other numbers."""
    result = solve(problem, method, initial, LONG, every=LONG // 10, optimum=optimum)
    compiled = compiled_for(RUNS)._cache_size()
    assert not np.any(np.asarray(result.status) == jc.Status.DIVERGED)
    last = {name: np.asarray(values)[-1] for name, values in result.trace.items()}
    check_bits(pair, method, result.state)
    if pair[0] is not None:
        check_shares(pair[0], problem, method.allocation, result, last)
    if pair[1] is not None and pair[1].exact:
        assert np.all(last["training_gap"] <= 1e-8), pair[1].name
        assert np.all(last["consensus_error"] <= 1e-8), pair[1].name
    elif pair[1] is not None:
        half = replace(method, training=replace(method.training, step=0.5 * method.training.step))
        nearer = solve(problem, half, initial, 2 * LONG, every=LONG // 10, optimum=optimum)
        check_neighbourhood(pair[1], result, nearer)
    solve(problem, jax.tree.map(lambda leaf: 0.9 * leaf, method), initial, LONG // 2, every=7, optimum=optimum)
    assert compiled_for(RUNS)._cache_size() == compiled


def check_shares(row, problem, method, result, last):
    x, trace = np.asarray(result.allocation), result.trace
    if method.keeps_sum:
        assert np.asarray(trace["budget_residual"]).max() <= 1e-13, row.name
    if method.keeps_box:
        assert np.asarray(trace["box_violation"]).max() == 0, row.name
    if row.exact:
        for name in ("allocation_gap", "budget_residual", "box_violation"):
            assert np.all(np.abs(last[name]) <= 1e-8), (row.name, name)
        return
    if isinstance(getattr(method, "bounds", None), jc.bounds.Penalty):
        wanted, band = cases.penalised(problem, method.bounds).allocation, band_of(method)
    elif isinstance(method, jc.methods.RatioConsensus):  # bounds are not seen
        free = replace(problem.allocation, lower=None, upper=None)
        wanted, band = jc.reference(jc.Problem(free)).allocation[:, None], 1e-8
    else:  # it may stall where full nodes cut the graph: here none does
        wanted, band = jc.reference(problem).allocation[:, None], 1e-4
    assert np.abs(x - wanted).max() <= band, row.name


def band_of(flow):
    """How near a flow must come to its optimum: those that are Lipschitz at agreement come to rest there."""
    smooth = isinstance(flow.nonlinearity, Identity | Saturated)
    return 1e-8 if smooth else 0.05


def check_neighbourhood(row, result, nearer):
    """The distance to the optimum goes down with the step: as the step, or its square root with sampled gradients."""
    errors = [np.asarray(r.trace["consensus_error"])[-5:].mean(axis=0) for r in (result, nearer)]
    assert np.all(errors[0] < 0.2), row.name
    assert np.all(np.abs(result.trace["training_gap"][-1]) < 0.05), row.name
    ratio = errors[0] / errors[1]
    if not samples((None, row)):
        assert np.all((ratio > 1.7) & (ratio < 2.3)), row.name


NUMBERS = {  # sent over a link in an iteration: prices and duals, or copies of the model's 3 + 1 parameters
    **dict.fromkeys(("laplacian_flow", "accelerated_flow", "finite_time_flow", "fixed_time_flow", "saturated_flow"), 1),
    **dict.fromkeys(("primal_dual", "tracking_admm", "ratio_consensus"), 2),
    "dual_consensus_admm": 1,
    **dict.fromkeys(("gradient_tracking", "atc_tracking", "heavy_ball_tracking"), 2 * (FEATURES + 1)),
    **dict.fromkeys(
        ("dgd", "extra", "nids", "exact_diffusion", "decentralized_admm", "choco", "lead", "dpsgd"), FEATURES + 1
    ),
}
BY_HAND = {  # over ideal links and over links of 12 bits a number
    "single_bit_flow": (1, 1),
    "uniform_flow": (12, 12),
    "curvature_flow": (64 + 3 * 8, 12 + 3 * 8),  # h d in one code, and two shares
    "curvature_flow_multiplier": (64 + 8, 12 + 8),
    **dict.fromkeys(("dual_flow", "dual_flow_memoryless"), (64 + 4 * 8, 12 + 4 * 8)),  # k, k d and two shares
}


def check_bits(pair, method, state):
    """Of one link and iteration, by hand; a row that is new counts at least a bit."""
    for i, channel in enumerate((jc.channels.Ideal(), jc.channels.Natural())):
        wanted = [BY_HAND.get(row.name) or (64 * NUMBERS[row.name], 12 * NUMBERS[row.name]) for row in known(pair)]
        sent = replace(method, channel=channel).bits(state)
        assert np.all(sent == sum(bits[i] for bits in wanted) if len(wanted) == len(rows(pair)) else sent >= 1), pair


def rows(pair):
    return [row for row in pair if row is not None]


def known(pair):
    return [row for row in rows(pair) if row.name in NUMBERS | BY_HAND]


# ---------------------------------------------------------------- the same run


def check_the_seed_decides(problem, initial, method, optimum):
    first, again = (solve(problem, method, initial, net=network(0.3), optimum=optimum) for _ in range(2))
    once, more = (jax.tree.leaves((result.state, result.trace)) for result in (first, again))
    for a, b in zip(once, more, strict=True):
        np.testing.assert_array_equal(a, b)


def check_relabelled(rng, pair, problem, initial, method, optimum):
    """Node i of the relabelled problem was node old[i]. Mini-batches are drawn by the node's number, so not them."""
    if samples(pair):
        if pair[0] is None:
            return
        (problem, initial), method = cases.halves((pair[0], None), problem, initial), replace(method, training=None)
        optimum = replace(optimum, params=None, training_loss=None)
    old = rng.permutation(NODES)
    names = {int(node): i for i, node in enumerate(old)}

    def relabel(tree):
        return jax.tree.map(lambda leaf: np.asarray(leaf)[old] if np.shape(leaf)[:1] == (NODES,) else leaf, tree)

    here = solve(problem, method, initial, optimum=optimum)
    shares = replace(optimum, allocation=relabel(optimum.allocation))
    there = solve(relabel(problem), method, relabel(initial), net=network(names=names), optimum=shares)
    moved = jax.tree.map(lambda leaf: leaf[old], (here.allocation, here.params))
    cases.close((there.allocation, there.params), moved, tolerance_of(pair))
    cases.close(there.trace, here.trace, tolerance_of(pair))


def samples(pair):
    """Whether the training row draws mini-batches, which depend on the numbers of the node and of the run."""
    return pair[1] is not None and "batch_size" in pair[1].settings


def tolerance_of(pair, usual=1e-10):
    return 1e-6 if pair[0] is not None and pair[0].name in CHAOTIC else usual


# ---------------------------------------------------------------- the paper's recursion


def check_recursions(pair, problem, initial, method, optimum):
    """Over ideal links, against the NumPy loops; our flows over links that fail. With losses: test_method_agreement."""
    names = [row.name for row in rows(pair)]
    failing = any(name in recursions.OURS for name in names)
    for rate in (0.0, 0.2) if failing else (0.0,):
        net, steps = network(rate), recursions.STEPS
        result = solve(problem, method, initial, steps, net=net, every=steps, optimum=optimum)
        sequence = problems.weight_matrices(net, steps, seed=1)
        for name, run in itertools.product(names, range(RUNS)):
            if name in recursions.TRAINING and rate == 0:
                start, gradient = problems.one_run(initial.params, run), partial(cases.slope, problem.training)
                ours = problems.one_run(result.params, run)
                loop = partial(recursions.params, name, method.training, start, gradient)
            elif name in recursions.SHARES and (rate == 0 or name in recursions.OURS):
                a, c = problem.allocation.cost.curvature, problem.allocation.cost.center
                price, ours = cases.price(a, c), result.allocation[:, run]
                x = initial.allocation[:, run]
                loop = partial(recursions.shares, name, method.allocation, problem.allocation, price, x)
            else:
                continue
            theirs = loop(sequence[..., run], run, loops.Link)
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10, err_msg=f"{name}, run {run}")


# ---------------------------------------------------------------- a run alone, under jit and grad


def check_alone_under_jit_and_grad(pair, problem, initial, optimum):
    """A run under jit, with its settings as scalars, is that of an eager batch; its derivatives are those of central
    differences. One program for both: it takes start and failure rate as arguments.
    """
    method, start, net = cases.method_of(pair), cases.start_of(initial, 0), network()

    def value(method, start, failing):
        links = replace(net, failure_rate=failing)
        result = solve(problem, method, start, net=links, runs=1, optimum=optimum)
        parts = [result.trace[name][-1, 0] for name in ("allocation_cost", "training_loss") if name in result.trace]
        spread = result.trace.get("consensus_error", jnp.zeros((1, 1)))[-1, 0]
        return sum(parts) + spread, ends(result)

    if coded(method.allocation):
        plain = jax.jit(value, compiler_options=QUICK)
        check_a_run_alone(pair, problem, initial, optimum, lambda *given: plain(*given)[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(codes, "below", lambda u: u)
            check_slopes(pair, method, start, compile_slopes(value))
        return
    compiled = compile_slopes(value)
    check_a_run_alone(pair, problem, initial, optimum, lambda *given: compiled(*given)[0][1])
    if pair[0] is not None and pair[0].name in CHAOTIC:  # short of agreement, where the value has a derivative
        start = replace(start, allocation=cases.apart(problem.allocation))
        method = replace(method, allocation=replace(method.allocation, step=0.1 * method.allocation.step))
    if not isinstance(getattr(method.allocation, "nonlinearity", None), STEPWISE):
        check_slopes(pair, method, start, compiled)


def check_a_run_alone(pair, problem, initial, optimum, jitted):
    """The first with links that fail, the others, whose number is not theirs, without."""
    array, tolerance = cases.per_run(cases.method_of(pair)), tolerance_of(pair, 1e-11)
    for failing, runs in ((0.3, [0]), (0.0, range(RUNS))):
        batch = solve(problem, array, initial, net=network(failing), optimum=optimum)
        for run in runs:
            if run and samples(pair):
                continue  # it draws by its number
            alone = jitted(cases.of_run(cases.method_of(pair), run), cases.start_of(initial, run), failing)
            of_batch = jax.tree.map(lambda leaf: leaf[..., run : run + 1], ends(batch))  # noqa: B023
            cases.close(alone, of_batch, tolerance, f"run {run}")


def coded(rule):
    """Rows whose shares of a limit are sent as codes, with a straight-through derivative: checked without these."""
    return isinstance(rule, jc.methods.CurvatureFlow | jc.methods.DualFlow)


def compile_slopes(value):
    return jax.jit(jax.value_and_grad(value, has_aux=True), compiler_options=QUICK)


def check_slopes(pair, method, start, compiled):
    """Reverse mode against central differences of the same program, in every setting."""
    slopes = compiled(method, start, 0.0)[1]
    leaves, structure = jax.tree.flatten(method)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(method)]
    for i, (name, slope) in enumerate(zip(names, jax.tree.leaves(slopes), strict=True)):
        h = 1e-4 * (abs(leaves[i]) or 1.0)

        def at(way, i=i):
            moved = jax.tree.unflatten(structure, [*leaves[:i], leaves[i] + way, *leaves[i + 1 :]])
            return float(compiled(moved, start, 0.0)[0][0])

        ahead, here, behind = at(h), at(0.0), at(-h)
        near = (at(h / 2) - at(-h / 2)) / h
        wanted, tolerance = (4 * near - (ahead - behind) / (2 * h)) / 3, 1e-5  # Richardson: the error in h^2 drops out
        sides = (ahead - here) / h, (here - behind) / h
        if pair[0] is not None and pair[0].name in KINKED and abs(sides[0] - sides[1]) > 1e-3 * abs(wanted):
            wanted, tolerance = min(sides, key=lambda side: abs(side - slope)), 1e-3  # a kink within h on one side
        assert slope == pytest.approx(wanted, rel=tolerance, abs=1e-8), (cases.name_of(pair), name)


@every_pair
def test_float32_stays_float32(rng, pair, float32):
    problem, initial = cases.case(rng, pair)
    channel = jc.channels.LogQuantizer(0.5, placement="difference")
    if pair[1] is not None and pair[1].name in ("lead", "choco"):
        channel = jc.channels.Natural()
    method = cases.method_of(pair, channel)
    known = jc.Optimum(allocation_cost=1.0, training_loss=1.0)

    def leaves(method):
        result = solve(problem, method, initial, tol=1e-9, optimum=known)
        return jax.tree.leaves(result), jax.tree.leaves(result.state)

    result, state = jax.eval_shape(leaves, method)
    assert cases.float_types(result) == {np.dtype(np.float32)}
    assert not any(leaf.weak_type for leaf in state)
