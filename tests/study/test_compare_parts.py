"""The parts of a comparison: instances, networks, grid search, errors at horizons, ratios."""

import math
from functools import partial

import jax
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.compare_tables import Comparison, Family, Graphs
from jaxcoopt.experiments.contenders import PAPER_LABEL, contenders
from jaxcoopt.experiments.random_instances import active_share, draw_instances
from jaxcoopt.experiments.random_networks import draw_networks, sizes
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.run.memory import layout_of
from jaxcoopt.run.names import Trio
from jaxcoopt.study.chunk_width import fitting
from jaxcoopt.study.contest import Contender, grid_search, point_scores, with_settings
from jaxcoopt.study.instances import Instances
from jaxcoopt.study.jobs import Case, Traces, bits_at, one_number, run_jobs
from jaxcoopt.study.ratios import ratios, winners
from jaxcoopt.study.statistics import quartiles

QUADRATIC = Family(kind="quadratic")
LOG = jc.channels.LogQuantizer(0.5)
FLOW = jc.methods.LaplacianFlow(0.05)
RANDOM = Graphs(kind="topology", name="regular", nodes=[8], degree=4, graphs=2, draws=2)


def made(method):
    return partial(with_settings, method, argument="grid")


def settings(**changed):
    given = {"half": "allocation", "problems": [{"kind": "quadratic"}]}
    given["networks"] = [{"kind": "topology", "name": "ring", "nodes": [8]}]
    return Comparison.model_validate(given | changed)


# ---------------------------------------------------------------- instances and networks


@pytest.mark.parametrize("kind", ["quadratic", "latency", "latency_power"])
def test_allocation_instances_are_what_they_say(kind):
    family = Family(kind=kind)
    instances = draw_instances(family, 20, 30, 5, "evaluation")
    problem, optimum, initial = instances.take(0, np.arange(30))
    half, x = problem.allocation, np.asarray(optimum.allocation)
    assert initial is None
    assert half.lower.shape == x.shape == (20, 30)
    share = active_share(problem, x)
    assert np.all((share >= 0.15) & (share <= 0.4))
    assert np.all(half.lower < half.upper)
    assert np.all(half.lower > 0)
    assert np.all((half.lower.sum(axis=0) < half.budget) & (half.budget < half.upper.sum(axis=0)))
    np.testing.assert_allclose(x.sum(axis=0), half.budget, rtol=1e-12)
    for column in (0, 17):  # a run of the batch is that instance alone
        one, best, _ = instances.take(0, np.array([column]))
        again = jc.reference(one)
        np.testing.assert_allclose(again.allocation, x[:, column], rtol=1e-9)
        np.testing.assert_allclose(best.allocation_cost, again.allocation_cost)


def test_quadratic_curvatures_cover_two_decades():
    problem = draw_instances(QUADRATIC, 50, 40, 0, "tuning").batches[0][0]
    exponent = np.log10(problem.allocation.cost.curvature)
    assert np.all(np.abs(exponent) <= 1)
    np.testing.assert_allclose(np.quantile(exponent, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.15)


def test_tuning_and_evaluation_are_disjoint_and_repeatable():
    def curvatures(part, seed=3):
        return np.ravel(draw_instances(QUADRATIC, 8, 6, seed, part).batches[0][0].allocation.cost.curvature)

    assert not set(curvatures("tuning")) & set(curvatures("evaluation"))
    np.testing.assert_array_equal(curvatures("tuning"), curvatures("tuning"))
    assert not set(curvatures("tuning")) & set(curvatures("tuning", seed=4))


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_training_instances_start_at_zero_and_know_their_optimum(kind):
    instances = draw_instances(Family(kind=kind, features=3, samples=6), 5, 2, 0, "tuning")
    problem, optimum, initial = instances.take(1, np.zeros(4, int))
    assert problem.training.features.shape == (5, 6, 3)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(initial.params))
    assert np.isfinite(optimum.training_loss)
    assert not np.array_equal(problem.training.features, instances.batches[0][0].training.features)


def test_impossible_active_share_is_said(monkeypatch):
    monkeypatch.setattr("jaxcoopt.experiments.random_instances.TRIES", 2)
    with pytest.raises(ValueError, match=r"problems\.active: 0 of .* widen the range"):
        draw_instances(Family(kind="quadratic", active=(0.99, 1.0)), 30, 5, 0, "tuning")


def test_networks_are_drawn_apart_in_one_shape():
    drawn = draw_networks(RANDOM, 8, seed=1)
    every = [*drawn["tuning"], *drawn["evaluation"]]
    assert [len(part) for part in drawn.values()] == [1, 2]
    assert len({jax.tree.structure(network) for network in every}) == 1
    assert len({tuple(leaf.shape for leaf in jax.tree.leaves(network)) for network in every}) == 1
    neighbours = [np.asarray(jax.tree.leaves(network.tables)[0]).tobytes() for network in every]
    assert len(set(neighbours)) == 3


def test_sizes_of_fixed_networks():
    assert sizes(RANDOM) == [8]
    assert sizes(Graphs(kind="topology", name="karate")) == [34]


# ---------------------------------------------------------------- grid search


def test_grid_search_finds_the_planted_best():
    """On a complete graph with equal curvatures a there is one best step, 1 / (a n w); no bound is in the way."""
    nodes, curvature = 6, 2.0
    network = jc.Network.from_graphs([_complete(nodes)], weights=1 / nodes)
    shape, center = (nodes, 4), np.random.default_rng(0).normal(size=(nodes, 4))
    cost = jc.costs.Quadratic(np.full(shape, curvature), center)
    problem = jc.Problem(jc.Allocation(cost, np.full(4, 6.0), np.full(shape, -99.0), np.full(shape, 99.0)))
    instances = Instances([(problem, jc.reference(problem), None)], np.zeros(4, int), np.arange(4))
    contender = Contender("flow", made(jc.CoOptimizer(FLOW)), {"allocation.step": (0.05, 0.2, 0.5, 0.9)})
    tuned = grid_search(contender, Case(instances, [network], 8, 1), [("iterations", 1.0), ("iterations", 5.0)], 5, 8)
    assert [winner["allocation.step"] for winner in tuned.winners] == [0.5, 0.5]
    assert tuned.at_edge == []
    assert tuned.scores[1] < 1e-12


def _complete(nodes):
    return nx.complete_graph(nodes)


def test_point_scores_take_medians_and_count_diverged_as_infinite():
    error = np.array([[1.0, 2.0, 9.0, 3.0, np.inf, 4.0], [0.5, np.inf, np.inf, 0.1, 0.2, 0.3]])
    traces = Traces(np.array([0, 10]), np.array([0.0, 50.0]), {"error": error})
    scores = point_scores(traces, [("iterations", 5.0), ("bits", 50.0)], 2)
    np.testing.assert_array_equal(scores, [[2.0, 4.0], [np.inf, 0.2]])


def test_dotted_names_reach_into_bounds():
    grid = {"allocation.step": (1.0, 2.0), "allocation.bounds.weight": (3.0,)}
    contender = Contender("flow", made(jc.CoOptimizer(FLOW)), grid)
    points = contender.points
    np.testing.assert_array_equal(points["allocation.step"], [1, 2])
    flow = contender.make(points).allocation
    assert flow.bounds.form == FLOW.bounds.form
    np.testing.assert_array_equal(flow.bounds.weight, [3, 3])
    with pytest.raises(ValueError, match=r"bounds\.wieght' is not known; did you mean '.*bounds\.weight'"):
        contender.make({"allocation.step": 1.0, "allocation.bounds.wieght": 2.0})


def test_settings_of_a_file_reach_into_bounds():
    rival, flow = {"name": "primal_dual"}, {"name": "laplacian_flow", "settings": {"bounds.form": "square"}}
    found = contenders(settings(methods=[rival, flow]))[1]
    assert found.first.allocation.bounds.form == "square"
    assert set(found.grid) == {"step", "bounds.weight", "bounds.sharpness"}


def test_registry_grids_have_thirty_points():
    """Those of ours may have fewer: then they are tuned less."""
    for entry in ENTRIES:
        points = math.prod(len(values) for values in entry.grid.values()) if entry.grid else 0
        assert points <= 30 if entry.ours else points in (0, 30), entry.name
        if "step" in entry.settings or "penalty" in entry.settings:
            assert entry.ours or points == 30, entry.name


# ---------------------------------------------------------------- errors at horizons


def test_last_record_within_iterations_and_bits():
    traces = Traces(np.array([0, 10, 20, 25]), np.array([0.0, 130.0, 260.0, 325.0]), {})
    assert [traces.last("iterations", float(k)) for k in (0, 9, 10, 24, 25, 99)] == [0, 0, 1, 2, 3, 3]
    assert [traces.last("bits", float(k)) for k in (0, 129, 130, 259.9, 325)] == [0, 0, 1, 1, 3]


def test_bits_budget_is_what_one_number_a_link_costs():
    """Counted as the engine counts, on graphs of unlike degree."""
    graphs = [nx.star_graph(5), nx.cycle_graph(6)]
    network = jc.Network.from_graphs(graphs)
    instances = draw_instances(Family(kind="quadratic", active=(0.0, 1.0)), 6, 2, 0, "tuning")
    make = made(jc.CoOptimizer(jc.methods.LaplacianFlow(0.01), channel=LOG))
    traces = run_jobs(make, Case(instances, [network], 2, 1), {}, np.arange(2), 7, 2)
    problem, optimum, _ = instances.take(0, np.arange(2))
    method = make({})
    result = jc.solve(problem, network, method, 7, runs=2, record_every=1, optimum=optimum)
    np.testing.assert_allclose(traces.bits, np.asarray(result.trace["bits"])[:, 0])
    assert bits_at(network, one_number(LOG, problem, 6), np.arange(8)) == pytest.approx(traces.bits)
    np.testing.assert_allclose(traces.values["gap"], np.abs(result.trace["allocation_gap"]))
    parts = [np.abs(result.trace["allocation_gap"]), result.trace["budget_residual"], result.trace["box_violation"]]
    expected = np.max(parts, axis=0)  # the mean share is 1
    np.testing.assert_allclose(traces.values["error"], expected)


def test_jobs_in_any_width_are_the_same_and_use_their_own_draw():
    drawn = draw_networks(RANDOM, 8, seed=0)["evaluation"]
    instances = draw_instances(QUADRATIC, 8, 6, 0, "evaluation")
    make, order = made(jc.CoOptimizer(FLOW, channel=LOG)), np.array([5, 0, 3, 2])
    steps, case = {"allocation.step": np.array([0.01, 0.02, 0.01, 0.03])}, Case(instances, drawn, 8, 5)
    wide, narrow = (run_jobs(make, case, steps, order, 12, width) for width in (8, 3))
    np.testing.assert_array_equal(wide.iterations, [0, 5, 10, 12])
    np.testing.assert_allclose(wide.values["error"], narrow.values["error"], rtol=1e-9)
    problem, optimum, _ = instances.take(0, np.array([5]))
    alone = jc.solve(
        problem, drawn[1], make({"allocation.step": 0.01}), 12, record_every=5, optimum=optimum
    )  # instances 3, 4, 5 of 6 are on the second of two draws
    np.testing.assert_allclose(wide.values["gap"][:, 0], np.abs(alone.trace["allocation_gap"])[:, 0], rtol=1e-9)


def test_diverged_runs_are_infinite_to_the_end():
    instances = draw_instances(QUADRATIC, 8, 2, 0, "evaluation")
    network = draw_networks(RANDOM, 8, seed=0)["tuning"]
    make, case = made(jc.CoOptimizer(FLOW)), Case(instances, network, 2, 50)

    def errors(*steps):
        return run_jobs(make, case, {"allocation.step": np.array(steps)}, np.arange(2), 400, 2).values["error"]

    mixed = errors(1e6, 0.01)
    assert np.isfinite(mixed[0]).all()
    assert np.isinf(mixed[-1, 0])
    assert np.isfinite(mixed[:, 1]).all()
    both = errors(1e6, 1e6)
    assert both.shape == (9, 2)
    assert np.isinf(both[-1]).all()


def test_as_many_runs_as_fit_are_computed_at_once(monkeypatch, untyped):
    problem, _, _ = draw_instances(QUADRATIC, 8, 16, 0, "evaluation").take(0, np.arange(16))
    trio = Trio(problem, draw_networks(RANDOM, 8, seed=0)["tuning"][0], jc.CoOptimizer(FLOW))
    assert fitting(trio, 16) == 16
    need = layout_of(*trio[:3], 16)
    monkeypatch.setattr(
        "jaxcoopt.study.chunk_width.available", lambda: 2 * (need.setup + (need.state + need.working) // 2)
    )
    assert 1 <= fitting(trio, 16) <= 8
    monkeypatch.setattr("jaxcoopt.study.chunk_width.available", lambda: 0)
    with pytest.raises(MemoryError, match="a chunk of one run needs"):
        fitting(trio, 16)


# ---------------------------------------------------------------- ratios


def test_ratios_and_quartiles_by_hand(rng):
    rivals = {name: 10 ** rng.uniform(-8, 0, 41) for name in "abc"}
    ours = 10 ** rng.uniform(-8, 0, 41)
    best = np.min(list(rivals.values()), axis=0)
    found = ratios(ours, best, 1e-12)
    np.testing.assert_allclose(found, ours / best)
    np.testing.assert_allclose(quartiles(found), np.percentile(found, [25, 50, 75]))
    assert sum(winners(rivals).values()) == 41


def test_ratios_with_rounding_and_divergence():
    inf = np.inf
    ours = np.array([1e-16, 1e-16, inf, inf, 1.0, 0.0])
    best = np.array([1e-15, 1e-6, inf, 1.0, inf, 0.0])
    np.testing.assert_allclose(ratios(ours, best, 1e-12), [1.0, 1e-6, 1.0, inf, 0.0, 1.0])
    assert quartiles(np.array([1.0, inf, inf, inf])).tolist()[1:] == [inf, inf]
    assert quartiles(np.array([1.0, 2.0, 3.0, inf, 2.0])).tolist() == [2.0, 2.0, 3.0]


# ---------------------------------------------------------------- contenders


@pytest.mark.parametrize("half", ["allocation", "training"])
def test_everyone_in_the_registry_takes_part(half):
    kind = "quadratic" if half == "allocation" else "linear"
    found = contenders(settings(half=half, problems=[{"kind": kind}], channel={"kind": "log", "rho": 0.5}))
    assert {each.label for each in found} == {entry.title for entry in ENTRIES if entry.half == half} | {PAPER_LABEL}
    paper = [each for each in found if each.label == PAPER_LABEL]
    assert [(each.ours, each.first.channel.placement) for each in paper] == [(True, "message")]
    assert all(each.first.channel.placement == "innovation" for each in found if each not in paper)
    assert {entry.title for entry in ENTRIES if entry.half == half and entry.ours} <= {e.label for e in found if e.ours}
    names = {entry.title: entry.name for entry in ENTRIES}
    rivals = {names[each.label] for each in found if not each.ours}
    if half == "allocation":
        assert {"laplacian_flow", "primal_dual", "tracking_admm", "dual_consensus_admm", "ratio_consensus"} <= rivals
    else:
        assert "gradient_tracking" not in rivals


def test_wrong_contenders_are_explained():
    with pytest.raises(ValueError, match=r"methods\.0\.method: 'laplacian_flwo' is not known; did you mean"):
        contenders(settings(methods=[{"name": "laplacian_flwo"}]))
    with pytest.raises(ValueError, match=r"methods\.1\.name: extra is a method of training, .* about allocation"):
        contenders(settings(methods=[{"name": "primal_dual"}, {"name": "extra"}]))
    with pytest.raises(ValueError, match="no rival"):
        contenders(settings(methods=[{"name": "laplacian_flow"}]))
    with pytest.raises(ValueError, match="takes part twice"):
        contenders(settings(methods=[{"name": "primal_dual"}, {"name": "primal_dual"}]))
    with pytest.raises(ValueError, match=r"methods\.0: .*wieght"):
        contenders(settings(methods=[{"name": "finite_time_flow", "grid": {"bounds.wieght": [1.0]}}]))
