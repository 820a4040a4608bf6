"""`jaxcoopt.compare`: methods tuned alike on the same instances, against what `solve` gives."""

import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc

NODES, INSTANCES, STEPS = 6, 4, 20
FLOW, DUAL = jc.CoOptimizer(jc.methods.LaplacianFlow(0.05)), jc.CoOptimizer(jc.methods.PrimalDual(0.1))
GRIDS = {"flow": {"allocation.step": [0.01, 0.05]}}


def problem(seed, instances=INSTANCES):
    rng = np.random.default_rng(seed)
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2.0, (NODES, instances)), rng.uniform(0.5, 1.5, (NODES, instances)))
    return jc.Problem(jc.Allocation(cost, float(NODES), lower=0.1, upper=3.0))


@pytest.fixture(scope="module")
def network():
    return jc.Network.from_graphs([nx.cycle_graph(NODES)])


@pytest.fixture(scope="module")
def compared(network):
    return jc.compare(
        problem(0), network, {"flow": FLOW, "dual": DUAL}, steps=STEPS, grids=GRIDS, tuned_on=problem(1), ours=["flow"]
    )


def last_error(result):
    parts = (np.abs(result.trace["allocation_gap"]), result.trace["budget_residual"], result.trace["box_violation"])
    return np.max(parts, axis=0)[-1]  # the mean share is 1


def test_errors_are_those_of_solve_with_the_winner_of_the_grid(compared, network):
    flows = {step: jc.CoOptimizer(jc.methods.LaplacianFlow(step)) for step in (0.01, 0.05)}
    tried = {
        step: np.median(last_error(jc.solve(problem(1), network, flow, STEPS, runs=INSTANCES)))
        for step, flow in flows.items()
    }
    best = min(tried, key=lambda step: tried[step])
    row = compared.sel(algorithm="flow").isel(horizon=0)
    assert (str(row.kind.values), int(row.checkpoint)) == ("iterations", STEPS)
    assert float(row["tuned/allocation.step"]) == best
    expected = last_error(jc.solve(problem(0), network, flows[best], STEPS, runs=INSTANCES))
    np.testing.assert_allclose(row.error, expected, rtol=1e-9)
    rival = last_error(jc.solve(problem(0), network, DUAL, STEPS, runs=INSTANCES))
    np.testing.assert_allclose(row.ratio, expected / rival, rtol=1e-9)
    assert np.isnan(compared.ratio.sel(algorithm="dual")).all()


def test_training_and_several_problems(network, rng):
    def of(count):
        return jc.Problem(
            training=jc.Training(jc.losses.Linear(0.1), rng.normal(size=(NODES, 5, 2)), rng.normal(size=(NODES, count)))
        )

    methods = {"tracking": jc.CoOptimizer(training=jc.methods.GradientTracking(0.05))}
    found = jc.compare([of(5), of(5)], [network] * 2, methods, steps=10, checkpoints=[5, 10], record_every=5)
    assert found.error.shape == (1, 4, 2)
    assert found.sizes == {"algorithm": 1, "horizon": 4, "instance": 2}
    assert "ratio" not in found
    assert np.isfinite(found.consensus_error).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"grids": {"folw": {}}}, "grids: 'folw' is not known; did you mean 'flow'"),
        ({"grids": {"flow": {"allocation.stpe": [1.0]}}}, r"allocation\.stpe.*did you mean 'allocation\.step'"),
        ({"ours": ["flow"]}, "ours: all methods are"),
        ({"checkpoints": [30]}, "checkpoints: expected one or more up to steps = 20"),
        ({"network": 3}, "3 cannot share 4 instances evenly"),
    ],
)
def test_what_cannot_be_compared_is_explained(network, changed, words):
    options = {"network": 1} | changed
    networks = [network] * options.pop("network")
    with pytest.raises(ValueError, match=words):
        jc.compare(problem(0), networks, {"flow": FLOW}, steps=STEPS, **options)


def test_what_has_no_number_to_compare_is_refused(network, rng):
    auto = jc.CoOptimizer(jc.methods.LaplacianFlow("auto"))
    with pytest.raises(ValueError, match=r"methods\['flow'\]\.allocation\.step: 'auto' is one problem's"):
        jc.compare(problem(0), network, {"flow": auto}, steps=STEPS)
    deep = jc.Training(jc.losses.MLP((3,)), rng.normal(size=(NODES, 5, 2)), rng.normal(size=(NODES, 5)))
    tracking = {"tracking": jc.CoOptimizer(training=jc.methods.GradientTracking(0.05))}
    with pytest.raises(ValueError, match=r"problem\.training\.loss: it is not convex"):
        jc.compare(jc.Problem(training=deep), network, tracking, steps=STEPS)
