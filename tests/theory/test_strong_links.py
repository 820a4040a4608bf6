"""Link weights that are too strong, as lengths or counts of an edge are: said before the run, and after it."""

import warnings

import method_cases as cases
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.methods.registry import BY_NAME, ENTRIES
from jaxcoopt.theory.laplacian import laplacians
from jaxcoopt.theory.strong_links import strength, too_strong

IDEAL = jc.channels.Ideal()
# They mix by I - L or the like. Others scale the links by their step or penalty, or do not ask for their weights.
MIXING = {"tracking_admm", "ratio_consensus", "gradient_tracking", "atc_tracking", "heavy_ball_tracking", "dgd"}
MIXING |= {"extra", "nids", "exact_diffusion", "choco", "lead", "dpsgd"}


def lengths(rng, scale=1.0, **more):
    """A ring with a chord whose edges have lengths."""
    graph = cases.graph()
    for _, _, data in graph.edges(data=True):
        data["km"] = scale * rng.uniform(20, 300)
    return jc.Network.from_graphs(graph, weights="km", **more)


def small_steps(entry):
    """So small that no run diverges for its step."""
    return entry.build(**{"step": 1e-4} if "step" in entry.settings else {})


def told(problem, network, method, steps=60, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = jc.solve(problem, network, method, steps, **options)
    return [str(w.message) for w in caught if w.category is RuntimeWarning], result


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_who_is_warned(rng, entry):
    """Methods that mix with the weights, and not of weights that are as they should be."""
    network = lengths(rng)
    words = too_strong(small_steps(entry), network, IDEAL, surely=True)
    assert (words is not None) == (entry.name in MIXING)
    assert too_strong(small_steps(entry), cases.network(0.2), IDEAL, surely=False) is None
    if words is not None:
        factor = float(words.split("Multiply the weights by ")[1].split(" ")[0])
        weights = np.asarray(network.edges.weights)
        assert too_strong(small_steps(entry), network.with_weights(factor * weights), IDEAL, surely=False) is None
        assert too_strong(small_steps(entry), network.with_weights(1.2 * factor * weights), IDEAL, surely=True)


def both_ways(rng, pair):
    """The same program with lengths as weights, and with the factor that the warning names."""
    problem, initial = cases.case(rng, pair)
    rows = [row for row in pair if row is not None]
    method = jc.CoOptimizer(**{row.half: small_steps(row) for row in rows})
    network, options = lengths(rng), {"runs": cases.RUNS, "initial": initial, "steps": 400, "record_every": 400}
    words, result = told(problem, network, method, **options)
    mixing = [row for row in rows if row.name in MIXING]
    assert len([w for w in words if w.startswith("network: ")]) == len({type(row.build()) for row in mixing})
    if mixing:
        assert (np.asarray(result.status) == jc.Status.DIVERGED).all()
        assert "diverged, the first before" in words[-1]
        assert "too strong" in words[-1]
        assert "make the steps smaller" not in words[-1]
        factor = min(float(w.split("Multiply the weights by ")[1].split(" ")[0]) for w in words)
        tamed = network.with_weights(factor * np.asarray(network.edges.weights))
        words, result = told(problem, tamed, method, **options)
        assert not [w for w in words if "network" in w or "diverged" in w]
        assert not (np.asarray(result.status) == jc.Status.DIVERGED).any()


def test_runs_end_as_told(rng):
    both_ways(rng, (BY_NAME["tracking_admm"], BY_NAME["extra"]))


@pytest.mark.slow
@pytest.mark.parametrize("pair", cases.PAIRS, ids=cases.name_of)
def test_all_runs_end_as_told(rng, pair):
    both_ways(rng, pair)


def test_graphs_that_take_turns_and_links_that_fail(rng):
    """Said before the run where mixing grows all the same, and not where it may not."""
    even, odd = nx.Graph([(0, 1), (2, 3), (4, 5)]), nx.Graph([(1, 2), (3, 4), (5, 0)])
    for graph in (even, odd):
        graph.add_nodes_from(range(6))
    method = jc.methods.DGD(1e-4)
    for weight, expected in ((0.4, False), (0.9, False), (1.5, True)):
        network = jc.Network.from_graphs([even, odd], weights=weight)
        assert (too_strong(method, network, IDEAL, surely=True) is not None) == expected
    often_down = jc.Network.from_graphs(nx.cycle_graph(6), weights=0.6, failure_rate=0.5)
    assert too_strong(method, often_down, IDEAL, surely=True) is None  # the mean has 1.2
    assert too_strong(method, often_down, IDEAL, surely=False)


def directed(weights):
    """Two cycles through all nodes, one of them with a shortcut for every second node: balanced, lambda is complex."""
    graph = nx.DiGraph()
    for shift, weight in ((1, weights[0]), (2, weights[1])):
        graph.add_edges_from([(i, (i + shift) % 6, {"km": weight}) for i in range(6)])
    return jc.Network.from_graphs(graph, weights="km")


def test_directed_links(rng):
    """Warned of exactly where I - L grows, and with the factor that makes it stop."""
    given = rng.uniform(20, 300, 2)
    method = jc.methods.DGD(1e-4)
    words = too_strong(method, directed(given), IDEAL, surely=True)
    assert "metropolis" not in words
    factor = float(words.split("Multiply the weights by ")[1].split(" ")[0])
    for scale, warned in ((factor, False), (1.2 * factor, True)):
        laplacian = laplacians(directed(scale * given))[0].toarray()
        assert (np.abs(np.linalg.eigvals(np.eye(6) - laplacian)).max() > 1 + 1e-9) == warned
        assert (too_strong(method, directed(scale * given), IDEAL, surely=True) is not None) == warned
    result = told(jc.Problem(training=cases.training(rng)), directed(given), jc.CoOptimizer(training=method))
    assert "too strong for DGD" in result[0][0]
    assert "make the steps smaller" not in result[0][-1]


def test_large_directed_networks(rng):
    """The eigenvalues of circulant matrices are known in closed form: mixing grows just above what they allow."""
    nodes, weights = 500, rng.uniform(0.3, 3, 2)
    graph = nx.DiGraph()
    for shift, weight in ((1, weights[0]), (2, weights[1])):
        graph.add_edges_from([(i, (i + shift) % nodes, {"km": weight}) for i in range(nodes)])
    turn = np.exp(2j * np.pi * np.arange(1, nodes) / nodes)
    known = weights[0] * (1 - turn) + weights[1] * (1 - turn**2)
    network, least = jc.Network.from_graphs(graph, weights="km"), np.max(np.abs(known) ** 2 / known.real)
    assert strength(laplacians(network)[0], True) >= least
    method = jc.methods.DGD(1e-4)
    for times, warned in ((1.9, False), (2.2, True)):
        for _, _, data in graph.edges(data=True):
            data["scaled"] = data["km"] * times / least
        scaled = jc.Network.from_graphs(graph, weights="scaled")
        assert (too_strong(method, scaled, IDEAL, surely=True) is not None) == warned


def test_what_a_penalty_cannot_hold_is_told_when_it_has_run(rng):
    """Counts as weights: no step bound is known to be passed before the run, and the penalty's slope throws it far off.

    With the weights a hundredth of that, which is a hundredth of the step, there is nothing to say.
    """
    graph = nx.cycle_graph(12)
    nx.set_edge_attributes(graph, 100, "count")
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, 12), rng.uniform(0, 3, 12))
    problem = jc.Problem(jc.Allocation(cost, 12.0, 0.0, 2.0))
    network, method = jc.Network.from_graphs(graph, weights="count"), jc.CoOptimizer(jc.methods.LaplacianFlow(1e-3))
    words, result = told(problem, network, method, steps=300)
    gap = result.trace["allocation_gap"][:, 0]
    far = result.status[0] == jc.Status.INFEASIBLE and gap[-1] > 10 * abs(gap[0]) and gap[-1] > 1e-3
    assert any("ended much further from the optimum than they began" in each for each in words) == far
    tamed = network.with_weights(0.01 * np.asarray(network.edges.weights))
    assert told(problem, tamed, method, steps=300)[0] == []


def test_auto_says_it(rng):
    problem = jc.Problem(training=cases.training(rng))
    with pytest.raises(ValueError, match=r"step: 'auto' found no step, as the links are too strong"):
        jc.solve(problem, lengths(rng), jc.CoOptimizer(training=jc.methods.EXTRA("auto")), 5)


def test_sweeps_and_tuning_say_it_before_they_run(rng):
    problem, method = jc.Problem(training=cases.training(rng)), jc.CoOptimizer(training=jc.methods.DGD(1e-4))
    for start in (
        lambda: jc.sweep(problem, lengths(rng), method, {"training.step": [1e-4, 1e-5]}, steps=2),
        lambda: jc.tune(problem, lengths(rng), method, ["training.step"], steps=2, iterations=1),
    ):
        with pytest.warns(RuntimeWarning, match="too strong for DGD, whatever the step"):
            start()
