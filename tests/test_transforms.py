"""`solve` under jit and grad, its records, how runs end, and what a result holds."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.run.loop import compiled_for

NODES, RUNS, STEPS = 4, 2, 30  # and two neighbours at most: the derivatives of a small mix compile faster
DATA = np.random.default_rng(5)
CURVATURE, CENTER = DATA.uniform(0.5, 2, NODES), DATA.uniform(0, 2, NODES)
PROBLEM = jc.Problem(
    jc.Allocation(jc.costs.Quadratic(CURVATURE, CENTER), float(NODES), -3.0, 5.0),
    jc.Training(jc.losses.Logistic(0.1), DATA.normal(size=(NODES, 5, 3)), DATA.choice([-1, 1], (NODES, 5))),
)
SHARES = jc.Problem(PROBLEM.allocation)


def network(failure_rate=0.0):
    return jc.Network.from_graphs([nx.cycle_graph(NODES), nx.path_graph(NODES)], failure_rate=failure_rate)


NETWORK, FAILING = network(), network(0.2)
RING, DATA_TARGETS = jc.Network.from_graphs(nx.cycle_graph(NODES)), DATA.normal(size=(NODES, 5))
SETTINGS = {"step": 0.1, "momentum": 0.3, "rate": 0.1, "rho": 0.5}
OPTIMUM = jc.reference(SHARES)


@pytest.fixture(scope="module")
def optimum():
    return jc.reference(PROBLEM)


def method_of(settings, placement="difference", derivative=None, ideal=False):
    channel = jc.channels.LogQuantizer(settings["rho"], placement=placement, derivative=derivative)
    return jc.CoOptimizer(
        jc.methods.LaplacianFlow(settings["step"], settings["momentum"], jc.bounds.Penalty(1.0, 10.0)),
        jc.methods.GradientTracking(settings["rate"]),
        jc.channels.Ideal("difference") if ideal else channel,
    )


def solve(settings, optimum, problem=PROBLEM, steps=STEPS, record_every=10, net=NETWORK, **kind):
    return jc.solve(
        problem, net, method_of(settings, **kind), steps, runs=RUNS, seed=1, record_every=record_every, optimum=optimum
    )


def loss(settings, optimum, **kind):
    trace = solve(settings, optimum, **kind).trace
    return jnp.sum(trace["allocation_gap"][-1] + trace["training_gap"][-1])


def central_difference(fn, settings, name, h=1e-5):
    moved = [float(fn(settings | {name: settings[name] + sign * h})) for sign in (1, -1)]
    return (moved[0] - moved[1]) / (2 * h)


# ---------------------------------------------------------------- jit and grad


@pytest.mark.parametrize(("placement", "told"), [("message", True), ("innovation", False)])
def test_jit_equals_eager(optimum, placement, told):
    """And finds the reference of a known problem, where it is not told."""
    kind = {"placement": placement, "steps": 25, "net": FAILING}  # two records and a remainder
    eager = solve(SETTINGS, optimum, **kind)
    jitted = jax.jit(lambda settings: solve(settings, optimum if told else None, **kind))(SETTINGS)
    for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert eager.iterations.tolist() == jitted.iterations.tolist() == [0, 10, 20, 25]


def test_gradients_are_those_of_finite_differences(optimum):
    value = lambda settings: loss(settings, optimum, ideal=True)  # noqa: E731
    gradient = jax.jit(jax.grad(value))(SETTINGS)
    assert gradient.pop("rho") == 0
    for name, slope in gradient.items():
        assert slope == pytest.approx(central_difference(value, SETTINGS, name), rel=1e-6), name
        assert slope != 0


def test_grad_under_jit_equals_grad(optimum):
    """The flow alone."""

    def value(step):
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(step), channel=jc.channels.Ideal())
        return jc.solve(SHARES, NETWORK, method, 5, runs=1, record_every=5, optimum=optimum).trace["allocation_gap"][
            -1, 0
        ]

    assert jax.jit(jax.grad(value))(0.05) == pytest.approx(float(jax.grad(value)(0.05)), rel=1e-12)


def test_derivatives_nest_and_are_batched():
    """Of settings, link weights and data: jacfwd and jacrev agree, to the second order, and vmap is a loop."""
    x = DATA.normal(size=(NODES, 5, 3))
    given = {"step": jnp.asarray(0.1), "rate": jnp.asarray(0.1), "scale": jnp.asarray(1.0), "weight": jnp.asarray(1.0)}

    def value(given):
        training = jc.Training(jc.losses.Linear(0.1), given["scale"] * x, DATA_TARGETS)
        net = NETWORK.with_weights(given["weight"] * NETWORK.edges.weights)
        method = method_of(given | {"momentum": 0.3, "rho": 0.5}, ideal=True)
        result = jc.solve(jc.Problem(PROBLEM.allocation, training), net, method, 5, seed=1, record_every=5)
        return result.trace["allocation_cost"][-1, 0] + result.trace["training_loss"][-1, 0]

    forward, reverse = jax.jit(jax.jacfwd(value))(given), jax.jit(jax.grad(value))
    once = reverse(given)
    hessian = jax.jit(jax.jacfwd(jax.grad(value)))(given)
    batch = jax.tree.map(lambda leaf: leaf * jnp.asarray([1.0, 1.1]), given)
    batched = jax.jit(jax.vmap(jax.grad(value)))(batch)
    together = jax.jit(jax.grad(lambda batch: jax.vmap(value)(batch).sum()))(batch)
    for name in given:
        assert float(forward[name]) == pytest.approx(float(once[name]), rel=1e-10), name
        second = reverse(jax.tree.map(lambda leaf: leaf[1], batch))
        for both in (batched[name], together[name]):
            np.testing.assert_allclose(both, [once[name], second[name]], rtol=1e-10, err_msg=name)
        h = 1e-4
        ahead, behind = (reverse(given | {name: given[name] + way * h}) for way in (1, -1))
        for other in given:
            wanted = (ahead[other] - behind[other]) / (2 * h)
            np.testing.assert_allclose(hessian[other][name], wanted, rtol=1e-5, atol=1e-7, err_msg=f"{name}, {other}")


@pytest.mark.parametrize("rule", [jc.methods.DualConsensusADMM, jc.methods.TrackingADMM])
def test_slopes_of_local_problems_solved_before(rule):
    """Where the run has converged, the brackets around a node's own optimum are empty: no way to its slope."""

    def cost(penalty):
        result = jc.solve(SHARES, RING, jc.CoOptimizer(rule(penalty)), 150, record_every=150, optimum=OPTIMUM)
        return result.trace["allocation_gap"][-1, 0] + result.allocation[0, 0]

    compiled, h = jax.jit(jax.value_and_grad(cost)), 1e-3
    slope = (compiled(0.5 + h)[0] - compiled(0.5 - h)[0]) / (2 * h)
    np.testing.assert_allclose(compiled(0.5)[1], slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rule", [jc.methods.DualConsensusADMM, jc.methods.TrackingADMM])
def test_second_derivatives_go_through_local_problems(rule):
    """The slope's own slope is that of its differences, in a loop that is linearized."""

    def cost(penalty):
        result = jc.solve(SHARES, RING, jc.CoOptimizer(rule(penalty)), 6, record_every=6, optimum=OPTIMUM)
        return result.trace["allocation_cost"][-1, 0]

    slope, h = jax.jit(jax.grad(cost)), 1e-4
    wanted = (slope(0.5 + h) - slope(0.5 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(jax.grad(cost)))(0.5), wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("every", [8, 100, 1024])  # blocks of records, records of blocks, one record at the end
def test_memory_of_reverse_mode_grows_with_the_root_of_the_steps(every):
    def value(step, steps):
        method = jc.CoOptimizer(jc.methods.LaplacianFlow(step), channel=jc.channels.Ideal())
        options = {"runs": 64, "record_every": min(every, steps), "optimum": OPTIMUM}
        return jc.solve(SHARES, NETWORK, method, steps, **options).trace["allocation_cost"][-1].sum()

    def bytes_of(steps):
        program = jax.jit(jax.grad(lambda step: value(step, steps))).lower(0.05).compile()
        return program.memory_analysis().temp_size_in_bytes

    few, many = bytes_of(64), bytes_of(1024)
    assert many < 6 * few, (few, many)  # 16 times the steps: 4 times the memory, and what does not grow


def test_gradients_with_respect_to_the_problem():
    """A traced problem's reference cannot be computed: without an optimum its costs are recorded and no gaps."""
    method = replace(method_of(SETTINGS, ideal=True), training=None)

    def cost(scale):
        allocation = replace(
            SHARES.allocation, cost=jc.costs.Quadratic(CURVATURE, scale * CENTER), budget=NODES * scale
        )
        trace = jc.solve(jc.Problem(allocation), NETWORK, method, STEPS, runs=RUNS, seed=1, record_every=STEPS).trace
        assert ("allocation_gap" in trace) == (not isinstance(scale, jax.core.Tracer))
        return trace["allocation_cost"][-1].sum()

    difference = (cost(1 + 1e-5) - cost(1 - 1e-5)) / 2e-5
    assert jax.jit(jax.grad(cost))(1.0) == pytest.approx(float(difference), rel=1e-6)


@pytest.mark.parametrize(
    ("placement", "derivative"),
    [("message", "smoothed"), ("difference", "straight-through"), ("innovation", None)],
)
def test_gradients_through_quantizers_are_finite(optimum, placement, derivative):
    value = lambda settings: shares_gap(settings, optimum, placement=placement, derivative=derivative)  # noqa: E731
    quick = {"xla_backend_optimization_level": 0}  # it runs once, and whether a NaN leaks is no matter of rounding
    gradient = jax.jit(jax.grad(value), compiler_options=quick)(SETTINGS)
    assert all(np.isfinite(slope) for slope in gradient.values())
    assert gradient["step"] != 0
    assert gradient["rho"] != 0


def shares_gap(settings, optimum, **kind):
    """The allocation half alone."""
    method = replace(method_of(settings, **kind), training=None)
    result = jc.solve(SHARES, NETWORK, method, STEPS, runs=RUNS, record_every=STEPS, optimum=optimum)
    return result.trace["allocation_gap"][-1].sum()


def test_straight_through_has_the_right_size_on_differences(optimum):
    """The spec's claim: with `difference` the slope 1 matches what the value does over a window wider than a level."""
    value = lambda step: shares_gap(SETTINGS | {"rho": 0.05, "step": step}, optimum, placement="difference")  # noqa: E731
    window = (value(0.11) - value(0.09)) / 0.02
    assert jax.jit(jax.grad(value))(0.1) == pytest.approx(float(window), rel=0.2)


# ---------------------------------------------------------------- compilation


@pytest.mark.fast
def test_other_numbers_compile_nothing(optimum):
    first = solve(SETTINGS, optimum)
    compiled = compiled_for(RUNS)._cache_size()
    other = {name: 0.7 * value for name, value in SETTINGS.items()}
    second = solve(other, optimum, steps=17, record_every=4)
    shifted = replace(PROBLEM, allocation=replace(PROBLEM.allocation, budget=5.0, upper=4.0))
    third = solve(other, jc.reference(shifted), shifted)
    assert compiled_for(RUNS)._cache_size() == compiled
    assert len({float(result.allocation[0, 0]) for result in (first, second, third)}) == 3


# ---------------------------------------------------------------- records


@pytest.mark.fast
@pytest.mark.parametrize(
    ("steps", "every", "iterations"), [(7, 3, [0, 3, 6, 7]), (6, 3, [0, 3, 6]), (2, 5, [0, 2]), (1, 1, [0, 1])]
)
def test_records(optimum, steps, every, iterations):
    result = solve(SETTINGS, optimum, steps=steps, record_every=every)
    assert result.iterations.tolist() == iterations
    assert all(values.shape == (len(iterations), RUNS) for values in result.trace.values())


@pytest.mark.fast
def test_a_hundred_records_by_default(optimum):
    assert len(solve(SETTINGS, optimum, steps=500, record_every=None).iterations) == 101


@pytest.mark.fast
def test_records_do_not_change_the_run(optimum):
    often, seldom = (solve(SETTINGS, optimum, record_every=every) for every in (1, 30))
    np.testing.assert_array_equal(often.allocation, seldom.allocation)
    for name, values in seldom.trace.items():
        np.testing.assert_allclose(np.asarray(often.trace[name])[[0, -1]], values, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- how runs end


def end(steps=400, flow_step=0.1, tol=1e-4, problem=SHARES, bounds=None, every=10, **options):
    flow = jc.methods.LaplacianFlow(flow_step, 0.0, bounds or jc.bounds.Penalty(1.0, form="square"))
    return jc.solve(problem, NETWORK, jc.CoOptimizer(flow), steps, runs=RUNS, record_every=every, tol=tol, **options)


@pytest.mark.fast
def test_converged_runs_stop_early_and_say_when():
    result = end(flow_step=np.array([0.1, 0.4]))
    assert result.status.tolist() == [jc.Status.CONVERGED] * 2
    assert result.left[1] < result.left[0] == result.iterations[-1] < 400
    gap = np.abs(np.asarray(result.trace["allocation_gap"]))
    for run in range(RUNS):
        row = result.iterations.tolist().index(int(result.left[run]))
        assert gap[row, run] <= 1e-4 < gap[row - 1, run]


@pytest.mark.fast
def test_a_converged_run_stands_still():
    long = end(flow_step=np.array([0.1, 0.4]))
    short = end(int(long.left[1]), np.array([0.1, 0.4]))
    np.testing.assert_array_equal(long.allocation[:, 1], short.allocation[:, 1])
    row = long.iterations.tolist().index(int(long.left[1]))
    for values in (long.trace["allocation_cost"], long.trace["seconds"], long.trace["bits"]):
        np.testing.assert_array_equal(values[row:, 1], np.broadcast_to(values[row, 1], values[row:, 1].shape))
    assert np.any(np.asarray(long.allocation[:, 0]) != np.asarray(short.allocation[:, 0]))


@pytest.mark.fast
def test_out_of_steps():
    result = end(20, tol=None)
    assert result.status.tolist() == [jc.Status.MAX_STEPS] * 2
    assert result.left.tolist() == [20, 20]


@pytest.mark.fast
def test_all_runs_diverged():
    with pytest.warns(RuntimeWarning, match="all 2 runs diverged"):
        result = end(flow_step=1e4)
    assert result.status.tolist() == [jc.Status.DIVERGED] * 2
    assert result.iterations[-1] < 400  # nobody is left


@pytest.mark.fast
def test_one_run_diverged():
    result = end(2000, np.array([1e4, 0.1]), tol=None)
    assert result.status.tolist() == [jc.Status.DIVERGED, jc.Status.MAX_STEPS]
    assert result.left[0] < result.left[1] == 2000
    assert np.isfinite(result.allocation[:, 1]).all()
    assert np.isfinite(np.asarray(result.trace["allocation_cost"])[:, 1]).all()


@pytest.mark.fast
def test_leaving_the_domain_is_divergence():
    problem = jc.Problem(jc.Allocation(jc.costs.Queueing(np.full(NODES, 2.0)), float(NODES)))
    wild = jc.Initial(np.array([1.999, 0.6, 0.6, 0.801]))
    with pytest.warns(RuntimeWarning, match="diverged"):
        result = end(20, 1.0, None, problem, initial=wild, every=1)
    assert result.status.tolist() == [jc.Status.DIVERGED] * 2


@pytest.mark.fast
def test_far_outside_the_box_is_infeasible():
    center = np.array([3.0, 0, 0, 0])
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(np.ones(NODES), center), float(NODES), 0.0, 1.5))
    loose, tight = (
        end(2000, 0.05, None, problem, jc.bounds.Penalty(weight, form="square")) for weight in (0.01, 100.0 / 20)
    )
    assert loose.status.tolist() == [jc.Status.INFEASIBLE] * 2
    assert np.all(loose.trace["box_violation"][-1] > 0.05)
    assert np.all(tight.trace["box_violation"][-1] < loose.trace["box_violation"][-1])


# ---------------------------------------------------------------- types and labels


def float_types(tree):
    return {leaf.dtype for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)}


@pytest.mark.parametrize("placement", ["difference", "innovation"])
def test_float32_stays_float32(float32, placement):
    result = jc.solve(PROBLEM, network(0.2), method_of(SETTINGS, placement), 20, runs=RUNS, tol=1e-9)
    assert float_types(result) == {np.dtype(np.float32)}
    assert not any(getattr(leaf, "weak_type", False) for leaf in jax.tree.leaves(result.state))


@pytest.mark.fast
def test_float64_stays_float64_whatever_comes_in(optimum):
    halved = jax.tree.map(
        lambda leaf: np.float32(leaf) if np.issubdtype(np.result_type(leaf), np.floating) else leaf, PROBLEM
    )
    result = solve({name: np.float32(value) for name, value in SETTINGS.items()}, optimum, halved)
    assert float_types(result) == {np.dtype(np.float64)}


@pytest.mark.fast
def test_float32_and_float64_tell_the_same_story(optimum):
    exact = solve(SETTINGS, optimum, ideal=True)
    with jax.enable_x64(False):
        single = jc.solve(PROBLEM, network(), method_of(SETTINGS, ideal=True), STEPS, runs=RUNS, seed=1)
    np.testing.assert_allclose(single.allocation, exact.allocation, atol=1e-5)


@pytest.mark.fast
def test_to_xarray(optimum):
    settings = SETTINGS | {"step": np.array([0.1, 0.2])}
    result = solve(settings, optimum)
    data = result.to_xarray()
    assert dict(data.sizes) == {"iteration": 4, "run": RUNS, "node": NODES}
    for name, values in result.trace.items():
        assert data[name].dims == ("iteration", "run")
        assert data[name].attrs["units"]
        np.testing.assert_array_equal(data[name], values)
    np.testing.assert_array_equal(data["allocation"], result.allocation)
    np.testing.assert_array_equal(data.iteration, [0, 10, 20, 30])
    assert data.status.values.tolist() == ["MAX_STEPS"] * 2
    np.testing.assert_array_equal(data["allocation.step"], [0.1, 0.2])
    assert data.attrs["allocation.momentum"] == 0.3
    assert data.attrs["channel.rho"] == 0.5
    assert "allocation.step" not in data.attrs
    table = result.to_pandas()
    assert list(table.columns) == list(result.trace)
    assert table.index.names == ["iteration", "run"]
    gaps = np.asarray(result.trace["allocation_gap"])
    np.testing.assert_array_equal(table["allocation_gap"].to_numpy(), gaps.ravel())
    assert table.loc[(20, 1), "allocation_gap"] == gaps[2, 1]
